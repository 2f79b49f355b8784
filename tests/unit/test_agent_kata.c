// SPDX-License-Identifier: Apache-2.0
/* The calls of Kata's agent, with the bytes that its runtimes send. */
#include "test_agent_common.h"

#include "kata/agent.pb-c.h"
#include "kata/health.pb-c.h"

#define KATA	   "grpc.AgentService"
#define MEMORY_DIR "sys/devices/system/memory"
#define COPY_DIR   "run/kata-containers"

static int start(void **state)
{
	test_services = agent_services_kata;
	return start_agent(state);
}

/* A call whose payload is given as bytes. */
static void send_bytes_call(int fd, uint32_t id, const char *method, const void *data,
			    size_t len)
{
	struct ttrpc_header h = {.stream_id = id, .type = TTRPC_REQUEST};
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	uint8_t packed[512];

	request.service = (char *)KATA;
	request.method = (char *)method;
	request.payload.data = (uint8_t *)data;
	request.payload.len = len;
	assert_true(ttrpc__request__get_packed_size(&request) <= sizeof(packed));
	h.length = ttrpc__request__pack(&request, packed);
	send_frame(fd, h, packed);
}

static void health_is_serving_and_says_a_version(void **state)
{
	Grpc__HealthCheckResponse *health;
	Grpc__VersionCheckResponse *version;
	int fd = dial(*state);

	send_call(fd, 1, "grpc.Health", "Check", NULL, 0);
	health = take_message(fd, 1, &grpc__health_check_response__descriptor);
	assert_int_equal(health->status, 1);
	free_message(health);
	send_call(fd, 3, "grpc.Health", "Version", NULL, 0);
	version = take_message(fd, 3, &grpc__version_check_response__descriptor);
	assert_string_equal(version->agent_version, VMCTL_VERSION);
	assert_true(*version->grpc_version);
	free_message(version);
	close(fd);
}

static void container_calls_are_unimplemented_and_the_connection_stays(void **state)
{
	static const char *const methods[] = {
		"CreateContainer",
		"StartContainer",
		"RemoveContainer",
		"UpdateContainer",
		"StatsContainer",
		"PauseContainer",
		"ResumeContainer",
		"ExecProcess",
		"SignalProcess",
		"WaitProcess",
		"WriteStdin",
		"ReadStdout",
		"ReadStderr",
		"CloseStdin",
		"TtyWinResize",
		"GetOOMEvent",
		/* Of the guest's, those that are left out. */
		"SetPolicy",
		"ResizeVolume",
		"UpdateEphemeralMounts",
	};
	int fd = dial(*state);
	uint32_t id = 1;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++, id += 2) {
		send_bytes_call(fd, id, methods[i], "\x0a\x01x", 3);
		expect_status(fd, id, TTRPC_UNIMPLEMENTED);
	}
	expect_works(fd, id);
	close(fd);
}

static void nb_cpus_is_a_total(void **state)
{
	Grpc__OnlineCPUMemRequest request = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
	int fd = dial(*state);

	/* nb_cpus 3, cpu_only: of four, of which CPU 0 is online. */
	send_bytes_call(fd, 1, "OnlineCPUMem", "\x10\x03\x18\x01", 4);
	free_message(take_message(fd, 1, &grpc__empty__descriptor));
	expect_file(*state, CPU_DIR "/cpu1/online", "1\n");
	expect_file(*state, CPU_DIR "/cpu2/online", "1\n");
	expect_file(*state, CPU_DIR "/cpu3/online", "0\n");
	request.nb_cpus = 1;
	send_call(fd, 3, KATA, "OnlineCPUMem", &request.base, 0);
	free_message(take_message(fd, 3, &grpc__empty__descriptor));
	expect_file(*state, CPU_DIR "/cpu3/online", "0\n");
	close(fd);
}

static void cpus_that_do_not_come_are_an_error_after_five_seconds(void **state)
{
	Grpc__OnlineCPUMemRequest request = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
	deadline_t began = deadline_after_ms(0);
	int fd = dial(*state);
	struct answer a;

	request.nb_cpus = 6;
	request.cpu_only = true;
	send_call(fd, 1, KATA, "OnlineCPUMem", &request.base, 0);
	expect_works(fd, 3);
	a = take_answer(fd);
	assert_int_equal(a.header.stream_id, 1);
	assert_int_equal(status_of(&a), TTRPC_INTERNAL);
	assert_string_equal(a.response->status->message,
			    "failed to online 2 CPU(s) after 100 retries");
	free_answer(&a);
	assert_true(deadline_after_ms(0) - began >= UINT64_C(4900000000));
	expect_file(*state, CPU_DIR "/cpu3/online", "1\n");
	close(fd);
}

