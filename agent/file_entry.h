/* SPDX-License-Identifier: Apache-2.0 */
/* The work of the calls about names: StatFile, ListDirectory, MakeDirectory, ... */
#ifndef AGENT_FILE_ENTRY_H
#define AGENT_FILE_ENTRY_H

#include "task.h"

int file_entry_stat(struct agent_task_io *io, const ProtobufCMessage *request,
		    struct error *err);
int file_entry_list(struct agent_task_io *io, const ProtobufCMessage *request,
		    struct error *err);
int file_entry_make_directory(struct agent_task_io *io, const ProtobufCMessage *request,
			      struct error *err);
int file_entry_make_symlink(struct agent_task_io *io, const ProtobufCMessage *request,
			    struct error *err);

#endif
