// SPDX-License-Identifier: Apache-2.0
#include "freezer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "filesystem.h"
#include "freeze_work.h"
#include "log.h"
#include "task.h"

/* There is one: a second freeze waits for nobody and is refused. */
static struct freezer {
	bool expired; /* the last one, and nobody has been told */
	struct agent *agent;
	pid_t pid;
	struct agent_source source;
	struct agent_call *freezes; /* the call that waits for the freeze, or NULL */
	struct agent_call *thaws;   /* the call that waits for the thaw, or NULL */
	Vmctl__Agent__V1__FreezeFilesystemsResponse *frozen; /* once it is done */
	deadline_t until;
} freezer;

/* The process goes on by itself: without a socket it thaws. */
static void release(void)
{
	agent_loop_remove(&freezer.agent->loop, &freezer.source);
	close(freezer.source.fd);
	agent_children_leave(&freezer.agent->children, freezer.pid);
	if (freezer.frozen)
		vmctl__agent__v1__freeze_filesystems_response__free_unpacked(
			freezer.frozen, NULL);
	freezer.frozen = NULL;
	freezer.agent->frozen = false;
}

static void rescue(void)
{
	pid_t pid = fork();

	if (!pid) {
		freeze_work_rescue(freezer.agent->options->root, freezer.frozen);
		_exit(0);
	}
	if (pid > 0)
		agent_children_leave(&freezer.agent->children, pid);
}

/* Ends the calls that wait. */
static void fail_calls(int code, const char *text)
{
	struct agent_call *calls[] = {freezer.freezes, freezer.thaws};
	struct error err;

	freezer.freezes = freezer.thaws = NULL;
	/* UNIMPLEMENTED would be said of the call. */
	error_set(&err, code == -EOPNOTSUPP ? -EBUSY : code, "%s", text);
	for (size_t i = 0; i < 2; i++)
		if (calls[i])
			agent_call_fail_error(calls[i], &err);
}

static void died(void)
{
	if (freezer.frozen)
		rescue();
	release();
	agent_log_release();
	agent_log(AGENT_LOG_ERROR, "the process that held the freeze has died");
	fail_calls(-EIO,
		   "the process that held the freeze has died; what it had frozen "
		   "is thawed");
}

static void was_frozen(const uint8_t *data, size_t len)
{
	struct agent_call *call = freezer.freezes;

	freezer.frozen =
		vmctl__agent__v1__freeze_filesystems_response__unpack(NULL, len, data);
	freezer.freezes = NULL;
	if (!freezer.frozen || !call) {
		/* It is not told: then it must not last. */
		shutdown(freezer.source.fd, SHUT_WR);
		if (call)
			agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	freezer.until = deadline_after_ms((int64_t)freezer.frozen->timeout_ms);
	agent_call_reply(call, &freezer.frozen->base);
}

static void was_thawed(const uint8_t *data, size_t len)
{
	Vmctl__Agent__V1__ThawFilesystemsResponse *response =
		vmctl__agent__v1__thaw_filesystems_response__unpack(NULL, len, data);
	struct agent_call *call = freezer.thaws;

	freezer.thaws = NULL;
	release();
	agent_log_release();
	if (response && response->expired) {
		freezer.expired = !call;
		agent_log(AGENT_LOG_WARNING,
			  "file systems were thawed since their time was up");
	}
	if (call && response)
		agent_call_reply(call, &response->base);
	else if (call)
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"no memory; all is thawed");
	if (response)
		vmctl__agent__v1__thaw_filesystems_response__free_unpacked(response,
									   NULL);
}

static void was_refused(char *data, size_t len)
{
	int code = -EIO;

	if (len > sizeof(code))
		memcpy(&code, data, sizeof(code));
	data[len] = '\0';
	release();
	agent_log_release();
	fail_calls(code, len > sizeof(code) ? data + sizeof(code) : "not frozen");
}

