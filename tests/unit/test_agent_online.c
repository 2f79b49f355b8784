// SPDX-License-Identifier: Apache-2.0
/* OnlineCpus, on a sysfs of plain files; a FIFO stands for a CPU that is slow. */
#include "test_agent_common.h"

#include <sys/prctl.h>

#include "../../agent/guest_cpu.h"
#include "../../agent/job.h"
#include "../../agent/session.h"

typedef Vmctl__Agent__V1__OnlineCpusResponse Response;

static void send_online(int fd, uint32_t stream_id, const uint32_t *cpus, size_t n,
			int64_t timeout_nano)
{
	Vmctl__Agent__V1__OnlineCpusRequest request =
		VMCTL__AGENT__V1__ONLINE_CPUS_REQUEST__INIT;

	request.cpus = (uint32_t *)cpus;
	request.n_cpus = n;
	send_call(fd, stream_id, SERVICE, "OnlineCpus", &request.base, timeout_nano);
}

static Response *take_online(int fd, uint32_t stream_id)
{
	struct answer a = take_answer(fd);
	Response *r;

	assert_int_equal(a.header.stream_id, stream_id);
	assert_int_equal(status_of(&a), TTRPC_OK);
	r = vmctl__agent__v1__online_cpus_response__unpack(
		NULL, a.response->payload.len, a.response->payload.data);
	assert_non_null(r);
	assert_non_null(r->cpus);
	free_answer(&a);
	return r;
}

static void free_online(Response *r)
{
	vmctl__agent__v1__online_cpus_response__free_unpacked(r, NULL);
}

static void expect_result(const Response *r, size_t i, uint32_t cpu, int error)
{
	assert_true(i < r->n_results);
	assert_int_equal(r->results[i]->cpu, cpu);
	assert_int_equal(r->results[i]->error, error);
	assert_int_equal(!!error, !!*r->results[i]->message);
}

/* Makes cpu1/online one that blocks whoever opens it. */
static void make_slow(const struct fixture *f)
{
	char path[PATH_MAX], other[PATH_MAX];

	path_of(f, CPU_DIR "/cpu1/online", path);
	path_of(f, CPU_DIR "/cpu1/fifo", other);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(link(path, other), 0);
}

/*
 * Lets those who wait go on, and has them find a file that says "1" afterwards.
 * Returns a descriptor to be closed when they have.
 */
static int let_go(const struct fixture *f)
{
	char path[PATH_MAX], other[PATH_MAX];
	int fd;

	put_file(f, CPU_DIR "/cpu1/after", "1\n");
	path_of(f, CPU_DIR "/cpu1/online", path);
	path_of(f, CPU_DIR "/cpu1/after", other);
	assert_int_equal(rename(other, path), 0);
	path_of(f, CPU_DIR "/cpu1/fifo", other);
	fd = open(other, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void an_empty_list_means_every_offline_cpu(void **state)
{
	int fd = dial(*state);
	Response *r;

	send_online(fd, 1, NULL, 0, 0);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, 3);
	for (uint32_t i = 0; i < 3; i++)
		expect_result(r, i, i + 1, 0);
	assert_int_equal(r->cpus->n_possible, 8);
	assert_int_equal(r->cpus->n_present, 4);
	assert_int_equal(r->cpus->n_online, 1);
	free_online(r);
	expect_file(*state, CPU_DIR "/cpu1/online", "1\n");
	expect_file(*state, CPU_DIR "/cpu2/online", "1\n");
	expect_file(*state, CPU_DIR "/cpu3/online", "1\n");
	close(fd);
}

static void nothing_offline_is_an_empty_answer(void **state)
{
	int fd = dial(*state);
	Response *r;

	put_file(*state, CPU_DIR "/online", "0-3\n");
	send_online(fd, 1, NULL, 0, 0);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, 0);
	assert_int_equal(r->cpus->n_online, 4);
	free_online(r);
	close(fd);
}

static void named_cpus_get_a_result_each_and_the_others_stay_off(void **state)
{
	static const uint32_t cpus[] = {2, 0, 5, 2, 4294967295, 8192};
	int fd = dial(*state);
	Response *r;

	send_online(fd, 1, cpus, 6, 0);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, 6);
	expect_result(r, 0, 2, 0);
	expect_result(r, 1, 0, 0); /* has no `online` file: it always is */
	expect_result(r, 2, 5, ENODEV);
	expect_result(r, 3, 2, 0);
	expect_result(r, 4, 4294967295, ENODEV);
	expect_result(r, 5, 8192, ENODEV);
	assert_non_null(strstr(r->results[2]->message, "CPU 5"));
	free_online(r);
	expect_file(*state, CPU_DIR "/cpu1/online", "0\n");
	expect_file(*state, CPU_DIR "/cpu2/online", "1\n");
	expect_file(*state, CPU_DIR "/cpu3/online", "0\n");
	close(fd);
}

