// SPDX-License-Identifier: Apache-2.0
/* What the agent does when a peer, or the system, gives it a hard time. */
#include "test_agent_common.h"

#include <poll.h>
#include <sys/resource.h>

#include "../../agent/session.h"
#include "vmctl/agent/v1/system.pb-c.h"

static void a_small_message_cannot_take_much_memory(void **state)
{
	const size_t len = 2u << 20; /* a million empty metadata entries */
	struct ttrpc_header h = {.length = len, .stream_id = 1, .type = TTRPC_REQUEST};
	uint8_t *payload = malloc(len);
	int fd = dial(*state);

	assert_non_null(payload);
	for (size_t i = 0; i < len; i += 2) {
		payload[i] = 5 << 3 | 2;
		payload[i + 1] = 0;
	}
	send_frame(fd, h, payload);
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 3);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 32 << 10);
#endif
	free(payload);
	close(fd);
}

/* Sends pings of 64 KiB until the agent takes no more; returns how many bytes. */
static size_t stuff(int fd)
{
	Vmctl__Agent__V1__PingRequest ping = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	static uint8_t bytes[65536];
	uint8_t *packed, *frame;
	size_t len, total = 0, done;
	int ret;

	ping.payload.data = bytes;
	ping.payload.len = sizeof(bytes);
	packed = pack_request(SERVICE, "Ping", &ping.base, 0, &len);
	frame = malloc(TTRPC_HEADER_SIZE + len);
	assert_non_null(frame);
	memcpy(frame + TTRPC_HEADER_SIZE, packed, len);
	for (uint32_t id = 1; total < 256u << 20; id += 2) {
		struct ttrpc_header h = {
			.length = len, .stream_id = id, .type = TTRPC_REQUEST};

		ttrpc_header_encode(&h, frame);
		ret = io_write_full(fd, frame, TTRPC_HEADER_SIZE + len,
				    deadline_after_ms(1000), &done);
		total += done;
		if (ret) {
			assert_int_equal(ret, -ETIMEDOUT);
			break;
		}
	}
	free(packed);
	free(frame);
	return total;
}

static void a_client_that_never_reads_is_held_back(void **state)
{
	int fd = dial(*state), other = dial(*state);

	/* The queue, one message each way, and what the kernel's buffers take. */
	assert_in_range(stuff(fd), 1, AGENT_QUEUE_MAX + (4u << 20));
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
	expect_works(other, 1);
	close(fd);
	expect_works(other, 3);
	close(other);
}

