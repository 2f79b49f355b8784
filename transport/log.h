/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on stderr: "vsockd[<tag>]: <text>".
 */
#ifndef TRANSPORT_LOG_H
#define TRANSPORT_LOG_H

#include <stdbool.h>

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

/*
 * The same for what a guest or a client can cause at will: a burst of lines gets
 * through, then one a second; how many were left out is told with the next one.
 */
void log_limited(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

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
