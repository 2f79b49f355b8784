/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on stderr: "vsockd[<tag>]: <text>".
 */
#ifndef TRANSPORT_LOG_H
#define TRANSPORT_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG, /* only with --verbose */
};

/* tag (at most 31 bytes are kept) names the VM in every line. */
void log_init(const char *tag, bool verbose);

bool log_is_verbose(void);

/*
 * Writes one line; control characters in it become '?', errno is kept. At most
 * 4 KiB, cut to fit.
 */
void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What one place in the code has said; begins all zero. */
struct log_limit {
	uint64_t spent;	   /* lines of its burst */
	uint64_t refilled; /* s */
	uint64_t left_out;
};

void log_write_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		       ...) __attribute__((format(printf, 3, 4)));

/*
 * The same for what a guest or a client can cause at will: of each place in the code
 * a burst of lines gets through, then one a second; how many were left out is told
 * with the next one.
 */
#define log_limited(level, ...)                                    \
	do {                                                       \
		static struct log_limit log_limit;                 \
		log_write_limited(&log_limit, level, __VA_ARGS__); \
	} while (0)

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
/* Arguments are not evaluated unless --verbose was given. */
#define log_debug(...)                                           \
	do {                                                     \
		if (log_is_verbose())                            \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