/*
 * A lease holds whoever opens the file to write for 45 s, as the kernel holds whoever
 * brings a CPU online that does not start; reading goes on.
 */
static void a_write_that_hangs_does_not_hold_the_answer_up(void **state)
{
	Grpc__OnlineCPUMemRequest request = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
	int fd = dial(*state), lease;
	char path[PATH_MAX];
	struct answer a;

	path_of(*state, CPU_DIR "/cpu2/online", path);
	lease = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(lease >= 0);
	signal(SIGIO, SIG_IGN);
	if (fcntl(lease, F_SETLEASE, F_RDLCK) < 0)
		skip();
	request.nb_cpus = 3;
	send_call(fd, 1, KATA, "OnlineCPUMem", &request.base, 0);
	expect_works(fd, 3);
	a = take_answer(fd);
	assert_int_equal(a.header.stream_id, 1);
	assert_int_equal(status_of(&a), TTRPC_INTERNAL);
	assert_string_equal(a.response->status->message,
			    "failed to online 1 CPU(s) after 100 retries");
	free_answer(&a);
	expect_file(*state, CPU_DIR "/cpu1/online", "1\n");
	expect_file(*state, CPU_DIR "/cpu2/online", "0\n");
	/* What hung is let go, and does no more. */
	close(lease);
	expect_works(fd, 5);
	close(fd);
}

static void memory_comes_online_unless_it_is_about_cpus_only(void **state)
{
	Grpc__OnlineCPUMemRequest request = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
	int fd = dial(*state);

	put_file(*state, MEMORY_DIR "/memory5/state", "offline\n");
	request.nb_cpus = 1;
	request.cpu_only = true;
	send_call(fd, 1, KATA, "OnlineCPUMem", &request.base, 0);
	free_message(take_message(fd, 1, &grpc__empty__descriptor));
	expect_file(*state, MEMORY_DIR "/memory5/state", "offline\n");
	request.nb_cpus = 0;
	request.cpu_only = false;
	send_call(fd, 3, KATA, "OnlineCPUMem", &request.base, 0);
	free_message(take_message(fd, 3, &grpc__empty__descriptor));
	/* "online" over "offline\n": what a plain file makes of it. */
	expect_file(*state, MEMORY_DIR "/memory5/state", "onlinee\n");
	close(fd);
}

static void guest_details_say_what_memory_can_do(void **state)
{
	Grpc__GuestDetailsResponse *r;
	int fd = dial(*state);

	send_bytes_call(fd, 1, "GetGuestDetails", "\x08\x01\x10\x01", 4);
	r = take_message(fd, 1, &grpc__guest_details_response__descriptor);
	assert_int_equal(r->mem_block_size_bytes, 0);
	assert_false(r->support_mem_hotplug_probe);
	assert_string_equal(r->agent_details->version, VMCTL_VERSION);
	assert_false(r->agent_details->init_daemon);
	free_message(r);
	put_file(*state, MEMORY_DIR "/block_size_bytes", "8000000\n");
	put_file(*state, MEMORY_DIR "/probe", "");
	send_bytes_call(fd, 3, "GetGuestDetails", "\x08\x01\x10\x01", 4);
	r = take_message(fd, 3, &grpc__guest_details_response__descriptor);
	assert_int_equal(r->mem_block_size_bytes, 128 << 20);
	assert_true(r->support_mem_hotplug_probe);
	free_message(r);
	/* Two addresses, packed: 0x8000000 and 0x10000000. */
	send_bytes_call(fd, 5, "MemHotplugByProbe",
			"\x0a\x09\x80\x80\x80\x40\x80\x80\x80\x80\x01", 11);
	free_message(take_message(fd, 5, &grpc__empty__descriptor));
	expect_file(*state, MEMORY_DIR "/probe", "0x10000000");
	close(fd);
}

