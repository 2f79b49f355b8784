/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr, which is the console in an initramfs and the journal
 * under systemd (then with sd-daemon(3)'s "<priority>" in front).
 */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <stdbool.h>

#include "io.h"

/* The values are syslog's. */
enum agent_log_level {
	AGENT_LOG_ERROR = 3,
	AGENT_LOG_WARNING = 4,
	AGENT_LOG_INFO = 6,
};

struct agent_loop;

/*
 * Writes one line; control characters in it become '?'. errno is kept. Does not wait
 * for whoever reads standard error: a line that there is no room for is held in memory,
 * as many as fit, and comes later.
 */
void agent_log(enum agent_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * With a loop, lines that were held are tried again by a timer of its own; without,
 * with the next line. To be stopped before the loop is freed.
 */
void agent_log_start(struct agent_loop *loop);
void agent_log_stop(void);

/*
 * While held, lines are kept in memory, as many as fit: for when whoever reads them may
 * be unable to. The release writes them, and says how many did not fit.
 */
void agent_log_hold(void);
void agent_log_release(void);

/* Of a message that anyone may cause at will: one line in ten seconds. */
struct agent_log_limit {
	deadline_t next;
	unsigned int skipped;
};

/*
 * Whether the line may be written now; if so *skipped says how many were kept
 * back since the last one.
 */
bool agent_log_permit(struct agent_log_limit *limit, unsigned int *skipped);

/*
 * Writes text that a peer chose as printable ASCII, cut to fit, with '?' for all
 * else: for log lines, and for protobuf strings, which must be UTF-8. Returns out.
 */
const char *agent_log_printable(const char *text, char *out, size_t size);

#endif
