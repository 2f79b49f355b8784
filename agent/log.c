// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"

#define LINE_MAX_BYTES	1024
#define LIMIT_PERIOD_MS 10000
#define HELD_MAX_BYTES	16384
#define AGAIN_MS	500

/* Lines that could not be written, or may not be for now. */
static struct {
	bool on;
	size_t used;
	unsigned int lost;
	char text[HELD_MAX_BYTES];
} held;

/* The process with the loop: one that it forks has copies of the lines. */
static struct {
	struct agent_loop *loop;
	pid_t pid;
	struct agent_timer again;
} owner;

/*
 * Whether a line can be written without waiting for whoever reads them, which what is
 * said to be writable guarantees: there is room for 4 KiB in a pipe and in a terminal,
 * and a socket is asked below. O_NONBLOCK would be that of others too.
 */
static bool is_writable(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0 ||
	    !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(STDERR_FILENO)))
		return true;
	return poll(&p, 1, 0) > 0;
}

/* One line, so that those of other processes do not mix with it. False: not now. */
static bool write_line(const char *line, size_t len)
{
	ssize_t n;

	if (!is_writable())
		return false;
	n = send(STDERR_FILENO, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 && errno == ENOTSOCK)
		n = write(STDERR_FILENO, line, len);
	(void)n; /* there is nowhere left to say that this failed */
	return true;
}

static void try_again_later(void)
{
	if (owner.loop && !owner.again.armed)
		agent_loop_arm(owner.loop, &owner.again, deadline_after_ms(AGAIN_MS));
}

static void hold_line(const char *line, size_t len)
{
	if (len > sizeof(held.text) - held.used) {
		held.lost++;
		return;
	}
	memcpy(held.text + held.used, line, len);
	held.used += len;
}

/* False: some are still held. */
static bool write_held(void)
{
	size_t done = 0;

	while (done < held.used) {
		char *line = held.text + done,
		     *end = memchr(line, '\n', held.used - done);
		size_t len = end + 1 - line;

		if (!write_line(line, len))
			break;
		done += len;
	}
	held.used -= done;
	memmove(held.text, held.text + done, held.used);
	return !held.used;
}

static void say_lost(void)
{
	unsigned int lost = held.lost;

	held.lost = 0;
	if (lost)
		agent_log(AGENT_LOG_WARNING, "%u lines did not fit into memory", lost);
}

static void put_line(const char *line, size_t len)
{
	if (owner.loop && getpid() != owner.pid) {
		if (!held.on)
			write_line(line, len);
		return;
	}
	if (!held.on && write_held() && write_line(line, len))
		return;
	hold_line(line, len);
	if (!held.on)
		try_again_later();
}

static void write_again(void)
{
	if (held.on)
		return;
	if (write_held())
		say_lost();
	else
		try_again_later();
}

static void again_fired(struct agent_timer *timer)
{
	(void)timer;
	write_again();
}

void agent_log_start(struct agent_loop *loop)
{
	owner.loop = loop;
	owner.pid = getpid();
	owner.again.fire = again_fired;
}

void agent_log_stop(void)
{
	if (owner.loop)
		agent_loop_disarm(owner.loop, &owner.again);
	owner.loop = NULL;
}

void agent_log_hold(void)
{
	held.on = true;
}

void agent_log_release(void)
{
	held.on = false;
	write_again();
}

void agent_log(enum agent_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int saved = errno;
	size_t start, len;
	va_list args;

	line[0] = '\0';
	if (getenv("JOURNAL_STREAM"))
		snprintf(line, sizeof(line), "<%d>", level);
	start = strlen(line);
	snprintf(line + start, sizeof(line) - start, "vmctl-agent: ");
	start = strlen(line);
	va_start(args, fmt);
	/* One byte stays free for the newline. */
	vsnprintf(line + start, sizeof(line) - start - 1, fmt, args);
	va_end(args);
	len = strlen(line);
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	put_line(line, len);
	errno = saved;
}

bool agent_log_permit(struct agent_log_limit *limit, unsigned int *skipped)
{
	if (limit->next && deadline_left_ms(limit->next) > 0) {
		limit->skipped++;
		return false;
	}
	*skipped = limit->skipped;
	limit->skipped = 0;
	limit->next = deadline_after_ms(LIMIT_PERIOD_MS);
	return true;
}

const char *agent_log_printable(const char *text, char *out, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && text[i]; i++)
		out[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	out[i] = '\0';
	return out;
}