static void the_machine_of_a_test_keeps_its_clock_and_name(void **state)
{
	Grpc__SetGuestDateTimeRequest when = GRPC__SET_GUEST_DATE_TIME_REQUEST__INIT;
	Grpc__CreateSandboxRequest sandbox = GRPC__CREATE_SANDBOX_REQUEST__INIT;
	int fd = dial(*state);

	when.sec = 1;
	send_call(fd, 1, KATA, "SetGuestDateTime", &when.base, 0);
	expect_status(fd, 1, TTRPC_PERMISSION_DENIED);
	when.usec = 1000000;
	send_call(fd, 3, KATA, "SetGuestDateTime", &when.base, 0);
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	/* More than fits into nanoseconds. */
	when.usec = INT64_MAX;
	send_call(fd, 5, KATA, "SetGuestDateTime", &when.base, 0);
	expect_status(fd, 5, TTRPC_INVALID_ARGUMENT);
	sandbox.hostname = (char *)"other";
	send_call(fd, 7, KATA, "CreateSandbox", &sandbox.base, 0);
	expect_status(fd, 7, TTRPC_PERMISSION_DENIED);
	close(fd);
}

static void a_sandbox_says_what_it_cannot_do(void **state)
{
	Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
	Grpc__Empty storage = GRPC__EMPTY__INIT, *storages[] = {&storage};
	int fd = dial(*state);

	send_call(fd, 1, KATA, "CreateSandbox", &request.base, 0);
	free_message(take_message(fd, 1, &grpc__empty__descriptor));
	request.storages = storages;
	request.n_storages = 1;
	send_call(fd, 3, KATA, "CreateSandbox", &request.base, 0);
	expect_status(fd, 3, TTRPC_UNIMPLEMENTED);
	request.n_storages = 0;
	request.sandbox_pidns = true;
	send_call(fd, 5, KATA, "CreateSandbox", &request.base, 0);
	expect_status(fd, 5, TTRPC_UNIMPLEMENTED);
	send_call(fd, 7, KATA, "DestroySandbox", NULL, 0);
	free_message(take_message(fd, 7, &grpc__empty__descriptor));
	close(fd);
}

static void a_request_without_its_message_is_refused(void **state)
{
	static const char *const methods[] = {"UpdateInterface", "UpdateRoutes",
					      "AddARPNeighbors", "ReseedRandomDev"};
	int fd = dial(*state);
	uint32_t id = 1;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++, id += 2) {
		send_call(fd, id, KATA, methods[i], NULL, 0);
		expect_status(fd, id, TTRPC_INVALID_ARGUMENT);
	}
	close(fd);
}

static void metrics_are_in_the_older_format(void **state)
{
	int fd = dial(*state);
	Grpc__Metrics *r;

	send_call(fd, 1, KATA, "GetMetrics", NULL, 0);
	r = take_message(fd, 1, &grpc__metrics__descriptor);
	assert_non_null(strstr(r->metrics, "# TYPE vmctl_agent_calls_total counter\n"));
	assert_null(strstr(r->metrics, "# EOF"));
	free_message(r);
	close(fd);
}

static void expect_message(int fd, uint32_t id, int status, const char *text)
{
	struct answer a = take_answer(fd);

	assert_int_equal(a.header.stream_id, id);
	assert_int_equal(status_of(&a), status);
	if (!strstr(a.response->status->message, text))
		fail_msg("%s", a.response->status->message);
	free_answer(&a);
}

static void what_a_guest_without_containers_says_of_them(void **state)
{
	int fd = dial(*state);

	send_bytes_call(fd, 1, "GetDiagnosticData", "\x0a\x03log", 5);
	expect_message(fd, 1, TTRPC_INVALID_ARGUMENT,
		       "unsupported diagnostic log_type: log");
	send_bytes_call(fd, 3, "GetDiagnosticData", "\x0a\x0ftermination_log\x12\x01x",
			20);
	expect_message(fd, 3, TTRPC_INTERNAL, "Invalid container id: x");
	/* disabled = false, period_secs = 60 */
	send_bytes_call(fd, 5, "MemAgentMemcgSet", "\x08\x00\x20\x3c", 4);
	expect_message(fd, 5, TTRPC_INTERNAL, "mem-agent is disabled");
	send_bytes_call(fd, 7, "MemAgentCompactSet", "\x08\x00\x10\x3c", 4);
	expect_message(fd, 7, TTRPC_INTERNAL, "mem-agent is disabled");
	close(fd);
}

