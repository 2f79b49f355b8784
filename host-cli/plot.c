/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"

#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tty.h"

#define LABEL_COLUMNS 29 /* "    39us - 47us         210  " */

/* The user's character set; the program's own stays C's, for what it parses. */
static bool is_utf8(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool utf8;

	if (!locale)
		return false;
	utf8 = !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
	freelocale(locale);
	return utf8;
}

struct plot_style plot_style_of(FILE *to)
{
	struct plot_style style = {.columns = PLOT_COLUMNS_MAX};
	struct winsize size;

	if (!tty_is(to))
		return style;
	style.blocks = is_utf8();
	if (ioctl(fileno(to), TIOCGWINSZ, &size) || !size.ws_col)
		return style;
	if (size.ws_col < PLOT_COLUMNS_MIN)
		style.columns = PLOT_COLUMNS_MIN;
	else if (size.ws_col < PLOT_COLUMNS_MAX)
		style.columns = size.ws_col;
	return style;
}

/* The bounds of buckets have two digits, and so these are exact. */
static const char *duration(uint64_t ns, char text[static 16])
{
	if (ns < 1000000)
		snprintf(text, 16, "%.3gus", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(text, 16, "%.3gms", (double)ns / 1e6);
	else
		snprintf(text, 16, "%.3gs", (double)ns / 1e9);
	return text;
}

static void print_bar(FILE *to, uint64_t eighths, bool blocks)
{
	for (; eighths >= 8; eighths -= 8)
		fputs(blocks ? "\u2588" : "#", to);
	if (!eighths)
		return;
	/* U+258F is an eighth of a block, U+2589 seven. */
	if (blocks)
		fprintf(to, "\xe2\x96%c", (char)(0x90 - eighths));
	else
		putc('#', to);
}

void plot_print(FILE *to, const struct plot_style *style,
		const struct distribution_bucket *buckets, size_t n)
{
	unsigned int cells = style->columns - LABEL_COLUMNS;
	char from[16], until[16];
	uint64_t most = 1;

	for (size_t i = 0; i < n; i++)
		if (buckets[i].count > most)
			most = buckets[i].count;
	for (size_t i = 0; i < n; i++) {
		uint64_t eighths = buckets[i].count * cells * 8 / most;

		if (buckets[i].count && !eighths)
			eighths = 1;
		fprintf(to, "%8s - %-8s %7llu", duration(buckets[i].from, from),
			duration(buckets[i].to, until),
			(unsigned long long)buckets[i].count);
		if (eighths)
			fputs("  ", to);
		print_bar(to, eighths, style->blocks);
		putc('\n', to);
	}
}
