/* SPDX-License-Identifier: Apache-2.0 */
/* The state that the next process finds: never torn, never trusted. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../transport/roll.h"
#include "../../transport/state.h"

enum {
	CONNS = 16,
	KILLS = 200,
};

static struct state_record record, found;

/* Every part of it says the same, so that a mixture of two shows. */
static void fill(uint64_t n)
{
	record.features = record.log_size = n;
	record.region_count = n % 7;
	for (uint32_t i = 0; i < record.region_count; i++)
		record.region[i].layout.guest = n + i;
}

static void is_whole(uint64_t least)
{
	assert_true(found.features >= least);
	assert_true(found.features == found.log_size);
	assert_int_equal(found.region_count, found.features % 7);
	for (uint32_t i = 0; i < found.region_count; i++)
		assert_true(found.region[i].layout.guest == found.features + i);
}

static void a_writer_killed_at_any_instruction_leaves_a_whole_record(void **unused)
{
	struct state state;
	uint64_t last = 0;

	(void)unused;
	assert_int_equal(state_create(&state, CONNS, NULL), 0);
	assert_false(state_load(&state, &found));
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (uint64_t n = last + 1;; n++) {
				fill(n);
				state_save(&state, &record);
			}
		}
		usleep(i * 7 % 1000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (!last && !state_load(&state, &found))
			continue;
		assert_true(state_load(&state, &found));
		is_whole(last);
		last = found.features;
	}
	assert_true(last > 0);
	state_close(&state);
}

static void what_does_not_add_up_is_left_for_what_does(void **unused)
{
	struct state state;
	char *bytes;

	(void)unused;
	assert_int_equal(state_create(&state, CONNS, NULL), 0);
	fill(1);
	state_save(&state, &record);
	fill(2);
	state_save(&state, &record);
	bytes = (char *)state.file;
	/* The newer one's first field, wherever it is. */
	for (size_t i = 0; i + sizeof(record.features) <= state.size; i += 8) {
		uint64_t word;

		memcpy(&word, bytes + i, sizeof(word));
		if (word == 2 && i + 16 < state.size &&
		    !memcmp(bytes + i + 16, &word, 8))
			bytes[i]++;
	}
	assert_true(state_load(&state, &found));
	is_whole(1);
	memset(bytes + 24, 0xff, state.size - 24);
	assert_false(state_load(&state, &found));
	state_close(&state);
}

static void files_that_are_no_state_are_refused(void **unused)
{
	struct state state, again;
	int fd;

	(void)unused;
	fd = memfd_create("empty", MFD_CLOEXEC);
	assert_int_equal(state_open(&again, fd, CONNS, NULL), -EBADMSG);
	assert_int_equal(state_create(&state, CONNS, NULL), 0);
	/* Shorter than it says. */
	fd = dup(state.fd);
	assert_int_equal(ftruncate(fd, (off_t)state.size - 1), 0);
	assert_int_equal(state_open(&again, fd, CONNS, NULL), -EBADMSG);
	assert_int_equal(ftruncate(state.fd, (off_t)state.size), 0);
	/* Room for fewer or for more than before. */
	assert_int_equal(state_open(&again, dup(state.fd), CONNS / 2, NULL), 0);
	assert_int_equal(again.conns_max, CONNS);
	state_close(&again);
	assert_int_equal(state_open(&again, dup(state.fd), CONNS * 4, NULL), 0);
	assert_int_equal(again.conns_max, CONNS * 4);
	assert_int_equal(state_age(&again), 2);
	state_close(&again);
	state_close(&state);
}

static void connections_are_found_until_they_are_told(void **unused)
{
	struct state state;
	struct roll roll;
	struct roll_name name = {.peer_cid = 2, .type = 1};
	uint32_t at[CONNS];

	(void)unused;
	assert_int_equal(state_create(&state, CONNS, NULL), 0);
	assert_true(roll_init(&roll, &state));
	for (uint32_t i = 0; i < CONNS; i++) {
		name.guest_port = i;
		at[i] = roll_add(&roll, &name);
		assert_int_not_equal(at[i], ROLL_NONE);
	}
	assert_int_equal(roll_add(&roll, &name), ROLL_NONE);
	for (uint32_t i = 0; i < CONNS; i += 2)
		roll_remove(&roll, at[i]);
	roll_settle(&roll);
	/* Nobody has published yet that this one is over. */
	roll_remove(&roll, at[1]);
	roll_free(&roll);
	/* The next process tells half of them, dies, and the one after it the rest. */
	assert_true(roll_init(&roll, &state));
	assert_int_equal(roll.lost_count, CONNS / 2);
	for (uint32_t i = 0; i < CONNS / 4; i++) {
		assert_true(roll_next_lost(&roll, &name));
		assert_int_equal(name.guest_port, 2 * i + 1);
	}
	roll_told(&roll);
	assert_true(roll_has_lost(&roll));
	assert_int_not_equal(roll_add(&roll, &name), ROLL_NONE);
	roll_free(&roll);
	assert_true(roll_init(&roll, &state));
	assert_int_equal(roll.lost_count, CONNS / 4 + 1);
	roll_forget_lost(&roll);
	assert_false(roll_has_lost(&roll));
	roll_free(&roll);
	state_close(&state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_writer_killed_at_any_instruction_leaves_a_whole_record),
		cmocka_unit_test(what_does_not_add_up_is_left_for_what_does),
		cmocka_unit_test(files_that_are_no_state_are_refused),
		cmocka_unit_test(connections_are_found_until_they_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
