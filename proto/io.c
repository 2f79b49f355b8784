/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec;
}

deadline_t deadline_after_ms(int64_t ms)
{
	if (ms < 0 || (uint64_t)ms > UINT64_MAX / NS_PER_MS / 2)
		return DEADLINE_NEVER;
	return now_ns() + ms * NS_PER_MS;
}

int deadline_left_ms(deadline_t deadline)
{
	uint64_t now, left;

	if (deadline == DEADLINE_NEVER)
		return -1;
	now = now_ns();
	if (now >= deadline)
		return 0;
	left = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Waits until the descriptor is ready; 0, -ETIMEDOUT or poll's error. */
static int wait_ready(int fd, short events, deadline_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do {
		n = poll(&p, 1, deadline_left_ms(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

int io_read_full(int fd, void *buf, size_t len, deadline_t deadline, size_t *done)
{
	size_t got = 0;
	int ret = 0;

	while (got < len) {
		ssize_t n = recv(fd, (char *)buf + got, len - got, MSG_DONTWAIT);

		if (n > 0) {
			got += n;
			continue;
		}
		if (n == 0)
			ret = -ECONNRESET;
		else if (errno == EAGAIN)
			ret = wait_ready(fd, POLLIN, deadline);
		else if (errno != EINTR)
			ret = -errno;
		if (ret)
			break;
	}
	if (done)
		*done = got;
	return ret;
}

int io_write_full(int fd, const void *buf, size_t len, deadline_t deadline,
		  size_t *done)
{
	size_t put = 0;
	int ret = 0;

	while (put < len) {
		ssize_t n = send(fd, (const char *)buf + put, len - put,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			put += n;
			continue;
		}
		if (errno == EAGAIN)
			ret = wait_ready(fd, POLLOUT, deadline);
		else if (errno != EINTR)
			ret = -errno;
		if (ret)
			break;
	}
	if (done)
		*done = put;
	return ret;
}

int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t at)
{
	size_t put = 0;

	while (put < len) {
		ssize_t n = pwrite(fd, (const char *)buf + put, len - put,
				   (off_t)(at + put));

		if (n > 0)
			put += n;
		else if (!n)
			return -ENOSPC;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}