static void a_volume_says_how_full_it_is(void **state)
{
	Grpc__VolumeStatsRequest request = GRPC__VOLUME_STATS_REQUEST__INIT;
	Grpc__VolumeStatsResponse *r;
	int fd = dial(*state);

	put_file(*state, "volume/file", "");
	request.volume_guest_path = (char *)"/volume";
	send_call(fd, 1, KATA, "GetVolumeStats", &request.base, 0);
	r = take_message(fd, 1, &grpc__volume_stats_response__descriptor);
	assert_int_equal(r->n_usage, 2);
	assert_int_equal(r->usage[0]->unit, 1);
	assert_true(r->usage[0]->total > 0);
	assert_int_equal(r->usage[0]->available + r->usage[0]->used,
			 r->usage[0]->total);
	assert_int_equal(r->usage[1]->unit, 2);
	assert_int_equal(r->usage[1]->available + r->usage[1]->used,
			 r->usage[1]->total);
	assert_false(r->volume_condition->abnormal);
	assert_string_equal(r->volume_condition->message, "OK");
	free_message(r);
	request.volume_guest_path = (char *)"/none";
	send_call(fd, 3, KATA, "GetVolumeStats", &request.base, 0);
	expect_message(fd, 3, TTRPC_INTERNAL, "No such file or directory");
	send_call(fd, 5, KATA, "GetVolumeStats", NULL, 0);
	expect_status(fd, 5, TTRPC_INVALID_ARGUMENT);
	close(fd);
}

static void shares_are_looked_at_and_one_that_is_gone_is_no_error(void **state)
{
	int fd = dial(*state);

	put_file(*state, "proc/self/mounts",
		 "none /run/kata-containers/shared/containers/gone\\040one virtiofs rw "
		 "0 0\n"
		 "none /elsewhere virtiofs rw 0 0\n"
		 "no line of a table\n");
	send_call(fd, 1, KATA, "RemoveStaleVirtiofsShareMounts", NULL, 0);
	free_message(take_message(fd, 1, &grpc__empty__descriptor));
	close(fd);
}

/* On the bus, and behind a bridge; with a tree of a test it stays as it is. */
static void swap_is_on_the_disk_at_the_end_of_its_way(void **state)
{
	int fd = dial(*state);

	put_file(*state, "sys/devices/pci0000:00/0000:00:03.0/virtio0/block/vda/size",
		 "8");
	/* Slot 3; then slot 2, and behind it slot 17. */
	send_bytes_call(fd, 1, "AddSwap", "\x0a\x01\x03", 3);
	expect_message(fd, 1, TTRPC_PERMISSION_DENIED, "/dev/vda");
	put_file(*state, "sys/devices/pci0000:00/0000:00:02.0/pci_bus/0000:01/x", "");
	put_file(*state,
		 "sys/devices/pci0000:00/0000:00:02.0/0000:01:11.0/virtio5/block/vdb/"
		 "size",
		 "8");
	send_bytes_call(fd, 3, "AddSwap", "\x0a\x02\x02\x11", 4);
	expect_message(fd, 3, TTRPC_PERMISSION_DENIED, "/dev/vdb");
	/* No such slot, none at all; a disk that does not come. */
	send_bytes_call(fd, 7, "AddSwap", "\x0a\x01\x20", 3);
	expect_status(fd, 7, TTRPC_INVALID_ARGUMENT);
	send_bytes_call(fd, 9, "AddSwap", "", 0);
	expect_status(fd, 9, TTRPC_INVALID_ARGUMENT);
	send_bytes_call(fd, 11, "AddSwap", "\x0a\x01\x04", 3);
	expect_message(fd, 11, TTRPC_INTERNAL, "0000:00:04.0");
	close(fd);
}

static void swap_on_a_path_is_of_the_guest_only(void **state)
{
	int fd = dial(*state);

	send_bytes_call(fd, 1, "AddSwapPath", "\x0a\x05/swap", 7);
	expect_message(fd, 1, TTRPC_PERMISSION_DENIED, "/swap");
	send_bytes_call(fd, 3, "AddSwapPath", "\x0a\x04swap", 6);
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	close(fd);
}

static void put_program(const struct fixture *f, const char *name, const char *text)
{
	char path[PATH_MAX];

	put_file(f, name, text);
	path_of(f, name, path);
	assert_int_equal(chmod(path, 0700), 0);
}

