// SPDX-License-Identifier: Apache-2.0
/* CPUs and memory blocks one by one, and the metrics. */
#include "test_agent_common.h"

#include "vmctl/agent/v1/cpu.pb-c.h"
#include "vmctl/agent/v1/memory.pb-c.h"
#include "vmctl/agent/v1/metrics.pb-c.h"

#define MEMORY_DIR "sys/devices/system/memory"

typedef Vmctl__Agent__V1__ListCpusResponse Cpus;
typedef Vmctl__Agent__V1__OfflineCpusResponse Offlined;
typedef Vmctl__Agent__V1__ListMemoryBlocksResponse Blocks;
typedef Vmctl__Agent__V1__MemoryBlocksResponse Results;

static void make_blocks(const struct fixture *f)
{
	put_file(f, MEMORY_DIR "/block_size_bytes", "8000000\n");
	put_file(f, MEMORY_DIR "/memory0/state", "online\n");
	put_file(f, MEMORY_DIR "/memory0/valid_zones", "Normal\n");
	put_file(f, MEMORY_DIR "/memory0/node1/x", "");
	put_file(f, MEMORY_DIR "/memory32/state", "offline\n");
	put_file(f, MEMORY_DIR "/memory32/valid_zones", "Normal Movable\n");
	put_file(f, MEMORY_DIR "/memory4/state", "offline\n");
	put_file(f, MEMORY_DIR "/power/state", "x\n");
}

static void cpus_are_listed_with_their_topology(void **state)
{
	int fd = dial(*state);
	Cpus *r;

	put_file(*state, CPU_DIR "/cpu0/topology/physical_package_id", "0\n");
	put_file(*state, CPU_DIR "/cpu0/topology/core_id", "3\n");
	put_file(*state, CPU_DIR "/cpu0/node2/x", "");
	put_file(*state, CPU_DIR "/cpu1/topology/core_id", "no number\n");
	send_call(fd, 1, SERVICE, "ListCpus", NULL, 0);
	r = take_message(fd, 1, &vmctl__agent__v1__list_cpus_response__descriptor);
	assert_int_equal(r->n_cpus, 4);
	assert_int_equal(r->cpus[0]->cpu, 0);
	assert_true(r->cpus[0]->online);
	assert_false(r->cpus[0]->hotpluggable);
	assert_int_equal(r->cpus[0]->package_id, 0);
	assert_int_equal(r->cpus[0]->core_id, 3);
	assert_int_equal(r->cpus[0]->die_id, -1);
	assert_int_equal(r->cpus[0]->node, 2);
	assert_int_equal(r->cpus[1]->cpu, 1);
	assert_false(r->cpus[1]->online);
	assert_true(r->cpus[1]->hotpluggable);
	assert_int_equal(r->cpus[1]->core_id, -1);
	assert_int_equal(r->cpus[1]->node, -1);
	free_message(r);
	close(fd);
}

static void send_offline(int fd, uint32_t id, const uint32_t *cpus, size_t n)
{
	Vmctl__Agent__V1__OfflineCpusRequest request =
		VMCTL__AGENT__V1__OFFLINE_CPUS_REQUEST__INIT;

	request.cpus = (uint32_t *)cpus;
	request.n_cpus = n;
	send_call(fd, id, SERVICE, "OfflineCpus", &request.base, 0);
}

static void each_cpu_that_is_to_go_offline_has_a_result(void **state)
{
	static const uint32_t cpus[] = {2, 0, 1, 9, 4294967295};
	int fd = dial(*state);
	Offlined *r;

	put_file(*state, CPU_DIR "/online", "0,2\n");
	put_file(*state, CPU_DIR "/cpu2/online", "1\n");
	send_offline(fd, 1, cpus, 5);
	r = take_message(fd, 1, &vmctl__agent__v1__offline_cpus_response__descriptor);
	assert_int_equal(r->n_results, 5);
	assert_int_equal(r->results[0]->error, 0);
	assert_string_equal(r->results[0]->message, "");
	assert_int_equal(r->results[1]->error, ENOENT);
	assert_non_null(strstr(r->results[1]->message, "CPU 0 cannot"));
	assert_int_equal(r->results[2]->error, 0); /* it is offline already */
	assert_int_equal(r->results[3]->error, ENODEV);
	assert_int_equal(r->results[4]->error, ENODEV);
	free_message(r);
	expect_file(*state, CPU_DIR "/cpu2/online", "0\n");
	wait_until(log_has(*state, "OfflineCpus: OK (3 of 5 failed)"));
	send_offline(fd, 3, NULL, 0);
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 5);
	close(fd);
}