static void one_cpu_that_fails_does_not_keep_the_others_off(void **state)
{
	char path[PATH_MAX];
	int fd = dial(*state);
	Response *r;

	path_of(*state, CPU_DIR "/cpu1/online", path);
	unlink(path);
	path_of(*state, CPU_DIR "/cpu2/online", path);
	unlink(path);
	/* Takes the write, and does not say 1 afterwards. */
	assert_int_equal(symlink("/dev/null", path), 0);
	send_online(fd, 1, NULL, 0, 0);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, 3);
	expect_result(r, 0, 1, ENOENT);
	expect_result(r, 1, 2, EIO);
	expect_result(r, 2, 3, 0);
	assert_non_null(strstr(r->results[1]->message, "cpu2/online"));
	free_online(r);
	expect_file(*state, CPU_DIR "/cpu3/online", "1\n");
	close(fd);
}

static void the_longest_list_is_taken_and_one_more_is_not(void **state)
{
	static uint32_t cpus[GUEST_CPU_MAX + 1];
	int fd = dial(*state);
	Response *r;

	for (uint32_t i = 0; i <= GUEST_CPU_MAX; i++)
		cpus[i] = UINT32_MAX - i;
	send_online(fd, 1, cpus, GUEST_CPU_MAX, 0);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, GUEST_CPU_MAX);
	expect_result(r, GUEST_CPU_MAX - 1, UINT32_MAX - GUEST_CPU_MAX + 1, ENODEV);
	free_online(r);
	memset(cpus, 0, sizeof(cpus));
	send_online(fd, 3, cpus, GUEST_CPU_MAX + 1, 0);
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 5);
	close(fd);
}

static void a_sysfs_that_makes_no_sense_is_an_error(void **state)
{
	int fd = dial(*state);

	put_file(*state, CPU_DIR "/present", "0-banana\n");
	send_online(fd, 1, NULL, 0, 0);
	expect_status(fd, 1, TTRPC_INTERNAL);
	put_file(*state, CPU_DIR "/present", "0-9999\n");
	send_online(fd, 3, NULL, 0, 0);
	expect_status(fd, 3, TTRPC_INTERNAL);
	expect_works(fd, 5);
	close(fd);
}

static void a_slow_cpu_blocks_no_other_call(void **state)
{
	int fd = dial(*state), other = dial(*state), held;
	Response *r;

	make_slow(*state);
	send_online(fd, 1, NULL, 0, 0);
	expect_works(fd, 3);
	expect_works(other, 1);
	send_call(other, 3, SERVICE, "GetGuestInfo", NULL, 0);
	expect_status(other, 3, TTRPC_OK);
	held = let_go(*state);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, 3);
	expect_result(r, 0, 1, 0);
	free_online(r);
	close(held);
	close(fd);
	close(other);
}

static void a_connection_closed_meanwhile_is_closed_for_its_peer(void **state)
{
	static const char garbage[] = "this is no ttrpc at all";
	int fd = dial(*state), other = dial(*state);

	/* The process that waits for the CPU must not hold the connection open. */
	make_slow(*state);
	send_online(other, 1, NULL, 0, 0);
	wait_until(count_children(*state) == 1);
	send_bytes(fd, garbage, sizeof(garbage));
	expect_closed(fd);
	close(fd);
	close(other);
}

static void many_slow_calls_wait_their_turn_and_are_all_answered(void **state)
{
	const uint32_t n = AGENT_CALLS_MAX, cpu = 1;
	int fd = dial(*state), other = dial(*state), held;

	make_slow(*state);
	for (uint32_t i = 0; i < n; i++)
		send_online(fd, 2 * i + 1, &cpu, 1, 0);
	wait_until(count_children(*state) == AGENT_JOBS_MAX);
	expect_works(other, 1);
	assert_int_equal(count_children(*state), AGENT_JOBS_MAX);
	held = let_go(*state);
	for (uint64_t seen = 0, i = 0; i < n; i++) {
		struct answer a = take_answer(fd);

		assert_int_equal(status_of(&a), TTRPC_OK);
		assert_in_range(a.header.stream_id, 1, 2 * n);
		assert_false(seen >> a.header.stream_id / 2 & 1);
		seen |= UINT64_C(1) << a.header.stream_id / 2;
		free_answer(&a);
	}
	wait_until(count_children(*state) == 0);
	close(held);
	close(fd);
	close(other);
}

static void calls_above_the_limit_are_refused_and_the_others_done(void **state)
{
	int fd = dial(*state), other = dial(*state), held;
	uint32_t last = 2 * AGENT_CALLS_MAX + 1;

	make_slow(*state);
	for (uint32_t id = 1; id < last; id += 2)
		send_online(fd, id, NULL, 0, 0);
	send_ping(fd, last, "too many");
	expect_status(fd, last, TTRPC_RESOURCE_EXHAUSTED);
	wait_until(count_children(*state) == AGENT_JOBS_MAX);
	for (uint32_t id = 1; id < 20; id += 2)
		expect_works(other, id);
	held = let_go(*state);
	for (int i = 0; i < AGENT_CALLS_MAX; i++) {
		struct answer a = take_answer(fd);

		assert_int_equal(status_of(&a), TTRPC_OK);
		free_answer(&a);
	}
	expect_works(fd, last + 2);
	close(held);
	close(fd);
	close(other);
}

