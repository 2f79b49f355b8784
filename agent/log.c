// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES	1024
#define LIMIT_PERIOD_MS 10000
#define HELD_MAX_BYTES	16384

static struct {
	bool on;
	size_t used;
	unsigned int lost;
	char text[HELD_MAX_BYTES];
} held;

static void write_out(const char *text, size_t len)
{
	ssize_t n = write(STDERR_FILENO, text, len);

	(void)n; /* there is nowhere left to say that this failed */
}

static void put_line(const char *line, size_t len)
{
	if (!held.on) {
		/* In one piece, so that lines of other processes do not mix with it. */
		write_out(line, len);
	} else if (len > sizeof(held.text) - held.used) {
		held.lost++;
	} else {
		memcpy(held.text + held.used, line, len);
		held.used += len;
	}
}

void agent_log_hold(void)
{
	held.on = true;
}

void agent_log_release(void)
{
	held.on = false;
	write_out(held.text, held.used);
	held.used = 0;
	if (held.lost)
		agent_log(AGENT_LOG_WARNING, "%u lines did not fit into memory",
			  held.lost);
	held.lost = 0;
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
