/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent of one's own for a test: a child process that serves a Unix socket and
 * a /proc and /sys made of plain files, and a client for it.
 */
#ifndef TEST_AGENT_COMMON_H
#define TEST_AGENT_COMMON_H

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../agent/agent.h"
#include "../../agent/service.h"
#include "io.h"
#include "proc_file.h"
#include "ttrpc.h"
#include "ttrpc.pb-c.h"
#include "vmctl/agent/v1/agent.pb-c.h"

#define SERVICE	 "vmctl.agent.v1.GuestAgent"
#define PATIENCE 60000 /* ms; how long a test waits before it calls it a failure */
#define CPU_DIR	 "sys/devices/system/cpu"

struct fixture {
	char dir[64];
	char socket[80];
	pid_t pid;
};

/* What the agent is to serve, if not what it always does. */
static const struct agent_service *const *test_services = agent_services;
/* Room for its policy's path, and what is in it; or none. */
static char *test_policy;
static const char *test_policy_text;
static bool test_policy_may_miss;
/* Below its directory, what files are beneath; or none. */
static const char *test_files_root;

struct answer {
	struct ttrpc_header header;
	Ttrpc__Response *response;
};

/* Waits for a condition; the time it takes decides nothing. */
#define wait_until(cond)                                             \
	do {                                                         \
		deadline_t wait_end = deadline_after_ms(PATIENCE);   \
		while (!(cond)) {                                    \
			assert_true(deadline_left_ms(wait_end) > 0); \
			usleep(2000);                                \
		}                                                    \
	} while (0)

static inline void path_of(const struct fixture *f, const char *name,
			   char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", f->dir, name);
}