static void what_was_held_back_is_answered_when_the_client_reads(void **state)
{
	int fd = dial(*state), size = 4096;
	uint32_t n = 20000, sent = 0, got = 0;
	uint8_t *packed;
	size_t len;

	/* Writes without reading as long as that goes, then reads one, and again. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	packed = pack_request(SERVICE, "Ping", NULL, 0, &len);
	while (got < n) {
		struct ttrpc_header h = {.length = len,
					 .stream_id = 2 * sent + 1,
					 .type = TTRPC_REQUEST};
		uint8_t frame[256];
		ssize_t put = -1;

		ttrpc_header_encode(&h, frame);
		memcpy(frame + TTRPC_HEADER_SIZE, packed, len);
		if (sent < n)
			put = send(fd, frame, TTRPC_HEADER_SIZE + len, MSG_DONTWAIT);
		if (put > 0) {
			send_bytes(fd, frame + put, TTRPC_HEADER_SIZE + len - put);
			sent++;
		} else {
			expect_status(fd, 2 * got++ + 1, TTRPC_OK);
		}
	}
	free(packed);
	close(fd);
}

static void a_thousand_connections_leak_no_descriptor(void **state)
{
	wait_until(count_fds(*state) == IDLE_FDS);
	for (int i = 0; i < 1000; i++) {
		int fd = dial(*state);

		if (i % 4 == 0)
			send_ping(fd, 1, "and gone before the answer");
		else if (i % 4 == 1)
			send_bytes(fd, "\0\0\0", 3);
		else if (i % 4 == 2)
			send_bytes(fd, "garbage, ten bytes", 18);
		close(fd);
	}
	wait_until(count_fds(*state) == IDLE_FDS);
}

/* Whether a new connection gets an answer to an empty (undecodable) request. */
static bool is_let_in(const struct fixture *f)
{
	struct ttrpc_header h = {.stream_id = 1, .type = TTRPC_REQUEST};
	uint8_t header[TTRPC_HEADER_SIZE];
	deadline_t deadline = deadline_after_ms(PATIENCE);
	int fd = dial(f);
	bool in;

	ttrpc_header_encode(&h, header);
	in = !io_write_full(fd, header, sizeof(header), deadline, NULL) &&
	     !io_read_full(fd, header, sizeof(header), deadline, NULL);
	close(fd);
	return in;
}

/* Calls of each kind on connections that come and go: some at once, some by a child. */
static void call_often(const struct fixture *f, size_t calls)
{
	const size_t at_once = 100, a_connection = 1000;
	struct answer a;
	int fd = -1;

	for (size_t n = 0; n < calls; n += at_once) {
		if (n % a_connection == 0) {
			close(fd);
			fd = dial(f);
		}
		for (size_t i = 0; i < at_once; i++) {
			uint32_t id = (uint32_t)((n % a_connection + i) * 2 + 1);

			if (i)
				send_ping(fd, id, "hello");
			else
				send_call(fd, id, SERVICE, "ListCpus", NULL, 0);
		}
		for (size_t i = 0; i < at_once; i++) {
			a = take_answer(fd);
			assert_int_equal(status_of(&a), TTRPC_OK);
			free_answer(&a);
		}
	}
	close(fd);
}

static void a_hundred_thousand_calls_leave_it_as_it_was(void **state)
{
	size_t before, fds;

	call_often(*state, 10000);
	wait_until(count_fds(*state) == IDLE_FDS);
	fds = count_fds(*state);
	before = status_kib(*state, "RssAnon:");
	call_often(*state, 100000);
	wait_until(count_fds(*state) == fds);
#ifndef __SANITIZE_ADDRESS__
	/* A byte that is kept of each call would be 98 KiB. */
	assert_in_range(status_kib(*state, "RssAnon:"), 0, before + 64);
#endif
}

static void connections_above_the_limit_are_closed_and_the_others_stay(void **state)
{
	int fds[AGENT_SESSIONS_MAX], extra;

	for (int i = 0; i < AGENT_SESSIONS_MAX; i++) {
		fds[i] = dial(*state);
		expect_works(fds[i], 1);
	}
	extra = dial(*state);
	expect_closed(extra);
	close(extra);
	for (int i = 0; i < AGENT_SESSIONS_MAX; i++)
		expect_works(fds[i], 3);
	assert_true(log_has(*state, "refused a connection"));
	close(fds[0]);
	/* The place is free as soon as the agent has seen the end of the first. */
	wait_until(is_let_in(*state));
	for (int i = 1; i < AGENT_SESSIONS_MAX; i++)
		close(fds[i]);
}

static void out_of_descriptors_the_agent_serves_on(void **state)
{
	struct fixture *f = *state;
	int held[AGENT_SESSIONS_MAX], waiting;
	struct rlimit small = {0}, old;

	for (int i = 0; i < 8; i++) {
		held[i] = dial(f);
		expect_works(held[i], 1);
	}
	assert_int_equal(prlimit(f->pid, RLIMIT_NOFILE, NULL, &old), 0);
	small.rlim_cur = 8; /* fewer than are open */
	small.rlim_max = old.rlim_max;
	assert_int_equal(prlimit(f->pid, RLIMIT_NOFILE, &small, NULL), 0);
	waiting = dial(f);
	send_ping(waiting, 1, "when you can");
	wait_until(log_has(f, "accept: "));
	expect_works(held[0], 3);
	assert_int_equal(prlimit(f->pid, RLIMIT_NOFILE, &old, NULL), 0);
	expect_pong(waiting, 1, "when you can");
	close(waiting);
	for (int i = 0; i < 8; i++)
		close(held[i]);
}

static void random_bytes_never_end_the_agent(void **state)
{
	const char *text = getenv("TEST_SEED");
	unsigned int seed = text ? strtoul(text, NULL, 10) : (unsigned int)time(NULL);
	uint8_t bytes[600];
	int fd;

	print_message("# TEST_SEED=%u\n", seed);
	srand(seed);
	for (int round = 0; round < 300; round++) {
		Vmctl__Agent__V1__OnlineCpusRequest online =
			VMCTL__AGENT__V1__ONLINE_CPUS_REQUEST__INIT;
		struct ttrpc_header h = {.type = TTRPC_REQUEST};
		uint32_t cpus[] = {99, 100};
		uint8_t *packed;
		size_t len;

		fd = dial(*state);
		online.cpus = cpus;
		online.n_cpus = 2;
		packed = pack_request(SERVICE, round % 2 ? "OnlineCpus" : "Ping",
				      &online.base, rand(), &len);
		for (uint32_t id = 1; id < 40; id += 2) {
			memcpy(bytes, packed, len);
			for (int flips = rand() % 4; flips; flips--)
				bytes[rand() % len] = rand();
			h.stream_id = id;
			h.length = len;
			send_frame(fd, h, bytes);
		}
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = rand() % 8 ? rand() : 0;
		send_bytes(fd, bytes, rand() % sizeof(bytes));
		close(fd);
		free(packed);
	}
	fd = dial(*state);
	expect_works(fd, 1);
	close(fd);
}

static void a_stale_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
	struct fixture *f = *state;
	int fd, status;
	pid_t second;

	fflush(NULL);
	second = fork();
	if (!second)
		agent_child(f);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_true(log_has(f, "Address already in use"));
	fd = dial(f);
	expect_works(fd, 1);
	close(fd);
	kill(f->pid, SIGKILL); /* leaves its socket file */
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	assert_int_equal(access(f->socket, F_OK), 0);
	fflush(NULL);
	f->pid = fork();
	if (!f->pid)
		agent_child(f);
	fd = dial(f);
	expect_works(fd, 1);
	close(fd);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct fixture other = *(struct fixture *)*state;
	char text[16];
	int status;
	pid_t pid;

	put_file(&other, "file", "precious");
	snprintf(other.socket, sizeof(other.socket), "%s/file", other.dir);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		alarm(PATIENCE / 1000); /* one that listens would not end */
		agent_child(&other);
	}
	wait_until(waitpid(pid, &status, WNOHANG) == pid || log_has(&other, "/file"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	get_file(&other, "file", text, sizeof(text));
	assert_string_equal(text, "precious");
}

/* The agent anew, with a pipe for its log that takes no more than a page. */
static int restart_with_a_pipe(struct fixture *f)
{
	char path[PATH_MAX];
	int log;

	kill(f->pid, SIGTERM);
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	path_of(f, "log", path);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	log = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(log >= 0);
	assert_true(fcntl(log, F_SETPIPE_SZ, 4096) > 0);
	fflush(NULL);
	f->pid = fork();
	if (!f->pid)
		agent_child(f);
	return log;
}

/* Reads until the log says it. */
static void read_until(int log, const char *part)
{
	char text[8192];
	size_t used = 0;

	text[0] = '\0';
	while (!strstr(text, part)) {
		struct pollfd p = {.fd = log, .events = POLLIN};
		ssize_t n;

		/* What came before the last KiB is not looked for any more. */
		if (used > sizeof(text) / 2) {
			memmove(text, text + used - 1024, 1024);
			used = 1024;
		}
		assert_true(poll(&p, 1, PATIENCE) > 0);
		n = read(log, text + used, sizeof(text) - 1 - used);
		assert_true(n > 0);
		used += n;
		text[used] = '\0';
	}
}

/* Calls that the host may make at will, and each is a line. */
static void fill_the_log(int fd, uint32_t n)
{
	Vmctl__Agent__V1__SetTimeRequest request =
		VMCTL__AGENT__V1__SET_TIME_REQUEST__INIT;
	struct answer answer;

	for (uint32_t id = 1; id < 2 * n; id += 2) {
		send_call(fd, id, SERVICE, "SetTime", &request.base, 0);
		answer = take_answer(fd);
		free_answer(&answer);
	}
}

static void a_log_that_nobody_reads_delays_nobody(void **state)
{
	struct fixture *f = *state;
	int log = restart_with_a_pipe(f), fd = dial(f);

	fill_the_log(fd, 500);
	expect_works(fd, 1001);
	/* What was held comes by itself once somebody reads, and what was lost is said.
	 */
	read_until(log, " lines did not fit into memory\n");
	expect_works(fd, 1003);
	send_call(fd, 1005, SERVICE, "SetHostname", NULL, 0);
	expect_status(fd, 1005, TTRPC_INVALID_ARGUMENT);
	read_until(log, "SetHostname: INVALID_ARGUMENT");
	close(fd);
	close(log);
}

static void the_socket_file_is_the_owners_only(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_small_message_cannot_take_much_memory),
		test(a_client_that_never_reads_is_held_back),
		test(what_was_held_back_is_answered_when_the_client_reads),
		test(a_thousand_connections_leak_no_descriptor),
		test(a_hundred_thousand_calls_leave_it_as_it_was),
		test(connections_above_the_limit_are_closed_and_the_others_stay),
		test(out_of_descriptors_the_agent_serves_on),
		test(random_bytes_never_end_the_agent),
		test(a_stale_socket_file_is_replaced_and_a_live_one_is_not),
		test(a_file_that_is_no_socket_is_left_alone),
		test(a_log_that_nobody_reads_delays_nobody),
		test(the_socket_file_is_the_owners_only),
	};

	return cmocka_run_group_tests_name("agent_limits", tests, NULL, NULL);
}
