/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void text_sanitize(char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
}

void text_copy(char *to, size_t size, const char *from, size_t len)
{
	size_t n = strnlen(from, len < size - 1 ? len : size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
	text_sanitize(to);
}

/* Reads digits; moves *s behind them. */
static int take_number(const char **s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		unsigned int digit = **s - '0';

		if (v > (max - digit) / 10 || digit > max)
			return -EINVAL;
		v = v * 10 + digit;
	}
	*value = v;
	return 0;
}

int text_number(const char *s, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t v;

	if (take_number(&s, max, &v) || *s || v < min)
		return -EINVAL;
	*value = v;
	return 0;
}

int text_seconds(const char *s, int64_t *ms)
{
	uint64_t whole, part = 0, scale = 100;

	if (take_number(&s, 1000000, &whole))
		return -EINVAL;
	if (*s == '.') {
		if (*++s < '0' || *s > '9')
			return -EINVAL;
		for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
			part += (*s - '0') * scale;
	}
	if (*s || !(whole * 1000 + part))
		return -EINVAL;
	*ms = whole * 1000 + part;
	return 0;
}

int text_mebibytes(const char *s, uint64_t *mib)
{
	static const char units[] = "MGT";
	const char *unit;
	uint64_t v;

	if (take_number(&s, UINT32_MAX, &v) || !v)
		return -EINVAL;
	if (*s) {
		unit = strchr(units, *s);
		if (!unit || s[1])
			return -EINVAL;
		v <<= 10 * (unit - units); /* below 2^52 */
	}
	if (v >> (63 - 20))
		return -EINVAL;
	*mib = v;
	return 0;
}

int text_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	int shift = 0;
	uint64_t v;

	if (take_number(&s, max, &v))
		return -EINVAL;
	if (*s) {
		unit = strchr(units, *s);
		if (!unit || s[1])
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
	}
	if (v > max >> shift || v << shift < min)
		return -EINVAL;
	*bytes = v << shift;
	return 0;
}

static int append(uint32_t *list, size_t size, size_t *count, uint32_t value)
{
	size_t i;

	for (i = 0; i < *count; i++)
		if (list[i] == value)
			return -EEXIST;
	if (*count == size)
		return -E2BIG;
	list[(*count)++] = value;
	return 0;
}

int text_list(const char *s, uint32_t max, uint32_t *list, size_t size, size_t *count)
{
	uint64_t first, last, v;
	int ret;

	*count = 0;
	for (;;) {
		if (take_number(&s, max, &first))
			return -EINVAL;
		last = first;
		if (*s == '-') {
			s++;
			if (take_number(&s, max, &last) || last < first)
				return -EINVAL;
		}
		for (v = first; v <= last; v++) {
			ret = append(list, size, count, (uint32_t)v);
			if (ret)
				return ret;
		}
		if (!*s)
			return 0;
		if (*s++ != ',')
			return -EINVAL;
	}
}

int text_words(const char *s, int (*take)(void *into, const char *word, size_t len),
	       void *into)
{
	for (;;) {
		size_t len = strcspn(s, ",");
		int ret = take(into, s, len);

		if (ret || !s[len])
			return ret;
		s += len + 1;
	}
}

static bool plain(const char *word)
{
	static const char safe[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_@%+=:,./-";

	return *word && !word[strspn(word, safe)];
}

char *text_quote(const char *word)
{
	/* The longest case: each byte a quote, written as '\'' between quotes. */
	char *quoted = malloc(4 * strlen(word) + 3), *to = quoted;

	if (!quoted)
		return NULL;
	if (plain(word))
		return strcpy(quoted, word);
	*to++ = '\'';
	for (; *word; word++) {
		if (*word == '\'') {
			memcpy(to, "'\\''", 4);
			to += 4;
		} else {
			*to++ = *word;
		}
	}
	*to++ = '\'';
	*to = '\0';
	return quoted;
}
