// SPDX-License-Identifier: Apache-2.0
/* The samples of a text of metrics, which a guest may have made of anything. */
#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../../host-cli/figures.h"

static const char text[] = "# TYPE a counter\n"
			   "a_total{x=\"1\",y=\"}\\\" 9\"} 2.5\n"
			   "a_total{x=\"2\"} 4\n"
			   "b 7\n"
			   "# EOF\n";

static void samples_are_found_by_name_and_labels(void **state)
{
	double value = 0;

	(void)state;
	assert_true(figures_get(text, "b", &value));
	assert_true(value == 7);
	assert_true(figures_get(text, "a_total{x=\"2\"}", &value));
	assert_true(value == 4);
	assert_false(figures_get(text, "a_total", &value));
	assert_false(figures_get(text, "a_total{x=\"3\"}", &value));
	assert_true(figures_sum(text, "a_total", NULL) == 6.5);
	assert_true(figures_sum(text, "a_total", "x=\"1\"") == 2.5);
	assert_true(figures_sum(text, "nothing", NULL) == 0);
}

static void labels_are_taken_apart(void **state)
{
	struct figures_sample s;
	const char *at = text;
	char value[4];

	(void)state;
	assert_true(figures_next(&at, &s));
	assert_true(figures_label(&s, "x", value, sizeof(value)));
	assert_string_equal(value, "1");
	assert_true(figures_label(&s, "y", value, sizeof(value)));
	assert_string_equal(value, "}\\"); /* up to the next quotation mark */
	assert_false(figures_label(&s, "z", value, sizeof(value)));
	assert_true(figures_next(&at, &s));
	assert_true(figures_next(&at, &s));
	assert_false(figures_label(&s, "x", value, sizeof(value)));
	assert_false(figures_next(&at, &s));
}

static void lines_that_are_no_samples_are_passed_over(void **state)
{
	static const char *const lines[] = {
		"",	  "\n\n",	 "a",	   "a ",       "a \n5", "a{",
		"a{x=\"", "a{}",	 "a{} ",   "a{x=\"\\", "{} ",	" ",
		"a x",	  "a{x=\"}\" 1", "#b 1\n", "a{x}\n",   "a  1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		/* On the heap, so that a step beyond the end is seen. */
		char *line = strdup(lines[i]);
		struct figures_sample s;
		const char *at = line;

		assert_false(figures_next(&at, &s));
		assert_ptr_equal(at, line + strlen(line));
		free(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_found_by_name_and_labels),
		cmocka_unit_test(labels_are_taken_apart),
		cmocka_unit_test(lines_that_are_no_samples_are_passed_over),
	};

	return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
