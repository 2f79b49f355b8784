/* SPDX-License-Identifier: Apache-2.0 */
/* The work of the calls about file systems that wait for nobody. */
#ifndef AGENT_FILESYSTEM_H
#define AGENT_FILESYSTEM_H

#include "task.h"

int filesystem_list(struct agent_task_io *io, const ProtobufCMessage *request,
		    struct error *err);
int filesystem_trim(struct agent_task_io *io, const ProtobufCMessage *request,
		    struct error *err);
/* Of those that are named, whoever froze them. */
int filesystem_thaw(struct agent_task_io *io, const ProtobufCMessage *request,
		    struct error *err);

#endif