static void ready(struct agent_source *source, uint32_t events)
{
	static uint8_t packet[FREEZE_PACKET_MAX + 1];
	ssize_t n = recv(source->fd, packet, FREEZE_PACKET_MAX, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		died();
	else if (packet[0] == FREEZE_FROZEN)
		was_frozen(packet + 1, n - 1);
	else if (packet[0] == FREEZE_THAWED)
		was_thawed(packet + 1, n - 1);
	else
		was_refused((char *)packet + 1, n - 1);
}

static void work_and_exit(const struct agent *agent, int fd, int64_t timeout_ms,
			  const ProtobufCMessage *request)
{
	setpgid(0, 0);
	agent_child_keep(fd);
	freeze_work(agent->options->root,
		    (const Vmctl__Agent__V1__FreezeFilesystemsRequest *)request,
		    timeout_ms, AGENT_CHILD_FD);
	_exit(0);
}

static int spawn(struct agent *agent, int64_t timeout_ms,
		 const ProtobufCMessage *request)
{
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	freezer.agent = agent;
	freezer.source = (struct agent_source){.fd = fds[0], .ready = ready};
	freezer.pid = fork();
	if (!freezer.pid)
		work_and_exit(agent, fds[1], timeout_ms, request);
	ret = freezer.pid < 0 ? -errno : 0;
	close(fds[1]);
	if (!ret) {
		ret = agent_loop_add(&agent->loop, &freezer.source, EPOLLIN);
		if (ret)
			agent_children_leave(&agent->children, freezer.pid);
	}
	if (ret)
		close(fds[0]);
	return ret;
}

void freezer_freeze(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__FreezeFilesystemsRequest *request =
		(const Vmctl__Agent__V1__FreezeFilesystemsRequest *)message;
	uint64_t timeout_ms =
		request->timeout_ms ? request->timeout_ms : FREEZER_DEFAULT_MS;
	int ret;

	if (call->agent->frozen) {
		agent_call_fail(call, TTRPC_FAILED_PRECONDITION,
				"file systems are frozen already");
		return;
	}
	if (timeout_ms > FREEZER_MAX_MS) {
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"a freeze lasts at most %d ms", FREEZER_MAX_MS);
		return;
	}
	ret = spawn(call->agent, (int64_t)timeout_ms, message);
	if (ret < 0) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"no process for the freeze: %s", strerror(-ret));
		return;
	}
	call->agent->frozen = true;
	freezer.expired = false;
	freezer.freezes = call;
	agent_log_hold();
}

void freezer_thaw(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__ThawFilesystemsRequest *request =
		(const Vmctl__Agent__V1__ThawFilesystemsRequest *)message;
	Vmctl__Agent__V1__ThawFilesystemsResponse response =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;

	if (request->n_mountpoints) {
		agent_task_start(call, message, filesystem_thaw, AGENT_TASK_UNDOES);
		return;
	}
	if (!call->agent->frozen) {
		response.expired = freezer.expired;
		freezer.expired = false;
		agent_call_reply(call, &response.base);
		return;
	}
	if (!freezer.frozen || freezer.thaws) {
		agent_call_fail(call, TTRPC_FAILED_PRECONDITION,
				"a freeze or a thaw is under way");
		return;
	}
	freezer.thaws = call;
	shutdown(freezer.source.fd, SHUT_WR);
}

void freezer_status(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__GetFreezeStatusResponse response =
		VMCTL__AGENT__V1__GET_FREEZE_STATUS_RESPONSE__INIT;
	size_t n = freezer.frozen ? freezer.frozen->n_results : 0;
	ProtobufCBinaryData *names = calloc(n + 1, sizeof(*names));

	(void)message;
	if (!names) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!freezer.frozen->results[i]->error)
			names[response.n_mountpoints++] =
				freezer.frozen->results[i]->mountpoint;
	response.frozen = call->agent->frozen;
	response.mountpoints = names;
	if (freezer.frozen)
		response.left_ms = (uint64_t)deadline_left_ms(freezer.until);
	agent_call_reply(call, &response.base);
	free(names);
}

void freezer_cancel(struct agent_call *call)
{
	if (call == freezer.thaws)
		freezer.thaws = NULL; /* it is thawed all the same */
	else if (call == freezer.freezes)
		freezer.freezes = NULL; /* was_frozen() undoes it */
	else
		agent_task_cancel(call);
}

void freezer_stop(struct agent *agent)
{
	if (!agent->frozen)
		return;
	release();
	agent_log_release();
}
