/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Very many connections that do nothing, and one that works: no packet of the one makes
 * the daemon look at the others. What it looked at is counted in the pages of memory
 * that the kernel has seen it touch.
 */
#include <sys/resource.h>

#include "../../transport/conn.h"
#include "fake_flow.h"

enum {
	IDLE = 10000,
	TOTAL = 1 << 20,
	TURNS = 20,
};

static bool start_over(pid_t pid)
{
	char path[64];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, "1", 1) == 1;
	close(fd);
	return done;
}

/* A line of all its memory's in /proc, in bytes. */
static size_t memory_of(pid_t pid, const char *name)
{
	return proc_number(pid, "smaps_rollup", name) * 1024;
}

/* Moves bytes both ways. Returns what memory the daemon touched meanwhile. */
static size_t work(struct guest *g, int fd, struct flow *f)
{
	const uint64_t total = f->sent + TOTAL;

	if (!start_over(g->pid))
		skip(); /* somebody else's, or a kernel that does not tell */
	while (f->host_received < total || f->received < total) {
		if (f->sent < total)
			flow_send(g, f, 4096, 1);
		host_write_some(fd, f, total);
		flow_receive(g, f);
		host_read_some(fd, f);
	}
	return memory_of(g->pid, "\nReferenced:");
}

static void a_packet_of_one_looks_at_no_other(void **state)
{
	struct rlimit files = {IDLE + 1000, IDLE + 1000};
	struct limits limits = LIMITS_DEFAULT;
	struct flow f = flow_of(5000, 0);
	size_t alone, among, before;
	static int idle[IDLE];
	struct guest *g;
	uint32_t port;
	int fd;

	(void)state;
	alarm(PATIENCE * 3 / 1000);
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		skip(); /* not allowed so many */
	/* Pages stay as small as they are counted. */
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	limits.max_connections = IDLE + 1;
	g = guest_new_limited(&limits);
	guest_start(g);
	fd = join_in(g, f.guest_port, &f.host_port);
	work(g, fd, &f);
	alone = work(g, fd, &f);
	before = memory_of(g->pid, "\nRss:");
	for (int i = 0; i < IDLE; i++)
		idle[i] = join_in(g, 6000, &port);
	/* As much would have been touched, at least. */
	assert_true(memory_of(g->pid, "\nRss:") - before > IDLE * sizeof(struct conn));
	work(g, fd, &f);
	/*
	 * Not a bit of what there is of each. How much the daemon has in hand at a time
	 * varies; what it did for every packet it would do in all of the turns.
	 */
	among = SIZE_MAX;
	for (int i = 0; i < TURNS && among > alone + IDLE * sizeof(void *); i++)
		among = work(g, fd, &f);
	if (among > alone + IDLE * sizeof(void *))
		fail_msg("%zu bytes touched, and %zu among idle ones", alone, among);
	for (int i = 0; i < IDLE; i++)
		close(idle[i]);
	close(fd);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_of_one_looks_at_no_other),
	};

	return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
