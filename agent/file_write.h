/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of WriteFile: a file that appears under its name when it is whole and on
 * the disk, and not before.
 *
 * Until then it has no name (O_TMPFILE) or, where the file system cannot do that, the
 * hidden one ".vmctl-new.NUMBER" beside the target. One that is to be resumable is
 * ".NAME.vmctl-partial". It stays when the stream breaks; it goes when it gets its
 * name, when the file is written anew, and when writing fails.
 */
#ifndef AGENT_FILE_WRITE_H
#define AGENT_FILE_WRITE_H

#include "task.h"

#define FILE_PARTIAL_PREFIX "."
#define FILE_PARTIAL_SUFFIX ".vmctl-partial"
#define FILE_NEW_PREFIX	    ".vmctl-new."

int file_write(struct agent_task_io *io, const ProtobufCMessage *request,
	       struct error *err);

#endif