static void packet_filters_go_through_their_programs(void **state)
{
	Grpc__GetIPTablesRequest get = GRPC__GET_IPTABLES_REQUEST__INIT;
	Grpc__SetIPTablesRequest set = GRPC__SET_IPTABLES_REQUEST__INIT;
	Grpc__GetIPTablesResponse *got;
	Grpc__SetIPTablesResponse *is;
	int fd = dial(*state);

	send_call(fd, 1, KATA, "GetIPTables", &get.base, 0);
	expect_message(fd, 1, TTRPC_INTERNAL, "/sbin/iptables-save: No such file");
	put_program(*state, "sbin/iptables-save", "#!/bin/sh\necho '*filter'\n");
	send_call(fd, 3, KATA, "GetIPTables", &get.base, 0);
	got = take_message(fd, 3, &grpc__get_iptables_response__descriptor);
	assert_int_equal(got->data.len, 8);
	assert_memory_equal(got->data.data, "*filter\n", 8);
	free_message(got);
	/* The one for IPv6, which is in the other place, and gets what it is to read.
	 */
	put_program(*state, "usr/sbin/ip6tables-restore",
		    "#!/bin/sh\necho \"$@\"; cat\n");
	set.is_ipv6 = true;
	set.data.data = (uint8_t *)"COMMIT\n";
	set.data.len = 7;
	send_call(fd, 5, KATA, "SetIPTables", &set.base, 0);
	is = take_message(fd, 5, &grpc__set_iptables_response__descriptor);
	assert_int_equal(is->data.len, 16);
	assert_memory_equal(is->data.data, "--wait 5\nCOMMIT\n", 16);
	free_message(is);
	put_program(*state, "sbin/iptables-restore",
		    "#!/bin/sh\necho no such table >&2; exit 1\n");
	set.is_ipv6 = false;
	send_call(fd, 7, KATA, "SetIPTables", &set.base, 0);
	expect_message(fd, 7, TTRPC_INTERNAL, "no such table");
	/* One that prints without end is ended. */
	put_program(*state, "sbin/iptables-save", "#!/bin/sh\nexec cat /dev/zero\n");
	send_call(fd, 9, KATA, "GetIPTables", &get.base, 0);
	expect_status(fd, 9, TTRPC_INTERNAL);
	close(fd);
}

/* CopyFile. */

static void send_copy(int fd, uint32_t id, const char *path, uint32_t mode,
		      int64_t size, int64_t offset, const char *data)
{
	Grpc__CopyFileRequest request = GRPC__COPY_FILE_REQUEST__INIT;

	request.path = (char *)path;
	request.file_mode = mode;
	request.dir_mode = 0700;
	request.file_size = size;
	request.offset = offset;
	request.uid = (int)getuid();
	request.gid = (int)getgid();
	request.data.data = (uint8_t *)data;
	request.data.len = strlen(data);
	send_call(fd, id, KATA, "CopyFile", &request.base, 0);
}

static void copy_well(int fd, uint32_t id, const char *path, uint32_t mode,
		      int64_t size, int64_t offset, const char *data)
{
	send_copy(fd, id, path, mode, size, offset, data);
	free_message(take_message(fd, id, &grpc__empty__descriptor));
}

static void refuse_copy(int fd, uint32_t id, const char *path, int status)
{
	send_copy(fd, id, path, S_IFREG | 0644, 1, 0, "x");
	expect_status(fd, id, status);
}

static int start_with_run(void **state)
{
	int ret = start(state);

	put_file(*state, "run/secret", "as it was");
	return ret;
}

