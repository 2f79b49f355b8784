// SPDX-License-Identifier: Apache-2.0
/* The guest's packet filter, by way of iptables-save(8) and iptables-restore(8). */
#include "kata.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "io.h"
#include "kata/agent.pb-c.h"

/* Bytes that a program reads or prints. */
#define TABLES_MAX (512u << 10)
/* How long it waits for another program that has the tables, in seconds. */
#define WAIT_SECONDS "5"

extern char **environ;

/* A program's standard streams: they are files, so that neither side waits. */
struct streams {
	int input, output, errors;
};

/* In /usr/sbin or /sbin, beneath root; the latter if it is in neither. */
static void find_program(const char *root, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/usr/sbin/%s", root, name);
	if (access(path, X_OK) < 0)
		snprintf(path, PATH_MAX, "%s/sbin/%s", root, name);
}

static int spawn(const char *path, char *const *argv, const struct streams *s,
		 struct error *err)
{
	posix_spawn_file_actions_t actions;
	int status, ret;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, s->input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, s->output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, s->errors, STDERR_FILENO);
	ret = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (ret)
		return error_set(err, -EIO, "%s: %s", path, strerror(ret));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* What was printed, from its beginning; *len is room before, bytes after. */
static int read_back(int fd, void *to, size_t *len, struct error *err)
{
	ssize_t n = pread(fd, to, *len, 0);

	if (n < 0)
		return error_set(err, -errno, "reading what was printed: %s",
				 strerror(errno));
	*len = n;
	return 0;
}

static int failed(const char *path, int status, int errors, struct error *err)
{
	size_t len = 255;
	char text[256];

	if (read_back(errors, text, &len, NULL) < 0)
		len = 0;
	text[len] = '\0';
	for (char *p = text; (p = strchr(p, '\n'));)
		*p = p[1] ? ' ' : '\0';
	return error_set(err, -EIO, "%s failed (status 0x%x): %s", path, status, text);
}

/* Runs a program with `input` as its standard input; *output is its standard output. */
static int run(const char *root, const char *const *argv,
	       const ProtobufCBinaryData *input, ProtobufCBinaryData *output,
	       struct error *err)
{
	/* More than that it could not print: the file ends it. */
	const struct rlimit limit = {TABLES_MAX, TABLES_MAX};
	cleanup_close int in = memfd_create("input", MFD_CLOEXEC);
	cleanup_close int out = memfd_create("output", MFD_CLOEXEC);
	cleanup_close int errors = memfd_create("errors", MFD_CLOEXEC);
	struct streams streams = {in, out, errors};
	char path[PATH_MAX];
	int ret;

	if (in < 0 || out < 0 || errors < 0 || setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return error_set(err, -errno, "preparing %s: %s", argv[0],
				 strerror(errno));
	ret = io_pwrite_full(in, input->data, input->len, 0);
	if (ret)
		return error_set(err, ret, "preparing %s: %s", argv[0], strerror(-ret));
	find_program(root, argv[0], path);
	ret = spawn(path, (char *const *)argv, &streams, err);
	if (ret < 0)
		return ret;
	if (ret)
		return failed(path, ret, errors, err);
	output->len = TABLES_MAX;
	output->data = agent_answer_alloc(output->len, 1);
	return read_back(out, output->data, &output->len, err);
}

static int make_get(struct agent_answer *answer, const struct agent *agent,
		    const ProtobufCMessage *message, struct error *err)
{
	bool ipv6 = ((const Grpc__GetIPTablesRequest *)message)->is_ipv6;
	const char *argv[] = {ipv6 ? "ip6tables-save" : "iptables-save", NULL};
	Grpc__GetIPTablesResponse response = GRPC__GET_IPTABLES_RESPONSE__INIT;
	ProtobufCBinaryData nothing = {0};
	int ret = run(agent->options->root, argv, &nothing, &response.data, err);

	return ret ? ret : agent_answer_send(answer, &response.base, err);
}

static int make_set(struct agent_answer *answer, const struct agent *agent,
		    const ProtobufCMessage *message, struct error *err)
{
	const Grpc__SetIPTablesRequest *request =
		(const Grpc__SetIPTablesRequest *)message;
	const char *argv[] = {request->is_ipv6 ? "ip6tables-restore"
					       : "iptables-restore",
			      "--wait", WAIT_SECONDS, NULL};
	Grpc__SetIPTablesResponse response = GRPC__SET_IPTABLES_RESPONSE__INIT;
	int ret = run(agent->options->root, argv, &request->data, &response.data, err);

	return ret ? ret : agent_answer_send(answer, &response.base, err);
}

static void get_tables(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_get);
}

static void set_tables(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_set);
}

static const struct agent_method methods[] = {
	{
		.name = "GetIPTables",
		.request = &grpc__get_iptables_request__descriptor,
		.request_max = 4096,
		.response = &grpc__get_iptables_response__descriptor,
		.handle = get_tables,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "SetIPTables",
		.request = &grpc__set_iptables_request__descriptor,
		.request_max = TABLES_MAX,
		.response = &grpc__set_iptables_response__descriptor,
		.changes = true,
		.handle = set_tables,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service kata_iptables_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