static void memory_blocks_are_listed_by_number(void **state)
{
	int fd = dial(*state);
	Blocks *r;

	make_blocks(*state);
	send_call(fd, 1, SERVICE, "ListMemoryBlocks", NULL, 0);
	r = take_message(fd, 1,
			 &vmctl__agent__v1__list_memory_blocks_response__descriptor);
	assert_int_equal(r->block_size_bytes, 128 << 20);
	assert_int_equal(r->n_blocks, 3);
	assert_int_equal(r->blocks[0]->block, 0);
	assert_string_equal(r->blocks[0]->state, "online");
	assert_int_equal(r->blocks[0]->node, 1);
	assert_int_equal(r->blocks[1]->block, 4);
	assert_int_equal(r->blocks[2]->block, 32);
	assert_string_equal(r->blocks[2]->zones, "Normal Movable");
	assert_int_equal(r->blocks[2]->node, -1);
	free_message(r);
	close(fd);
}

static void a_kernel_without_memory_hotplug_says_so(void **state)
{
	int fd = dial(*state);

	send_call(fd, 1, SERVICE, "ListMemoryBlocks", NULL, 0);
	expect_status(fd, 1, TTRPC_NOT_FOUND);
	expect_works(fd, 3);
	close(fd);
}

static void memory_comes_online_all_of_it_or_what_is_named(void **state)
{
	Vmctl__Agent__V1__OnlineMemoryBlocksRequest request =
		VMCTL__AGENT__V1__ONLINE_MEMORY_BLOCKS_REQUEST__INIT;
	uint32_t named[] = {32, 7};
	int fd = dial(*state);
	Results *r;

	make_blocks(*state);
	request.blocks = named;
	request.n_blocks = 2;
	request.zone = VMCTL__AGENT__V1__MEMORY_ZONE__MEMORY_ZONE_MOVABLE;
	send_call(fd, 1, SERVICE, "OnlineMemoryBlocks", &request.base, 0);
	r = take_message(fd, 1, &vmctl__agent__v1__memory_blocks_response__descriptor);
	assert_int_equal(r->n_results, 2);
	assert_int_equal(r->results[0]->error, 0);
	assert_int_equal(r->results[1]->error, ENODEV);
	assert_non_null(strstr(r->results[1]->message, "7"));
	free_message(r);
	/* sysfs takes the whole word and forgets what was there. */
	expect_file(*state, MEMORY_DIR "/memory32/state", "online_movable");
	expect_file(*state, MEMORY_DIR "/memory4/state", "offline\n");
	request.n_blocks = 0;
	request.zone = VMCTL__AGENT__V1__MEMORY_ZONE__MEMORY_ZONE_KERNEL;
	put_file(*state, MEMORY_DIR "/memory32/state", "online\n");
	send_call(fd, 3, SERVICE, "OnlineMemoryBlocks", &request.base, 0);
	r = take_message(fd, 3, &vmctl__agent__v1__memory_blocks_response__descriptor);
	assert_int_equal(r->n_results, 1);
	assert_int_equal(r->results[0]->block, 4);
	assert_int_equal(r->results[0]->error, 0);
	free_message(r);
	expect_file(*state, MEMORY_DIR "/memory4/state", "online_kernel");
	request.zone = 7;
	send_call(fd, 5, SERVICE, "OnlineMemoryBlocks", &request.base, 0);
	expect_status(fd, 5, TTRPC_INVALID_ARGUMENT);
	close(fd);
}

static void memory_that_stays_is_an_errno_of_its_block(void **state)
{
	Vmctl__Agent__V1__OfflineMemoryBlocksRequest request =
		VMCTL__AGENT__V1__OFFLINE_MEMORY_BLOCKS_REQUEST__INIT;
	uint32_t named[] = {4, 0};
	char path[PATH_MAX];
	int fd = dial(*state);
	Results *r;

	make_blocks(*state);
	/* Takes the write, and does not say so afterwards. */
	path_of(*state, MEMORY_DIR "/memory0/state", path);
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	request.blocks = named;
	request.n_blocks = 2;
	send_call(fd, 1, SERVICE, "OfflineMemoryBlocks", &request.base, 0);
	r = take_message(fd, 1, &vmctl__agent__v1__memory_blocks_response__descriptor);
	assert_int_equal(r->results[0]->error, 0);
	assert_int_equal(r->results[1]->error, EIO);
	free_message(r);
	request.n_blocks = 0;
	send_call(fd, 3, SERVICE, "OfflineMemoryBlocks", &request.base, 0);
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	close(fd);
}

