/* SPDX-License-Identifier: Apache-2.0 */
#include "hybrid.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Parses "<word> <u32>[\r]\n" as far as the bytes go. Every byte that has come
 * is checked, so that garbage is refused at once and not after a time-out.
 */
static int parse_line(const char *word, const char *buf, size_t len, uint32_t *number)
{
	size_t word_len = strlen(word), i;
	uint64_t value = 0;
	size_t digits = 0;

	for (i = 0; i < len && i < word_len; i++) {
		if (toupper((unsigned char)buf[i]) != word[i])
			return -EPROTO;
	}
	if (i < len && buf[i++] != ' ')
		return -EPROTO;
	for (; i < len && i < HYBRID_LINE_MAX; i++) {
		if (buf[i] >= '0' && buf[i] <= '9') {
			value = value * 10 + (buf[i] - '0');
			if (++digits > 10 || value > UINT32_MAX)
				return -EPROTO;
			continue;
		}
		if (!digits)
			return -EPROTO;
		if (buf[i] == '\r') {
			if (i + 1 == len)
				return 0;
			i++;
		}
		if (i == HYBRID_LINE_MAX || buf[i] != '\n')
			return -EPROTO;
		*number = (uint32_t)value;
		return (int)i + 1;
	}
	return 0;
}

int hybrid_parse_connect(const char *buf, size_t len, uint32_t *port)
{
	return parse_line("CONNECT", buf, len, port);
}

int hybrid_parse_ok(const char *buf, size_t len, uint32_t *host_port)
{
	return parse_line("OK", buf, len, host_port);
}

size_t hybrid_format_connect(char buf[static HYBRID_LINE_MAX], uint32_t port)
{
	return snprintf(buf, HYBRID_LINE_MAX, "CONNECT %u\n", port);
}

size_t hybrid_format_ok(char buf[static HYBRID_LINE_MAX], uint32_t host_port)
{
	return snprintf(buf, HYBRID_LINE_MAX, "OK %u\n", host_port);
}