/* Writes a file below the fixture's root, with the directories that it needs. */
static inline void put_file(const struct fixture *f, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	path_of(f, name, path);
	for (char *p = path + strlen(f->dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static inline void get_file(const struct fixture *f, const char *name, char *text,
			    size_t size)
{
	char path[PATH_MAX];
	FILE *file;
	size_t n;

	path_of(f, name, path);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
}

static inline void expect_file(const struct fixture *f, const char *name,
			       const char *text)
{
	char is[4096];

	get_file(f, name, is, sizeof(is));
	assert_string_equal(is, text);
}

static inline bool exists(const struct fixture *f, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(f, name, path);
	return !lstat(path, &st);
}

static inline bool log_has(const struct fixture *f, const char *part)
{
	char text[65536];

	get_file(f, "log", text, sizeof(text));
	return strstr(text, part);
}

/* CPU 0 is online and has no `online` file, 1 to 3 are present, 4 to 7 possible. */
static inline void make_tree(const struct fixture *f)
{
	put_file(f, CPU_DIR "/possible", "0-7\n");
	put_file(f, CPU_DIR "/present", "0-3\n");
	put_file(f, CPU_DIR "/online", "0\n");
	put_file(f, CPU_DIR "/cpu1/online", "0\n");
	put_file(f, CPU_DIR "/cpu2/online", "0\n");
	put_file(f, CPU_DIR "/cpu3/online", "0\n");
	put_file(f, "proc/meminfo",
		 "MemTotal:         234567 kB\nMemFree:           1000 kB\n"
		 "MemAvailable:     123456 kB\n");
	put_file(f, "sys/module/upcall/version", "9.8.7\n");
}

static inline int try_dial(const struct fixture *f)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(un.sun_path, f->socket, strlen(f->socket) + 1);
	if (!connect(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	close(fd);
	return -1;
}

static inline int dial(const struct fixture *f)
{
	int fd;

	wait_until((fd = try_dial(f)) >= 0);
	return fd;
}

static inline void agent_child(const struct fixture *f)
{
	struct agent_options options = {.root = f->dir,
					.services = test_services,
					.policy = test_policy,
					.policy_may_miss = test_policy_may_miss};
	char address[100], path[PATH_MAX], files_root[PATH_MAX];
	struct error err;
	int fd, ret;

	path_of(f, "log", path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	close(fd);
	/* What was open in the test is none of the agent's. */
	closefrom(3);
	if (test_files_root) {
		path_of(f, test_files_root, files_root);
		options.files_root = files_root;
	}
	snprintf(address, sizeof(address), "unix:%s", f->socket);
	ret = agent_address_parse(address, &options.listen, &err);
	if (!ret)
		ret = agent_run(&options, &err);
	if (ret)
		fprintf(stderr, "failed: %s\n", err.text);
	exit(ret ? 1 : 0); /* runs the leak check of a sanitized build */
}

static inline int start_agent(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/vmctl-agent-test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->socket, sizeof(f->socket), "%s/agent.sock", f->dir);
	make_tree(f);
	if (test_policy) {
		path_of(f, "policy", test_policy);
		put_file(f, "policy", test_policy_text);
	}
	fflush(NULL);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (!f->pid)
		agent_child(f);
	close(dial(f));
	*state = f;
	return 0;
}

static inline int remove_entry(const char *path, const struct stat *st, int flag,
			       struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void remove_tree(const char *path)
{
	assert_int_equal(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Every test ends with the agent's own clean end: no crash, no leak, no socket. */
static inline int stop_agent(void **state)
{
	struct fixture *f = *state;
	char text[65536];
	int status = 0;
	bool clean;

	kill(f->pid, SIGTERM);
	wait_until(waitpid(f->pid, &status, WNOHANG) == f->pid);
	clean = WIFEXITED(status) && !WEXITSTATUS(status) &&
		access(f->socket, F_OK) < 0;
	if (!clean) {
		get_file(f, "log", text, sizeof(text));
		print_error("agent ended with status 0x%x; its log:\n%s\n", status,
			    text);
	}
	remove_tree(f->dir);
	free(f);
	return clean ? 0 : -1;
}

static inline void send_bytes(int fd, const void *data, size_t len)
{
	assert_int_equal(
		io_write_full(fd, data, len, deadline_after_ms(PATIENCE), NULL), 0);
}

static inline void send_frame(int fd, struct ttrpc_header h, const void *payload)
{
	uint8_t header[TTRPC_HEADER_SIZE];

	ttrpc_header_encode(&h, header);
	send_bytes(fd, header, sizeof(header));
	send_bytes(fd, payload, h.length);
}

/* The encoding of a ttrpc.Request; to be freed. */
static inline uint8_t *pack_request(const char *service, const char *method,
				    const ProtobufCMessage *message,
				    int64_t timeout_nano, size_t *len)
{
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	uint8_t *payload = NULL, *packed;

	request.service = (char *)service;
	request.method = (char *)method;
	request.timeout_nano = timeout_nano;
	if (message) {
		request.payload.len = protobuf_c_message_get_packed_size(message);
		payload = malloc(request.payload.len + 1);
		assert_non_null(payload);
		protobuf_c_message_pack(message, payload);
		request.payload.data = payload;
	}
	*len = ttrpc__request__get_packed_size(&request);
	packed = malloc(*len + 1);
	assert_non_null(packed);
	ttrpc__request__pack(&request, packed);
	free(payload);
	return packed;
}

static inline void send_call(int fd, uint32_t stream_id, const char *service,
			     const char *method, const ProtobufCMessage *message,
			     int64_t timeout_nano)
{
	struct ttrpc_header h = {.stream_id = stream_id, .type = TTRPC_REQUEST};
	size_t len;
	uint8_t *packed = pack_request(service, method, message, timeout_nano, &len);

	h.length = len;
	send_frame(fd, h, packed);
	free(packed);
}

static inline void send_ping(int fd, uint32_t stream_id, const char *text)
{
	Vmctl__Agent__V1__PingRequest ping = VMCTL__AGENT__V1__PING_REQUEST__INIT;

	ping.payload.data = (uint8_t *)text;
	ping.payload.len = strlen(text);
	send_call(fd, stream_id, SERVICE, "Ping", &ping.base, 0);
}

static inline struct answer take_answer(int fd)
{
	deadline_t deadline = deadline_after_ms(PATIENCE);
	uint8_t header[TTRPC_HEADER_SIZE];
	struct answer a;
	uint8_t *payload;

	assert_int_equal(io_read_full(fd, header, sizeof(header), deadline, NULL), 0);
	ttrpc_header_decode(header, &a.header);
	assert_int_equal(a.header.type, TTRPC_RESPONSE);
	assert_int_equal(a.header.flags, 0);
	assert_in_range(a.header.length, 0, TTRPC_PAYLOAD_MAX);
	payload = malloc(a.header.length + 1);
	assert_non_null(payload);
	assert_int_equal(io_read_full(fd, payload, a.header.length, deadline, NULL), 0);
	a.response = ttrpc__response__unpack(NULL, a.header.length, payload);
	assert_non_null(a.response);
	free(payload);
	return a;
}

static inline void free_answer(struct answer *a)
{
	ttrpc__response__free_unpacked(a->response, NULL);
}

static inline int status_of(const struct answer *a)
{
	return a->response->status ? a->response->status->code : TTRPC_OK;
}

static inline void expect_status(int fd, uint32_t stream_id, int status)
{
	struct answer a = take_answer(fd);

	assert_int_equal(a.header.stream_id, stream_id);
	assert_int_equal(status_of(&a), status);
	if (status != TTRPC_OK)
		assert_true(strlen(a.response->status->message) > 0);
	free_answer(&a);
}

/* The message of an answer that is well; to be freed with free_message(). */
static inline void *take_message(int fd, uint32_t stream_id,
				 const ProtobufCMessageDescriptor *type)
{
	struct answer a = take_answer(fd);
	ProtobufCMessage *message;

	assert_int_equal(a.header.stream_id, stream_id);
	if (status_of(&a) != TTRPC_OK)
		fail_msg("%s", a.response->status->message);
	message = protobuf_c_message_unpack(type, NULL, a.response->payload.len,
					    a.response->payload.data);
	assert_non_null(message);
	free_answer(&a);
	return message;
}

static inline void free_message(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

static inline void expect_pong(int fd, uint32_t stream_id, const char *text)
{
	Vmctl__Agent__V1__PingResponse *pong;
	struct answer a = take_answer(fd);

	assert_int_equal(a.header.stream_id, stream_id);
	assert_int_equal(status_of(&a), TTRPC_OK);
	pong = vmctl__agent__v1__ping_response__unpack(NULL, a.response->payload.len,
						       a.response->payload.data);
	assert_non_null(pong);
	assert_int_equal(pong->payload.len, strlen(text));
	assert_memory_equal(pong->payload.data, text, pong->payload.len);
	vmctl__agent__v1__ping_response__free_unpacked(pong, NULL);
	free_answer(&a);
}

/* That the connection is as good as new; the stream id must be a fresh one. */
static inline void expect_works(int fd, uint32_t stream_id)
{
	send_ping(fd, stream_id, "still there");
	expect_pong(fd, stream_id, "still there");
}

static inline void expect_closed(int fd)
{
	char byte;

	assert_int_equal(io_read_full(fd, &byte, 1, deadline_after_ms(PATIENCE), NULL),
			 -ECONNRESET);
}

/* Of an agent with no connection: standard ones, epoll, signalfd, listener. */
#define IDLE_FDS 6

static inline unsigned int count_fds(const struct fixture *f)
{
	return proc_count_files(f->pid);
}

static inline unsigned int count_children(const struct fixture *f)
{
	int n = proc_children(f->pid, NULL, 0);

	assert_true(n >= 0);
	return (unsigned int)n;
}

/* A line of /proc/PID/status, "\nName:", in KiB. */
static inline unsigned long status_kib(const struct fixture *f, const char *name)
{
	return proc_number(f->pid, "status", name);
}

#endif
