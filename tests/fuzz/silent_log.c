// SPDX-License-Identifier: Apache-2.0
/* transport/log.c for the fuzzers: what they send would be told a million times. */
#include "../../transport/log.h"

bool log_is_verbose(void)
{
	return false;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

void log_write_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		       ...)
{
	(void)limit;
	(void)level;
	(void)fmt;
}
