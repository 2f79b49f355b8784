/* SPDX-License-Identifier: Apache-2.0 */
/* The small text files of /proc and /sys, beneath a root that tests choose. */
#ifndef AGENT_SYSFILE_H
#define AGENT_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "error.h"

/* Room for any file that the agent reads: sysfs gives at most a page. */
#define SYSFILE_MAX 8192

/*
 * Reads a whole file into buf, with a NUL behind it, and returns its length.
 * root is "" for the real tree; path begins with a slash. -EFBIG when the file
 * does not fit, else the system call's errno.
 */
int sysfile_read(const char *root, const char *path, char *buf, size_t size,
		 struct error *err);

/*
 * Reads a file that holds one number, decimal (or with base 16 hexadecimal) and
 * nothing but a line's end behind it. -EINVAL for anything else.
 */
int sysfile_read_number(const char *root, const char *path, int base, long long *value,
			struct error *err);

/* Its first line, as printable ASCII, cut to fit; "" with an error. */
int sysfile_read_line(const char *root, const char *path, char *to, size_t size,
		      struct error *err);

/* For what is larger, or no such file; with O_CLOEXEC and O_NOCTTY. */
int sysfile_open(const char *root, const char *path, int flags, struct error *err);
/* To be read; NULL: as errno says. */
FILE *sysfile_stream(const char *root, const char *path, struct error *err);

bool sysfile_exists(const char *root, const char *path);
/* N of the link `nodeN` in a device's directory, or -1. */
int sysfile_node(const char *root, const char *dir);

/* Writes text with one write(2), as sysfs wants it. */
int sysfile_write(const char *root, const char *path, const char *text,
		  struct error *err);

#endif
