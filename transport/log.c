/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "sandbox_calls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

SANDBOX_CALLS("clock_gettime", "write");

enum {
	LOG_LINE_MAX = 4096,
	LOG_BURST = 20, /* lines at once of those that can be caused at will */
};

static struct {
	char tag[32];
	bool verbose;
} state;

static const char *const prefix[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARNING] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

void log_init(const char *tag, bool verbose)
{
	snprintf(state.tag, sizeof(state.tag), "%s", tag);
	state.verbose = verbose;
}

bool log_is_verbose(void)
{
	return state.verbose;
}

__attribute__((format(printf, 2, 0))) static void write_line(enum log_level level,
							     const char *fmt,
							     va_list args)
{
	char line[LOG_LINE_MAX];
	size_t len, size = sizeof(line) - 1;
	int saved = errno, n;

	if (level == LOG_LEVEL_DEBUG && !state.verbose)
		return;
	n = snprintf(line, size, "vsockd[%s]: %s", state.tag, prefix[level]);
	len = n < 0 ? 0 : (size_t)n;
	if (len < size) {
		n = vsnprintf(line + len, size - len, fmt, args);
		len += n < 0 ? 0 : (size_t)n;
	}
	if (len >= size)
		len = size - 1;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	/* Nobody can be told when stderr is gone. */
	if (write(STDERR_FILENO, line, len) < 0)
		errno = 0;
	errno = saved;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_line(level, fmt, args);
	va_end(args);
}

void log_write_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		       ...)
{
	struct timespec now;
	uint64_t past;
	va_list args;

	if (level == LOG_LEVEL_DEBUG && !state.verbose)
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	past = (uint64_t)now.tv_sec - limit->refilled;
	limit->refilled = (uint64_t)now.tv_sec;
	limit->spent -= past < limit->spent ? past : limit->spent;
	if (limit->spent == LOG_BURST) {
		limit->left_out++;
		return;
	}
	limit->spent++;
	if (limit->left_out) {
		log_write(level, "%llu lines like the next were left out",
			  (unsigned long long)limit->left_out);
		limit->left_out = 0;
	}
	va_start(args, fmt);
	write_line(level, fmt, args);
	va_end(args);
}