static void a_file_comes_in_pieces_and_appears_whole(void **state)
{
	char path[PATH_MAX];
	int fd = dial(*state);
	struct stat st;

	copy_well(fd, 1, "/" COPY_DIR "/a/b/file", S_IFREG | 0640, 6, 0, "abc");
	assert_false(exists(*state, COPY_DIR "/a/b/file"));
	copy_well(fd, 3, "/" COPY_DIR "/a/b/file", S_IFREG | 0640, 6, 3, "def");
	expect_file(*state, COPY_DIR "/a/b/file", "abcdef");
	path_of(*state, COPY_DIR "/a/b/file", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	path_of(*state, COPY_DIR "/a", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* Another takes its place. */
	copy_well(fd, 5, "/" COPY_DIR "/a/b/file", S_IFREG | 0600, 2, 0, "xy");
	expect_file(*state, COPY_DIR "/a/b/file", "xy");
	copy_well(fd, 7, "/" COPY_DIR "/empty", S_IFREG | 0600, 0, 0, "");
	expect_file(*state, COPY_DIR "/empty", "");
	copy_well(fd, 9, "/" COPY_DIR "/dir", S_IFDIR | 0750, 4096, 0, "");
	path_of(*state, COPY_DIR "/dir", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	close(fd);
}

static void no_copy_leaves_its_directory(void **state)
{
	int fd = dial(*state);

	copy_well(fd, 1, "/" COPY_DIR "/out", S_IFLNK | 0777, 6, 0, "../sec");
	copy_well(fd, 3, "/" COPY_DIR "/out", S_IFLNK | 0777, 3, 0, "../");
	/* Not by a link to a directory, nor by one to a file, nor by a name. */
	refuse_copy(fd, 5, "/" COPY_DIR "/out/secret", TTRPC_FAILED_PRECONDITION);
	copy_well(fd, 7, "/" COPY_DIR "/file", S_IFLNK | 0777, 9, 0, "../secret");
	copy_well(fd, 9, "/" COPY_DIR "/file", S_IFREG | 0600, 1, 0, "y");
	copy_well(fd, 11, "/" COPY_DIR "/.vmctl-part.n", S_IFLNK | 0777, 9, 0,
		  "../secret");
	refuse_copy(fd, 13, "/" COPY_DIR "/n", TTRPC_INTERNAL);
	refuse_copy(fd, 15, "/" COPY_DIR "/../secret", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 17, "/" COPY_DIR "/a/../../secret", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 19, "/" COPY_DIR "/..", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 21, "/" COPY_DIR "/", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 23, "/" COPY_DIR "//x", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 25, "/run/secret", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 27, "/run/kata-containers-not/x", TTRPC_INVALID_ARGUMENT);
	refuse_copy(fd, 29, "", TTRPC_INVALID_ARGUMENT);
	expect_file(*state, "run/secret", "as it was");
	expect_file(*state, COPY_DIR "/file", "y");
	close(fd);
}

static void pieces_that_are_not_of_the_file_are_refused(void **state)
{
	const char *path = "/" COPY_DIR "/p";
	int fd = dial(*state);

	send_copy(fd, 1, path, S_IFREG | 0600, 1, 0, "too long");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	send_copy(fd, 3, path, S_IFREG | 0600, -1, 0, "");
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	send_copy(fd, 5, path, S_IFREG | 0600, INT64_MAX, INT64_MAX, "x");
	expect_status(fd, 5, TTRPC_INVALID_ARGUMENT);
	send_copy(fd, 7, path, S_IFREG | 0600, 1, -1, "x");
	expect_status(fd, 7, TTRPC_INVALID_ARGUMENT);
	send_copy(fd, 9, path, S_IFBLK | 0600, 1, 0, "x");
	expect_status(fd, 9, TTRPC_INVALID_ARGUMENT);
	assert_false(exists(*state, COPY_DIR "/p"));
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_agent)
#define copy_test(name) \
	cmocka_unit_test_setup_teardown(name, start_with_run, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(health_is_serving_and_says_a_version),
		test(container_calls_are_unimplemented_and_the_connection_stays),
		test(nb_cpus_is_a_total),
		test(cpus_that_do_not_come_are_an_error_after_five_seconds),
		test(a_write_that_hangs_does_not_hold_the_answer_up),
		test(memory_comes_online_unless_it_is_about_cpus_only),
		test(guest_details_say_what_memory_can_do),
		test(the_machine_of_a_test_keeps_its_clock_and_name),
		test(a_sandbox_says_what_it_cannot_do),
		test(a_request_without_its_message_is_refused),
		test(metrics_are_in_the_older_format),
		test(what_a_guest_without_containers_says_of_them),
		test(a_volume_says_how_full_it_is),
		test(shares_are_looked_at_and_one_that_is_gone_is_no_error),
		test(swap_is_on_the_disk_at_the_end_of_its_way),
		test(swap_on_a_path_is_of_the_guest_only),
		test(packet_filters_go_through_their_programs),
		copy_test(a_file_comes_in_pieces_and_appears_whole),
		copy_test(no_copy_leaves_its_directory),
		copy_test(pieces_that_are_not_of_the_file_are_refused),
	};

	return cmocka_run_group_tests_name("agent_kata", tests, NULL, NULL);
}
