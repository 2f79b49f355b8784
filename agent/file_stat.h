/* SPDX-License-Identifier: Apache-2.0 */
/* What a file is, as a message, and what is to be set of it. */
#ifndef AGENT_FILE_STAT_H
#define AGENT_FILE_STAT_H

#include <sys/stat.h>

#include "error.h"
#include "vmctl/agent/v1/file.pb-c.h"

void file_stat_fill(const struct stat *st, Vmctl__Agent__V1__FileStat *message);

/*
 * Sets what is given, of an open file. What may not be set is an error: a file with
 * another's owner or mode is not what was asked for. attributes may be NULL.
 */
int file_stat_apply(int fd, const Vmctl__Agent__V1__FileAttributes *attributes,
		    struct error *err);
/* The same of a symlink, which has no mode. */
int file_stat_apply_symlink(int dir, const char *name,
			    const Vmctl__Agent__V1__FileAttributes *attributes,
			    struct error *err);

#endif
