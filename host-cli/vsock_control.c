/* SPDX-License-Identifier: Apache-2.0 */
#include "vsock_control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "endpoint.h"

enum {
	FIRST_SIZE = 64 * 1024,
	/* More than a million connections take. */
	ANSWER_MAX = 512 << 20,
};

/* Reads up to the end; *answer is the caller's to free, whatever comes of it. */
static int read_all(int fd, char **answer, size_t *len, deadline_t deadline,
		    struct error *err)
{
	size_t size = FIRST_SIZE, done;
	int ret = 0;

	*len = 0;
	while (!ret) {
		char *more = size <= ANSWER_MAX ? realloc(*answer, size + 1) : NULL;

		if (!more)
			return error_set(err, -ENOMEM,
					 "no memory for an answer of %zu bytes", size);
		*answer = more;
		ret = io_read_full(fd, *answer + *len, size - *len, deadline, &done);
		*len += done;
		size *= 2;
	}
	(*answer)[*len] = '\0';
	/* That is how it ends; whether it is whole is in it. */
	if (ret == -ECONNRESET)
		return 0;
	return error_set(err, ret, "reading the answer: %s", strerror(-ret));
}

/* It goes to a terminal, and a guest might have got at the one that sent it. */
static void make_printable(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\n' && (text[i] < 0x20 || text[i] > 0x7e))
			text[i] = '?';
}

/* Takes off the last line. False when it is not one that ends an answer. */
static bool take_end(char *answer, size_t len)
{
	char *last;

	if (!len || answer[len - 1] != '\n')
		return false;
	answer[len - 1] = '\0';
	last = strrchr(answer, '\n');
	last = last ? last + 1 : answer;
	if (strcmp(last, "end") && strncmp(last, "end ", 4) && strcmp(last, "# EOF"))
		return false;
	*last = '\0';
	return true;
}

int vsock_control_ask(const char *path, const char *request, deadline_t deadline,
		      char **answer, struct error *err)
{
	cleanup_close int fd = endpoint_connect_unix(path, deadline, err);
	cleanup_free char *text = NULL;
	char line[32];
	size_t len;
	int ret;

	if (fd < 0)
		return fd;
	snprintf(line, sizeof(line), "%s\n", request);
	ret = io_write_full(fd, line, strlen(line), deadline, NULL);
	if (ret)
		return error_set(err, ret, "asking %s: %s", path, strerror(-ret));
	ret = read_all(fd, &text, &len, deadline, err);
	if (ret)
		return error_prefix(err, "%s", path);
	make_printable(text, len);
	if (!strncmp(text, "error ", 6))
		return error_set(err, -EPROTO, "%s says: %.*s", path,
				 (int)strcspn(text, "\n"), text);
	if (!take_end(text, len))
		return error_set(err, -EPROTO,
				 "%s gave no whole answer: it ends after %zu bytes",
				 path, len);
	*answer = steal_pointer(&text);
	return 0;
}

size_t vsock_control_words(char **text, char **word, size_t max)
{
	char *line = *text;
	size_t count = 0, len = strcspn(line, "\n");

	if (!*line)
		return 0;
	*text = line + len + (line[len] == '\n');
	line[len] = '\0';
	while (line && count < max)
		word[count++] = strsep(&line, " ");
	return count;
}
