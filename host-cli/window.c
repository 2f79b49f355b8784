/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int window_number(const char *text, uint64_t max, uint64_t *value)
{
	int base = !strncmp(text, "0x", 2) ? 16 : 10;
	unsigned long long v;
	char *end;

	if (!isxdigit((unsigned char)text[base == 16 ? 2 : 0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, base);
	if (errno || *end || v > max)
		return -EINVAL;
	*value = v;
	return 0;
}

static int set(uint64_t *to, uint64_t max, const char *option, const char *value,
	       struct error *err)
{
	if (window_number(value, max, to) || !*to)
		return error_set(err, -EINVAL,
				 "%s %s: give a number such as 12 or 0xfeb00c00",
				 option, value);
	return 0;
}

int window_set_base(void *into, const char *value, struct error *err)
{
	return set(&((struct window *)into)->base, UINT64_MAX, "--base", value, err);
}

int window_set_size(void *into, const char *value, struct error *err)
{
	return set(&((struct window *)into)->size, UINT64_MAX, "--size", value, err);
}

int window_set_irq(void *into, const char *value, struct error *err)
{
	return set(&((struct window *)into)->irq, UINT32_MAX, "--irq", value, err);
}

enum status window_check(const struct window *w, struct report *r)
{
	if (!w->base || !w->size || !w->irq)
		return report_fail(r, STATUS_USAGE,
				   "give the device's --base, --size and --irq");
	return STATUS_OK;
}

void window_json(const struct window *w, struct report *r)
{
	report_set(r, "base", json_integer((json_int_t)w->base));
	report_set(r, "size", json_integer((json_int_t)w->size));
	report_set(r, "irq", json_integer((json_int_t)w->irq));
}
