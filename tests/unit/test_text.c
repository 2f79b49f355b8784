/* SPDX-License-Identifier: Apache-2.0 */
/* What a user types, and what of a guest's words reaches a terminal. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host-cli/cpumask.h"
#include "../../host-cli/text.h"

static void a_guests_words_lose_what_could_steer_a_terminal(void **state)
{
	char words[] = "ok \x1b[31mred\x07\n\xc2\x9b \x7f~";
	char small[4];

	(void)state;
	text_sanitize(words);
	assert_string_equal(words, "ok ?[31mred???? ?~");
	text_copy(small, sizeof(small), "a\nbcdef", 7);
	assert_string_equal(small, "a?b");
	text_copy(small, sizeof(small), "a", 1);
	assert_string_equal(small, "a");
	text_copy(small, sizeof(small), "xyz", 0);
	assert_string_equal(small, "");
}

static void numbers_are_decimal_and_in_range(void **state)
{
	static const char *const bad[] = {
		"",    "-1", "+1", " 1",  "1 ",
		"0x1", "11", "0",  "1e1", "99999999999999999999"};
	uint64_t v;
	size_t i;

	(void)state;
	assert_int_equal(text_number("10", 1, 10, &v), 0);
	assert_int_equal(v, 10);
	assert_int_equal(text_number("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_number(bad[i], 1, 10, &v), -EINVAL);
	assert_int_equal(text_number("18446744073709551616", 0, UINT64_MAX, &v),
			 -EINVAL);
	assert_int_equal(text_number("3", 0, 2, &v), -EINVAL);
}

static void seconds_may_have_a_fraction(void **state)
{
	static const char *const bad[] = {"",	"0",   "0.0", ".5",
					  "1.", "1.x", "-1",  "1s"};
	int64_t ms;
	size_t i;

	(void)state;
	assert_int_equal(text_seconds("30", &ms), 0);
	assert_int_equal(ms, 30000);
	assert_int_equal(text_seconds("0.25", &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(text_seconds("1.23456", &ms), 0);
	assert_int_equal(ms, 1234);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_seconds(bad[i], &ms), -EINVAL);
}

static void a_bare_size_is_in_mebibytes(void **state)
{
	static const char *const bad[] = {"",	       "M",	    "0",   "1K",
					  "1GB",       "1m",	    "-1G", "8388608T",
					  "16777216T", "4294967296"};
	uint64_t mib;
	size_t i;

	(void)state;
	assert_int_equal(text_mebibytes("256", &mib), 0);
	assert_int_equal(mib, 256);
	assert_int_equal(text_mebibytes("2G", &mib), 0);
	assert_int_equal(mib, 2048);
	assert_int_equal(text_mebibytes("1T", &mib), 0);
	assert_int_equal(mib, 1 << 20);
	assert_int_equal(text_mebibytes("8388607T", &mib), 0);
	assert_true(mib << 20 == 0x7fffff0000000000);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_mebibytes(bad[i], &mib), -EINVAL);
}

static void a_size_in_bytes_has_limits(void **state)
{
	static const char *const bad[] = {
		"",   "K",  "0",    "1KB", "1k",
		"-1", "1 ", "1025", "2K",  "18014398509481985K"};
	uint64_t bytes;
	size_t i;

	(void)state;
	assert_int_equal(text_bytes("1000", 1, 1024, &bytes), 0);
	assert_int_equal(bytes, 1000);
	assert_int_equal(text_bytes("1K", 1, 1024, &bytes), 0);
	assert_int_equal(bytes, 1024);
	assert_int_equal(text_bytes("3T", 0, INT64_MAX, &bytes), 0);
	assert_true(bytes == 3ull << 40);
	assert_int_equal(text_bytes("8388608T", 0, INT64_MAX, &bytes), -EINVAL);
	assert_int_equal(text_bytes("0", 0, 10, &bytes), 0);
	assert_int_equal(bytes, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_bytes(bad[i], 1, 1024, &bytes), -EINVAL);
}

static void a_list_holds_numbers_and_ranges_once_each(void **state)
{
	static const char *const bad[] = {"",	  ",",	 "1,", ",1",
					  "1,,2", "3-1", "1-", "a"};
	uint32_t list[4];
	size_t i, n;

	(void)state;
	assert_int_equal(text_list("7,1-3", 10, list, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(list[0], 7);
	assert_int_equal(list[3], 3);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_list(bad[i], 10, list, 4, &n), -EINVAL);
	assert_int_equal(text_list("11", 10, list, 4, &n), -EINVAL);
	assert_int_equal(text_list("1,1", 10, list, 4, &n), -EEXIST);
	assert_int_equal(text_list("1-5", 10, list, 4, &n), -E2BIG);
	assert_int_equal(text_list("0-65535", 65535, list, 4, &n), -E2BIG);
}

static void a_quoted_word_is_one_word_to_a_shell(void **state)
{
	static const char *const pairs[][2] = {
		{"q35,memory-backend=mem0", "q35,memory-backend=mem0"},
		{"", "''"},
		{"a b", "'a b'"},
		{"it's", "'it'\\''s'"},
		{"$(x)`y`", "'$(x)`y`'"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *quoted = text_quote(pairs[i][0]);

		assert_string_equal(quoted, pairs[i][1]);
		free(quoted);
	}
}

static int take_word(void *into, const char *word, size_t len)
{
	char *text = into;

	if (len == 4 && !memcmp(word, "stop", len))
		return -EINVAL;
	sprintf(text + strlen(text), "<%.*s>", (int)len, word);
	return 0;
}

static void words_are_what_is_between_commas(void **state)
{
	static const char *const pairs[][2] = {
		{"one", "<one>"},   {"one,two", "<one><two>"}, {"", "<>"},
		{",a,", "<><a><>"}, {"a b", "<a b>"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		*text = '\0';
		assert_int_equal(text_words(pairs[i][0], take_word, text), 0);
		assert_string_equal(text, pairs[i][1]);
	}
	*text = '\0';
	assert_int_equal(text_words("a,stop,b", take_word, text), -EINVAL);
	assert_string_equal(text, "<a>");
}

static void a_cpu_set_prints_as_ranges(void **state)
{
	struct cpumask a = {0}, b = {0}, d;
	char text[64], tiny[8];
	uint32_t cpu;

	(void)state;
	assert_string_equal(cpumask_format(&a, text, sizeof(text)), "none");
	for (cpu = 0; cpu < 4; cpu++)
		assert_int_equal(cpumask_add(&a, cpu), 0);
	assert_int_equal(cpumask_add(&a, CPUMASK_MAX - 1), 0);
	assert_int_equal(cpumask_add(&a, CPUMASK_MAX), -ERANGE);
	assert_string_equal(cpumask_format(&a, text, sizeof(text)), "0-3,8191");
	assert_int_equal(cpumask_count(&a), 5);
	assert_int_equal(cpumask_add(&b, 0), 0);
	assert_int_equal(cpumask_add(&b, 7), 0);
	d = cpumask_minus(&a, &b);
	assert_string_equal(cpumask_format(&d, text, sizeof(text)), "1-3,8191");
	assert_false(cpumask_has(&d, 0));
	assert_false(cpumask_has(&d, CPUMASK_MAX + 3));
	cpumask_format(&a, tiny, sizeof(tiny));
	assert_string_equal(tiny + 4, "...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guests_words_lose_what_could_steer_a_terminal),
		cmocka_unit_test(numbers_are_decimal_and_in_range),
		cmocka_unit_test(seconds_may_have_a_fraction),
		cmocka_unit_test(a_bare_size_is_in_mebibytes),
		cmocka_unit_test(a_size_in_bytes_has_limits),
		cmocka_unit_test(a_list_holds_numbers_and_ranges_once_each),
		cmocka_unit_test(a_quoted_word_is_one_word_to_a_shell),
		cmocka_unit_test(words_are_what_is_between_commas),
		cmocka_unit_test(a_cpu_set_prints_as_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
