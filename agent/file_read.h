/* SPDX-License-Identifier: Apache-2.0 */
/* The work of ReadFile. */
#ifndef AGENT_FILE_READ_H
#define AGENT_FILE_READ_H

#include "task.h"

int file_read(struct agent_task_io *io, const ProtobufCMessage *request,
	      struct error *err);

#endif
