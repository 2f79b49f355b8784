// SPDX-License-Identifier: Apache-2.0
/* Percentiles, buckets, and the plot that vmctl bench makes of them. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host-cli/distribution.h"
#include "../../host-cli/plot.h"

#define US 1000ull
#define MS 1000000ull

static struct distribution made_of(const uint64_t *ns, size_t n)
{
	struct distribution d;

	assert_int_equal(distribution_init(&d, n), 0);
	for (size_t i = 0; i < n; i++)
		distribution_add(&d, ns[i]);
	distribution_sort(&d);
	return d;
}

static void percentiles_are_what_was_measured(void **state)
{
	struct distribution d;

	(void)state;
	assert_int_equal(distribution_init(&d, 1000), 0);
	for (uint64_t i = 1000; i; i--)
		distribution_add(&d, i);
	distribution_add(&d, 5); /* there is no room for it */
	distribution_sort(&d);
	assert_int_equal(d.n, 1000);
	assert_int_equal(distribution_at(&d, 0), 1);
	assert_int_equal(distribution_at(&d, 500), 500);
	assert_int_equal(distribution_at(&d, 990), 990);
	assert_int_equal(distribution_at(&d, 999), 999);
	assert_int_equal(distribution_at(&d, 1000), 1000);
	distribution_free(&d);
	d = made_of((uint64_t[]){7}, 1);
	assert_int_equal(distribution_at(&d, 0), 7);
	assert_int_equal(distribution_at(&d, 500), 7);
	assert_int_equal(distribution_at(&d, 999), 7);
	distribution_free(&d);
	d = made_of((uint64_t[]){9, 7, 8}, 3);
	assert_int_equal(distribution_at(&d, 500), 8);
	assert_int_equal(distribution_at(&d, 999), 9);
	distribution_free(&d);
}

static void buckets_are_logarithmic_and_whole(void **state)
{
	struct distribution_bucket b[DISTRIBUTION_BUCKETS_MAX];
	struct distribution d =
		made_of((uint64_t[]){47 * US, 50 * US, 56 * US, 150 * US, 119 * US}, 5);

	(void)state;
	assert_int_equal(distribution_buckets(&d, b, DISTRIBUTION_BUCKETS_MAX), 7);
	assert_int_equal(b[0].from, 47 * US);
	assert_int_equal(b[0].to, 56 * US);
	assert_int_equal(b[0].count, 2);
	assert_int_equal(b[1].count, 1);
	assert_int_equal(b[2].count, 0);
	assert_int_equal(b[4].from, 100 * US);
	assert_int_equal(b[4].to, 120 * US);
	assert_int_equal(b[4].count, 1);
	assert_int_equal(b[6].from, 150 * US);
	assert_int_equal(b[6].count, 1);
	distribution_free(&d);
}

static void fewer_buckets_are_wider(void **state)
{
	static const uint64_t all[] = {0,	99,	100,	   3 * US,    40 * US,
				       41 * US, 2 * MS, 3000 * MS, UINT64_MAX};
	static const size_t maxima[] = {16, 20, 40, 80, DISTRIBUTION_BUCKETS_MAX};
	struct distribution_bucket b[DISTRIBUTION_BUCKETS_MAX];

	(void)state;
	for (size_t n = 1; n <= sizeof(all) / sizeof(all[0]); n++) {
		struct distribution d = made_of(all, n);

		for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
			size_t buckets = distribution_buckets(&d, b, maxima[i]);
			uint64_t count = 0;

			assert_in_range(buckets, 1, maxima[i]);
			for (size_t j = 0; j < buckets; j++) {
				assert_true(b[j].from < b[j].to);
				if (j)
					assert_int_equal(b[j].from, b[j - 1].to);
				count += b[j].count;
			}
			assert_int_equal(count, n);
			assert_true(b[0].count > 0 && b[buckets - 1].count > 0);
		}
		distribution_free(&d);
	}
}

static void plot(const struct plot_style *style, const struct distribution_bucket *b,
		 size_t n, char *text, size_t size)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	plot_print(f, style, b, n);
	rewind(f);
	text[fread(text, 1, size - 1, f)] = '\0';
	fclose(f);
}

static void bars_fit_and_show_what_is_not_empty(void **state)
{
	static const struct distribution_bucket b[] = {
		{39 * US, 47 * US, 1},
		{47 * US, 56 * US, 1000000},
		{680 * US, 1 * MS, 0},
		{1 * MS, 1500 * US, 500000},
		{1000000 * MS, 1000000000 * MS, 1},
	};
	struct plot_style style = {.columns = 40};
	char text[4096];

	(void)state;
	plot(&style, b, 5, text, sizeof(text));
	assert_string_equal(text, "    39us - 47us           1  #\n"
				  "    47us - 56us     1000000  ###########\n"
				  "   680us - 1ms            0\n"
				  "     1ms - 1.5ms     500000  ######\n"
				  "  1e+03s - 1e+06s         1  #\n");
	style.blocks = true;
	plot(&style, b, 4, text, sizeof(text));
	assert_string_equal(text, "    39us - 47us           1  \u258f\n"
				  "    47us - 56us     1000000  "
				  "\u2588\u2588\u2588\u2588\u2588\u2588"
				  "\u2588\u2588\u2588\u2588\u2588\n"
				  "   680us - 1ms            0\n"
				  "     1ms - 1.5ms     500000  "
				  "\u2588\u2588\u2588\u2588\u2588\u258c\n");
	style = plot_style_of(stderr);
	assert_in_range(style.columns, PLOT_COLUMNS_MIN, PLOT_COLUMNS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_what_was_measured),
		cmocka_unit_test(buckets_are_logarithmic_and_whole),
		cmocka_unit_test(fewer_buckets_are_wider),
		cmocka_unit_test(bars_fit_and_show_what_is_not_empty),
	};

	return cmocka_run_group_tests_name("distribution", tests, NULL, NULL);
}
