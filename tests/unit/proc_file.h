/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of a process. */
#ifndef PROC_FILE_H
#define PROC_FILE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "unit.h"

/* The beginning of a file of its, as a string, and how long that is; -1: not to be had.
 */
static inline ssize_t proc_read(pid_t pid, const char *name, char *text, size_t size)
{
	char path[96];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* What a line of such a file has behind its name ("Name:"), which must be there. */
static inline const char *proc_line(pid_t pid, const char *file, const char *name)
{
	static char text[8192];
	char *at;

	assert_true(proc_read(pid, file, text, sizeof(text)) > 0);
	at = strstr(text, name);
	assert_non_null(at);
	at += strlen(name);
	at[strcspn(at, "\n")] = '\0';
	return at + strspn(at, "\t ");
}

/* Such a line's number, of KiB in most. */
static inline unsigned long proc_number(pid_t pid, const char *file, const char *name)
{
	return strtoul(proc_line(pid, file, name), NULL, 10);
}

/*
 * How many children its first thread has, of which `max` go to the list. -1: it is not
 * there, or the kernel does not list them.
 */
static inline int proc_children(pid_t pid, pid_t *list, int max)
{
	char name[64], text[8192], *at = text, *end;
	int n = 0;

	snprintf(name, sizeof(name), "task/%d/children", (int)pid);
	if (proc_read(pid, name, text, sizeof(text)) < 0)
		return -1;
	for (;; at = end, n++) {
		pid_t child = (pid_t)strtol(at, &end, 10);

		if (end == at)
			return n;
		if (n < max)
			list[n] = child;
	}
}

/* How many descriptors it has open. */
static inline unsigned int proc_count_files(pid_t pid)
{
	char path[64];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

#endif
