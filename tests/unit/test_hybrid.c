/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "hybrid.h"

static int parse(const char *text, uint32_t *port)
{
	return hybrid_parse_connect(text, strlen(text), port);
}

static void a_connect_line_gives_its_port_in_either_case(void **state)
{
	uint32_t port = 0;

	(void)state;
	assert_int_equal(parse("CONNECT 219\n", &port), 12);
	assert_int_equal(port, 219);
	assert_int_equal(parse("connect 4294967295\n", &port), 19);
	assert_int_equal(port, UINT32_MAX);
	assert_int_equal(parse("Connect 0\r\n", &port), 11);
	assert_int_equal(port, 0);
}

static void bytes_behind_the_newline_are_not_counted(void **state)
{
	uint32_t port = 0;

	(void)state;
	assert_int_equal(parse("CONNECT 5000\nhello\n", &port), 13);
	assert_int_equal(port, 5000);
}

static void every_prefix_of_a_good_line_wants_more(void **state)
{
	static const char line[] = "CONNECT 1024\r\n";
	uint32_t port;
	size_t len;

	(void)state;
	for (len = 0; len < strlen(line); len++)
		assert_int_equal(hybrid_parse_connect(line, len, &port), 0);
	assert_int_equal(hybrid_parse_connect(line, len, &port), len);
}

static void a_wrong_line_is_refused_at_its_first_wrong_byte(void **state)
{
	static const char *const wrong[] = {
		"G",
		"CONNECX",
		"CONNECT\n",
		"CONNECT  1\n",
		"CONNECT \n",
		"CONNECT -1\n",
		"CONNECT 0x10\n",
		"CONNECT 4294967296\n",
		"CONNECT 00000000001",
		"CONNECT 1 \n",
		"CONNECT 1\rX",
		"OK 1\n",
	};
	uint32_t port;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(parse(wrong[i], &port), -EPROTO);
}

static void no_line_is_longer_than_the_limit(void **state)
{
	char text[HYBRID_LINE_MAX];
	uint32_t port;

	(void)state;
	memset(text, '0', sizeof(text));
	memcpy(text, "CONNECT ", 8);
	assert_int_equal(hybrid_parse_connect(text, sizeof(text), &port), -EPROTO);
}

static int parse_from(const char *text, uint32_t number[3])
{
	return hybrid_parse_connect_from(text, strlen(text), &number[0], &number[1],
					 &number[2]);
}

static void a_siblings_line_says_who_asks(void **state)
{
	uint32_t number[3];

	(void)state;
	assert_int_equal(parse_from("CONNECT 5000 FROM 4:1234\nhello", number), 25);
	assert_int_equal(number[0], 5000);
	assert_int_equal(number[1], 4);
	assert_int_equal(number[2], 1234);
	assert_int_equal(
		parse_from("connect 4294967295 from 4294967295:4294967295\r\n", number),
		47);
	assert_int_equal(number[2], UINT32_MAX);
}

static void every_prefix_of_a_siblings_line_wants_more(void **state)
{
	static const char line[] = "CONNECT 5000 FROM 4:1234\r\n";
	uint32_t n[3];
	size_t len;

	(void)state;
	for (len = 0; len < strlen(line); len++)
		assert_int_equal(
			hybrid_parse_connect_from(line, len, &n[0], &n[1], &n[2]), 0);
	assert_int_equal(hybrid_parse_connect_from(line, len, &n[0], &n[1], &n[2]),
			 len);
}

static void neither_line_passes_for_the_other(void **state)
{
	static const char *const wrong[] = {
		"CONNECT 5000\n",
		"CONNECT 5000\r\n",
		"CONNECT 5000 \n",
		"CONNECT 5000  FROM 4:1\n",
		"CONNECT 5000 FROM\n",
		"CONNECT 5000 FROM 4\n",
		"CONNECT 5000 FROM 4:\n",
		"CONNECT 5000 FROM :1\n",
		"CONNECT 5000 FROM 4: 1\n",
		"CONNECT 5000 FROM -4:1\n",
		"CONNECT 5000 FROM 4294967296:1\n",
		"CONNECT 5000 FROM 4:4294967296\n",
		"CONNECT 5000 FROM 00000000004:1\n",
		"CONNECT 5000 FROM 4:1 \n",
		"CONNECT 5000 FROM 4:1:1\n",
		"CONNECT 5000 FROM 4:1\rX",
	};
	uint32_t number[3];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (parse_from(wrong[i], number) != -EPROTO)
			fail_msg("%s", wrong[i]);
	}
	assert_int_equal(hybrid_parse_connect_from("CONNECT 5\0FROM 4:1\n", 19,
						   &number[0], &number[1], &number[2]),
			 -EPROTO);
	assert_int_equal(parse("CONNECT 5000 FROM 4:1234\n", &number[0]), -EPROTO);
}

static void what_is_formatted_parses_back(void **state)
{
	char line[HYBRID_LINE_MAX], longer[HYBRID_FROM_LINE_MAX];
	uint32_t port, from[3];
	size_t len;

	(void)state;
	len = hybrid_format_connect(line, UINT32_MAX);
	assert_int_equal(hybrid_parse_connect(line, len, &port), len);
	assert_int_equal(port, UINT32_MAX);
	len = hybrid_format_connect_from(longer, UINT32_MAX, UINT32_MAX, UINT32_MAX);
	assert_int_equal(
		hybrid_parse_connect_from(longer, len, &from[0], &from[1], &from[2]),
		len);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(from[i], UINT32_MAX);
	len = hybrid_format_ok(line, 1u << 30);
	assert_int_equal(hybrid_parse_ok(line, len, &port), len);
	assert_int_equal(port, 1u << 30);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connect_line_gives_its_port_in_either_case),
		cmocka_unit_test(bytes_behind_the_newline_are_not_counted),
		cmocka_unit_test(every_prefix_of_a_good_line_wants_more),
		cmocka_unit_test(a_wrong_line_is_refused_at_its_first_wrong_byte),
		cmocka_unit_test(no_line_is_longer_than_the_limit),
		cmocka_unit_test(a_siblings_line_says_who_asks),
		cmocka_unit_test(every_prefix_of_a_siblings_line_wants_more),
		cmocka_unit_test(neither_line_passes_for_the_other),
		cmocka_unit_test(what_is_formatted_parses_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
