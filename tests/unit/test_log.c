/* SPDX-License-Identifier: Apache-2.0 */
/* The log of what others can cause at will: bounded, each kind by itself. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "../../transport/log.h"

#define BURST 20

static unsigned int lines_with(FILE *log, const char *text)
{
	unsigned int count = 0;
	char line[256];

	rewind(log);
	while (fgets(line, sizeof(line), log))
		count += strstr(line, text) != NULL;
	return count;
}

static void knock(void)
{
	log_limited(LOG_LEVEL_INFO, "knock");
}

/* Until a line of it gets through again, a second after the last one. */
static void wait_for_knock(FILE *log, unsigned int more_than)
{
	for (int i = 0; i < 60000 && lines_with(log, "knock") <= more_than; i++) {
		usleep(1000);
		knock();
	}
}

static void one_flood_leaves_room_for_other_lines(void **state)
{
	FILE *log = tmpfile();
	int saved = dup(STDERR_FILENO);
	unsigned int before;

	(void)state;
	assert_non_null(log);
	assert_true(saved >= 0);
	fcntl(fileno(log), F_SETFL, O_APPEND);
	dup2(fileno(log), STDERR_FILENO);
	log_init("test", false);
	for (int i = 0; i < 1000; i++)
		knock();
	/* The clock may have moved on by some seconds meanwhile. */
	before = lines_with(log, "knock");
	for (int i = 0; i < BURST; i++)
		log_limited(LOG_LEVEL_WARNING, "something else");
	wait_for_knock(log, before);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_in_range(before, BURST, BURST + 60);
	assert_int_equal(lines_with(log, "something else"), BURST);
	/* What was left out is told. */
	assert_in_range(lines_with(log, "knock"), before + 1, before + 60);
	assert_true(lines_with(log, "lines like the next were left out") >= 1);
	fclose(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_flood_leaves_room_for_other_lines),
	};

	alarm(120);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
