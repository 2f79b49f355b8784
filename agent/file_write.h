/* SPDX-License-Identifier: Apache-2.0 */
/* The work of WriteFile (proto/new_file.h). */
#ifndef AGENT_FILE_WRITE_H
#define AGENT_FILE_WRITE_H

#include "task.h"

int file_write(struct agent_task_io *io, const ProtobufCMessage *request,
	       struct error *err);

#endif
