// SPDX-License-Identifier: Apache-2.0
#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void pipes_close(struct pipes *pipes)
{
	int *const all[] = {
		&pipes->input,	       &pipes->output,	      &pipes->errors,
		&pipes->status,	       &pipes->theirs.input,  &pipes->theirs.output,
		&pipes->theirs.errors, &pipes->theirs.status, &pipes->theirs.terminal,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		close_one(all[i]);
}

/* Ours does not block; theirs does, as programs expect. */
static int open_pipe(int *reader, int *writer, const int *ours)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*reader = fds[0];
	*writer = fds[1];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_terminal(struct pipes *pipes)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (master < 0)
		return -errno;
	pipes->output = master;
	/* A descriptor for each way, since each is watched by itself. */
	pipes->input = fcntl(master, F_DUPFD_CLOEXEC, 3);
	pipes->theirs.terminal = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (pipes->input < 0 || pipes->theirs.terminal < 0 || grantpt(master) ||
	    unlockpt(master))
		return -errno;
	return 0;
}

static int open_three(struct pipes *pipes)
{
	int ret = open_pipe(&pipes->theirs.input, &pipes->input, &pipes->input);

	if (!ret)
		ret = open_pipe(&pipes->output, &pipes->theirs.output, &pipes->output);
	if (!ret)
		ret = open_pipe(&pipes->errors, &pipes->theirs.errors, &pipes->errors);
	return ret;
}

int pipes_open(struct pipes *pipes, bool terminal)
{
	int ret;

	*pipes = (struct pipes){-1, -1, -1, -1, {-1, -1, -1, -1, -1}};
	ret = terminal ? open_terminal(pipes) : open_three(pipes);
	if (!ret)
		ret = open_pipe(&pipes->status, &pipes->theirs.status, &pipes->status);
	if (ret)
		pipes_close(pipes);
	return ret;
}