static void expect_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || (at > text && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line '%s' in:\n%s", line, text);
}

/* Its real id, and names that it has not. */
static void put_root(const struct fixture *f)
{
	char text[512];
	struct statx st;

	assert_int_equal(statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &st), 0);
	snprintf(text, sizeof(text),
		 "%llu 1 8:1 / / rw - ext4 a\"b\\134c rw\n"
		 "%llu 1 8:1 / / rw - ext4 x rw\n"
		 "%llu 1 0:9 / / rw - autofs y rw\n",
		 (unsigned long long)st.stx_mnt_id, (unsigned long long)st.stx_mnt_id,
		 (unsigned long long)st.stx_mnt_id);
	put_file(f, "proc/self/mountinfo", text);
	put_file(f, "proc/filesystems", "nodev\tautofs\n\text4\n");
}

static void metrics_are_openmetrics(void **state)
{
	Vmctl__Agent__V1__GetMetricsResponse *r;
	int fd = dial(*state);

	put_file(*state, "proc/stat",
		 "cpu  9 9 9 9\ncpu0 100 0 200 300 0 0 0 400 0 0\nintr 1\n");
	put_file(*state, "proc/loadavg", "0.25 0.50 1.00 1/2 3\n");
	put_file(*state, "proc/vmstat", "pgfault 1\noom_kill 7\n");
	put_file(*state, "proc/pressure/cpu",
		 "some avg10=50.00 avg60=0.00 avg300=0.00 total=2500000\n");
	put_file(*state, "proc/pressure/memory",
		 "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
		 "full avg10=1.00 avg60=0.00 avg300=0.00 total=1\n");
	put_file(*state, "proc/pressure/io",
		 "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	put_root(*state);
	expect_works(fd, 1);
	send_call(fd, 3, SERVICE, "NoSuchMethod", NULL, 0);
	expect_status(fd, 3, TTRPC_UNIMPLEMENTED);
	send_call(fd, 5, SERVICE, "GetMetrics", NULL, 0);
	r = take_message(fd, 5, &vmctl__agent__v1__get_metrics_response__descriptor);
	expect_line(r->text, "# TYPE vmctl_guest_cpu_seconds counter");
	expect_line(r->text,
		    "vmctl_guest_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 2");
	expect_line(r->text, "vmctl_guest_cpus{state=\"present\"} 4");
	expect_line(r->text, "vmctl_guest_memory_bytes{field=\"MemFree\"} 1024000");
	expect_line(r->text, "vmctl_guest_load{minutes=\"5\"} 0.5");
	expect_line(r->text, "vmctl_guest_oom_kills_total 7");
	expect_line(r->text, "vmctl_guest_pressure_seconds_total{resource=\"cpu\","
			     "tasks=\"some\"} 2.5");
	expect_line(r->text,
		    "vmctl_guest_pressure_ratio{resource=\"cpu\",tasks=\"some\"} 0.5");
	expect_line(r->text, "vmctl_agent_calls_total 3");
	expect_line(r->text, "vmctl_agent_calls_failed_total 1");
	expect_line(r->text, "vmctl_agent_connections_open 1");
	/* Of two mounts at a place one is told, with its name escaped. */
	assert_non_null(strstr(r->text, "{device=\"a\\\"b\\\\c\",mountpoint=\"/\","));
	assert_null(strstr(r->text, "device=\"x\""));
	assert_null(strstr(r->text, "device=\"y\""));
	expect_line(r->text, "vmctl_agent_processes_left 0");
	assert_string_equal(r->text + strlen(r->text) - 6, "# EOF\n");
	free_message(r);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(cpus_are_listed_with_their_topology),
		test(each_cpu_that_is_to_go_offline_has_a_result),
		test(memory_blocks_are_listed_by_number),
		test(a_kernel_without_memory_hotplug_says_so),
		test(memory_comes_online_all_of_it_or_what_is_named),
		test(memory_that_stays_is_an_errno_of_its_block),
		test(metrics_are_openmetrics),
	};

	return cmocka_run_group_tests_name("agent_guest", tests, NULL, NULL);
}
