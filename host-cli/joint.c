/* SPDX-License-Identifier: Apache-2.0 */
#include "joint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE 65536

static bool is_type(int fd, mode_t type)
{
	struct stat st;

	return !fstat(fd, &st) && (st.st_mode & S_IFMT) == type;
}

static int flow_init(struct flow *f, int from, int to)
{
	memset(f, 0, sizeof(*f));
	f->from = from;
	f->to = to;
	f->to_socket = is_type(to, S_IFSOCK);
	/* A descriptor of others is not made non-blocking: what poll() says there is
	 * room for, of a pipe that is PIPE_BUF, is written. */
	f->at_most = f->to_socket || is_type(to, S_IFREG) ? BUFFER_SIZE : PIPE_BUF;
	f->buf = malloc(BUFFER_SIZE);
	return f->buf ? 0 : -ENOMEM;
}

int joint_init(struct joint *j, int local_in, int local_out, int guest)
{
	memset(j, 0, sizeof(*j));
	if (flow_init(&j->up, local_in, guest) ||
	    flow_init(&j->down, guest, local_out)) {
		joint_free(j);
		return -ENOMEM;
	}
	return 0;
}

void joint_free(struct joint *j)
{
	free(j->up.buf);
	free(j->down.buf);
	j->up.buf = j->down.buf = NULL;
}

static bool wants_more(const struct flow *f)
{
	return !f->ended && !f->len;
}

/*
 * An end that nobody waits for is not polled, since its POLLHUP would come again and
 * again. One that has ended its own way is: with POLLHUP it takes nothing any more.
 */
static int descriptor(int fd, short events, const struct flow *from,
		      const struct flow *to)
{
	return events || (from->ended && !to->done) ? fd : -1;
}

void joint_prepare(const struct joint *j, struct pollfd p[static JOINT_POLLS])
{
	const struct flow *up = &j->up, *down = &j->down;

	memset(p, 0, JOINT_POLLS * sizeof(*p));
	p[0].events = wants_more(up) ? POLLIN : 0;
	p[0].fd = p[0].events ? up->from : -1;
	p[1].events = down->len ? POLLOUT : 0;
	p[1].fd = descriptor(down->to, p[1].events, up, down);
	p[2].events = (wants_more(down) ? POLLIN : 0) | (up->len ? POLLOUT : 0);
	p[2].fd = descriptor(up->to, p[2].events, down, up);
}

/* 0, or -errno. */
static int take(struct flow *f)
{
	ssize_t n = read(f->from, f->buf, BUFFER_SIZE);

	if (n > 0) {
		f->at = 0;
		f->len = (size_t)n;
	} else if (!n) {
		f->ended = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		return -errno;
	}
	return 0;
}

/* Its reader has gone: what comes is of no use, and whoever sends it may know. */
static void give_up(struct flow *f)
{
	f->len = 0;
	f->ended = f->done = true;
	shutdown(f->from, SHUT_RD);
}

static int give(struct flow *f)
{
	size_t len = f->len < f->at_most ? f->len : f->at_most;
	ssize_t n = f->to_socket ? send(f->to, f->buf + f->at, len,
					MSG_DONTWAIT | MSG_NOSIGNAL)
				 : write(f->to, f->buf + f->at, len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->at += (size_t)n;
	f->len -= (size_t)n;
	f->bytes += (size_t)n;
	return 0;
}

static void pass_end(struct flow *f)
{
	int null;

	f->done = true;
	if (f->to_socket) {
		shutdown(f->to, SHUT_WR);
		return;
	}
	/* The number stays taken. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, f->to);
		close(null);
	}
}

static int step(struct flow *f, bool readable, bool writable, bool *at_from)
{
	int ret = 0;

	*at_from = true;
	if (readable && wants_more(f))
		ret = take(f);
	if (ret)
		return ret;
	*at_from = false;
	if (f->len && (writable || (readable && f->to_socket)))
		ret = give(f);
	if (ret == -EPIPE && f->to_socket) {
		give_up(f);
		ret = 0;
	}
	if (!ret && f->ended && !f->len && !f->done)
		pass_end(f);
	return ret;
}

int joint_step(struct joint *j, const struct pollfd p[static JOINT_POLLS], bool *local)
{
	const short in = POLLIN | POLLHUP | POLLERR, out = POLLOUT | POLLHUP | POLLERR;
	struct flow *up = &j->up, *down = &j->down;
	bool at_from;
	int ret;

	ret = step(up, p[0].revents & in, p[2].revents & out, &at_from);
	*local = at_from;
	if (!ret) {
		ret = step(down, p[2].revents & in, p[1].revents & out, &at_from);
		*local = !at_from;
	}
	if (ret)
		return ret;
	/* Closed, and not only half: nothing that is still to come gets there. */
	if (down->ended && !up->done && p[2].revents & (POLLHUP | POLLERR))
		give_up(up);
	if (up->ended && !down->done && p[1].revents & (POLLHUP | POLLERR))
		give_up(down);
	return up->done && down->done;
}
