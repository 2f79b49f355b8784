/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of vsockd's control socket.
 */
#ifndef FAKE_CONTROL_H
#define FAKE_CONTROL_H

#include "fake_guest.h"

/* The whole answer to a request, which lives until the next one. */
static inline const char *control_ask(const char *path, const char *request)
{
	static char answer[1 << 20];
	int fd = connect_unix(path);
	size_t len = 0;
	ssize_t n = 1;

	assert_true(fd >= 0);
	host_send(fd, request);
	while (n > 0 && len < sizeof(answer) - 1) {
		wait_fd(fd, POLLIN);
		n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	answer[len] = 0;
	return answer;
}

/* The number behind a name at the beginning of a line. */
static inline uint64_t control_figure(const char *answer, const char *name)
{
	size_t len = strlen(name);

	for (; answer && *answer; answer = strchr(answer, '\n'), answer += !!answer)
		if (!strncmp(answer, name, len) && answer[len] == ' ')
			return strtoull(answer + len, NULL, 10);
	fail_msg("no %s", name);
	return 0;
}

static inline uint64_t control_stat(const struct guest *g, const char *name)
{
	return control_figure(control_ask(g->control, "stats\n"), name);
}

#endif
