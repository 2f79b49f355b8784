/* SPDX-License-Identifier: Apache-2.0 */
#include "hybrid.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

enum {
	NUMBERS_MAX = 3, /* in one line */
	DIGITS_MAX = 10,
};

/*
 * Takes a decimal number from *at on. 1 when its end was seen, 0 when more digits
 * may come.
 */
static int parse_number(const char *buf, size_t len, size_t *at, uint32_t *number)
{
	uint64_t value = 0;
	size_t digits = 0;

	for (; *at < len; (*at)++, digits++) {
		char c = buf[*at];

		if (c < '0' || c > '9') {
			*number = (uint32_t)value;
			return digits ? 1 : -EPROTO;
		}
		value = value * 10 + (c - '0');
		if (digits == DIGITS_MAX || value > UINT32_MAX)
			return -EPROTO;
	}
	return 0;
}

/*
 * Parses a line as far as the bytes go; in the pattern, '%' stands for a number.
 * Every byte that has come is checked, so that garbage is refused at once and not
 * after a time-out, and so no line is longer than its longest right one.
 */
static int parse_line(const char *pattern, const char *buf, size_t len,
		      uint32_t number[static NUMBERS_MAX])
{
	size_t at = 0, numbers = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '%') {
			int ret = parse_number(buf, len, &at, &number[numbers++]);

			if (ret <= 0)
				return ret;
			continue;
		}
		if (at == len)
			return 0;
		if (toupper((unsigned char)buf[at++]) != *pattern)
			return -EPROTO;
	}
	if (at < len && buf[at] == '\r')
		at++;
	if (at == len)
		return 0;
	return buf[at] == '\n' ? (int)at + 1 : -EPROTO;
}

int hybrid_parse_connect(const char *buf, size_t len, uint32_t *port)
{
	uint32_t number[NUMBERS_MAX];
	int ret = parse_line("CONNECT %", buf, len, number);

	if (ret > 0)
		*port = number[0];
	return ret;
}

int hybrid_parse_connect_from(const char *buf, size_t len, uint32_t *port,
			      uint32_t *from_cid, uint32_t *from_port)
{
	uint32_t number[NUMBERS_MAX];
	int ret = parse_line("CONNECT % FROM %:%", buf, len, number);

	if (ret > 0) {
		*port = number[0];
		*from_cid = number[1];
		*from_port = number[2];
	}
	return ret;
}

int hybrid_parse_ok(const char *buf, size_t len, uint32_t *host_port)
{
	uint32_t number[NUMBERS_MAX];
	int ret = parse_line("OK %", buf, len, number);

	if (ret > 0)
		*host_port = number[0];
	return ret;
}

size_t hybrid_format_connect(char buf[static HYBRID_LINE_MAX], uint32_t port)
{
	return snprintf(buf, HYBRID_LINE_MAX, "CONNECT %u\n", port);
}

size_t hybrid_format_connect_from(char buf[static HYBRID_FROM_LINE_MAX], uint32_t port,
				  uint32_t from_cid, uint32_t from_port)
{
	return snprintf(buf, HYBRID_FROM_LINE_MAX, "CONNECT %u FROM %u:%u\n", port,
			from_cid, from_port);
}

size_t hybrid_format_ok(char buf[static HYBRID_LINE_MAX], uint32_t host_port)
{
	return snprintf(buf, HYBRID_LINE_MAX, "OK %u\n", host_port);
}