static void a_call_whose_time_is_up_ends_and_leaves_nothing(void **state)
{
	int fd = dial(*state);

	expect_works(fd, 1);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	make_slow(*state);
	send_online(fd, 3, NULL, 0, 100000000);
	expect_status(fd, 3, TTRPC_DEADLINE_EXCEEDED);
	wait_until(count_children(*state) == 0);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	expect_works(fd, 5);
	close(fd);
}

static void a_caller_that_goes_ends_its_calls(void **state)
{
	int fd = dial(*state), other = dial(*state);

	make_slow(*state);
	for (uint32_t i = 0; i < 2 * AGENT_JOBS_MAX; i++)
		send_online(fd, 2 * i + 1, NULL, 0, 0);
	wait_until(count_children(*state) == AGENT_JOBS_MAX);
	close(fd);
	wait_until(count_children(*state) == 0);
	expect_works(other, 1);
	close(other);
}

static void a_call_under_way_at_a_half_close_is_answered(void **state)
{
	int fd = dial(*state), held;
	Response *r;

	make_slow(*state);
	send_online(fd, 1, NULL, 0, 0);
	wait_until(count_children(*state) == 1);
	shutdown(fd, SHUT_WR);
	/* After another connection's turn the agent has seen the end. */
	for (int i = 0; i < 3; i++) {
		int other = dial(*state);

		expect_works(other, 1);
		close(other);
	}
	held = let_go(*state);
	r = take_online(fd, 1);
	assert_int_equal(r->n_results, 3);
	free_online(r);
	expect_closed(fd);
	close(held);
	close(fd);
}

static void data_to_a_call_under_way_ends_it_with_one_answer(void **state)
{
	struct ttrpc_header h = {.length = 1, .stream_id = 1, .type = TTRPC_DATA};
	int fd = dial(*state);

	make_slow(*state);
	send_online(fd, 1, NULL, 0, 0);
	send_frame(fd, h, "x");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	wait_until(count_children(*state) == 0);
	expect_works(fd, 3);
	close(fd);
}

static void a_child_that_is_killed_is_an_error_and_no_more(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	pid_t child;

	make_slow(f);
	send_online(fd, 1, NULL, 0, 0);
	wait_until(count_children(f) == 1);
	assert_int_equal(proc_children(f->pid, &child, 1), 1);
	assert_int_equal(kill(child, SIGKILL), 0);
	expect_status(fd, 1, TTRPC_INTERNAL);
	expect_works(fd, 3);
	close(fd);
}

static void the_child_of_a_killed_agent_ends_too(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), status;
	pid_t child;

	make_slow(f);
	send_online(fd, 1, NULL, 0, 0);
	wait_until(count_children(f) == 1);
	assert_int_equal(proc_children(f->pid, &child, 1), 1);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	kill(f->pid, SIGKILL);
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	close(fd);
	/* It has the listening socket too, until it ends. */
	wait_until(waitpid(child, &status, WNOHANG) == child);
	fflush(NULL);
	f->pid = fork(); /* for the teardown */
	if (!f->pid)
		agent_child(f);
	close(dial(f));
}

/* The teardown sees to it that the agent ends well. */
static void the_agent_ends_at_once_with_a_call_under_way(void **state)
{
	int fd = dial(*state);

	make_slow(*state);
	send_online(fd, 1, NULL, 0, 0);
	wait_until(count_children(*state) == 1);
	close(fd);
	fd = dial(*state);
	send_online(fd, 1, NULL, 0, 0);
	expect_works(fd, 3);
	kill(((struct fixture *)*state)->pid, SIGTERM);
	expect_closed(fd);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_empty_list_means_every_offline_cpu),
		test(nothing_offline_is_an_empty_answer),
		test(named_cpus_get_a_result_each_and_the_others_stay_off),
		test(one_cpu_that_fails_does_not_keep_the_others_off),
		test(the_longest_list_is_taken_and_one_more_is_not),
		test(a_sysfs_that_makes_no_sense_is_an_error),
		test(a_slow_cpu_blocks_no_other_call),
		test(a_connection_closed_meanwhile_is_closed_for_its_peer),
		test(many_slow_calls_wait_their_turn_and_are_all_answered),
		test(calls_above_the_limit_are_refused_and_the_others_done),
		test(a_call_whose_time_is_up_ends_and_leaves_nothing),
		test(a_caller_that_goes_ends_its_calls),
		test(a_call_under_way_at_a_half_close_is_answered),
		test(data_to_a_call_under_way_ends_it_with_one_answer),
		test(a_child_that_is_killed_is_an_error_and_no_more),
		test(the_child_of_a_killed_agent_ends_too),
		test(the_agent_ends_at_once_with_a_call_under_way),
	};

	return cmocka_run_group_tests_name("agent_online", tests, NULL, NULL);
}
