// SPDX-License-Identifier: Apache-2.0
#include "freezer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "filesystem.h"
#include "freeze_work.h"
#include "log.h"
#include "task.h"

/* Earlier freezes that wait for a disk yet, with the one that is on. */
#define HOLDERS_MAX 8
/* What its processes may take to say that they have thawed, or cannot, and more. */
#define LATE_MS (3 * FREEZE_GRACE_MS)

/* There is one: a second freeze waits for nobody and is refused. */
static struct freezer {
	struct agent *agent;
	bool expired; /* the last one, and nobody has been told */
	bool frozen;  /* it is whole */
	bool told;    /* to thaw */
	struct agent_child holders[HOLDERS_MAX]; /* pid 0: free */
	struct agent_source source;
	struct agent_timer late;
	struct agent_call *freezes; /* the call that waits for the freeze, or NULL */
	struct agent_call *thaws;   /* the call that waits for the thaw, or NULL */
	/* What may be frozen, for if all of those who know it better are killed. */
	Vmctl__Agent__V1__FreezeFilesystemsResponse *begun;
	deadline_t until; /* never after that of its processes, which begin later */
} freezer;

/* The processes go on by themselves: without a socket they thaw. */
static void release(void)
{
	agent_loop_disarm(&freezer.agent->loop, &freezer.late);
	agent_loop_remove(&freezer.agent->loop, &freezer.source);
	close(freezer.source.fd);
	if (freezer.begun)
		vmctl__agent__v1__freeze_filesystems_response__free_unpacked(
			freezer.begun, NULL);
	freezer.begun = NULL;
	freezer.frozen = false;
	freezer.agent->frozen = false;
	agent_log_release();
}

static void rescue(void)
{
	pid_t pid = freezer.begun ? fork() : -1;

	if (!pid) {
		/* No connection is to wait for what this may wait for. */
		closefrom(STDERR_FILENO + 1);
		freeze_work_rescue(freezer.agent->options->root, freezer.begun);
		_exit(0);
	}
	if (pid > 0)
		agent_children_leave(&freezer.agent->children, pid);
}

static void tell_to_thaw(void)
{
	freezer.told = true;
	shutdown(freezer.source.fd, SHUT_WR);
	agent_loop_arm(&freezer.agent->loop, &freezer.late, deadline_after_ms(LATE_MS));
}

static void fail_call(struct agent_call **call, int code, const char *text)
{
	struct error err;

	/* UNIMPLEMENTED would be said of the call. */
	error_set(&err, code == -EOPNOTSUPP ? -EBUSY : code, "%s", text);
	if (*call)
		agent_call_fail_error(*call, &err);
	*call = NULL;
}

static void reply_thawed(const Vmctl__Agent__V1__ThawFilesystemsResponse *response)
{
	if (freezer.thaws)
		agent_call_reply(freezer.thaws, &response->base);
	freezer.thaws = NULL;
}

/* What holds it can do so no longer, or does not answer. */
static void give_up(const char *what)
{
	char text[128];

	rescue();
	freezer.expired = freezer.frozen;
	release();
	snprintf(text, sizeof(text), "%s; what is frozen is being thawed", what);
	agent_log(AGENT_LOG_ERROR, "%s", text);
	fail_call(&freezer.freezes, -EIO, text);
	fail_call(&freezer.thaws, -EIO, text);
}

static void is_late(struct agent_timer *timer)
{
	(void)timer;
	if (freezer.told)
		give_up("the processes that hold the freeze do not answer");
	else
		tell_to_thaw();
}

/* The response is the agent's list from now on; false: no memory, and it shall end. */
static bool keep(const uint8_t *data, size_t len)
{
	Vmctl__Agent__V1__FreezeFilesystemsResponse *response =
		vmctl__agent__v1__freeze_filesystems_response__unpack(NULL, len, data);

	if (!response) {
		tell_to_thaw();
		return false;
	}
	if (freezer.begun)
		vmctl__agent__v1__freeze_filesystems_response__free_unpacked(
			freezer.begun, NULL);
	freezer.begun = response;
	return true;
}

static void was_frozen(const uint8_t *data, size_t len)
{
	struct agent_call *call = freezer.freezes;

	if (!keep(data, len)) {
		fail_call(&freezer.freezes, -ENOMEM, "no memory");
		return;
	}
	freezer.frozen = true;
	freezer.freezes = NULL;
	if (call)
		agent_call_reply(call, &freezer.begun->base);
}

static void log_expired(void)
{
	agent_log(AGENT_LOG_WARNING, "file systems were thawed since %s",
		  deadline_left_ms(freezer.until)
			  ? "a process that held them was told to end"
			  : "their time was up");
}

static void was_thawed(const uint8_t *data, size_t len)
{
	Vmctl__Agent__V1__ThawFilesystemsResponse *response =
		vmctl__agent__v1__thaw_filesystems_response__unpack(NULL, len, data);

	release();
	if (!response) {
		fail_call(&freezer.thaws, -ENOMEM, "no memory; all is thawed");
		return;
	}
	if (response->expired) {
		freezer.expired = !freezer.thaws;
		log_expired();
	}
	reply_thawed(response);
	vmctl__agent__v1__thaw_filesystems_response__free_unpacked(response, NULL);
}

static void has_failed(char *data, size_t len, bool hangs)
{
	Vmctl__Agent__V1__ThawFilesystemsResponse thawed =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;
	const char *text = "not frozen";
	int code = -EIO;

	data[len] = '\0';
	if (len > sizeof(code)) {
		memcpy(&code, data, sizeof(code));
		text = data + sizeof(code);
	}
	release();
	if (hangs) {
		agent_log(AGENT_LOG_ERROR, "%s", text);
		fail_call(&freezer.thaws, code, text);
	}
	fail_call(&freezer.freezes, code, text);
	reply_thawed(&thawed);
}

static void ready(struct agent_source *source, uint32_t events)
{
	static uint8_t packet[FREEZE_PACKET_MAX + 1];
	ssize_t n = recv(source->fd, packet, FREEZE_PACKET_MAX, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		give_up("the processes that held the freeze have died");
	else if (packet[0] == FREEZE_BEGINS)
		keep(packet + 1, n - 1);
	else if (packet[0] == FREEZE_FROZEN)
		was_frozen(packet + 1, n - 1);
	else if (packet[0] == FREEZE_THAWED)
		was_thawed(packet + 1, n - 1);
	else
		has_failed((char *)packet + 1, n - 1, packet[0] == FREEZE_HANGS);
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

static void holder_ended(struct agent_child *child, int status)
{
	(void)status;
	/* What it has left unsaid its socket tells, when all of them have ended. */
	child->pid = 0;
}

static struct agent_child *find_holder(void)
{
	for (size_t i = 0; i < HOLDERS_MAX; i++)
		if (!freezer.holders[i].pid)
			return &freezer.holders[i];
	return NULL;
}

static int watch(struct agent *agent, struct agent_child *holder)
{
	int ret = agent_loop_add(&agent->loop, &freezer.source, EPOLLIN);

	if (ret)
		return ret;
	holder->exited = holder_ended;
	ret = agent_child_watch(&agent->children, holder);
	if (ret)
		agent_loop_remove(&agent->loop, &freezer.source);
	return ret;
}

static int spawn(struct agent *agent, struct agent_child *holder, int64_t timeout_ms,
		 const ProtobufCMessage *request)
{
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	freezer.source = (struct agent_source){.fd = fds[0], .ready = ready};
	holder->pid = fork();
	if (!holder->pid)
		work_and_exit(agent, fds[1], timeout_ms, request);
	ret = holder->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (!ret) {
		ret = watch(agent, holder);
		if (ret)
			agent_children_leave(&agent->children, holder->pid);
	}
	if (ret) {
		holder->pid = 0;
		close(fds[0]);
	}
	return ret;
}

static void start(struct agent_call *call, int64_t timeout_ms,
		  const ProtobufCMessage *request)
{
	struct agent *agent = call->agent;
	struct agent_child *holder = find_holder();
	int ret = holder ? spawn(agent, holder, timeout_ms, request) : 0;

	if (!holder || ret < 0) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "%s%s",
				holder ? "no process for the freeze: "
				       : "earlier freezes wait yet for file systems "
					 "that do not answer",
				holder ? strerror(-ret) : "");
		return;
	}
	freezer.agent = agent;
	freezer.expired = freezer.told = false;
	freezer.freezes = call;
	freezer.until = deadline_after_ms(timeout_ms);
	freezer.late.fire = is_late;
	agent_loop_arm(&agent->loop, &freezer.late,
		       deadline_after_ms(timeout_ms + LATE_MS));
	agent->frozen = true;
	agent_log_hold();
}

void freezer_freeze(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__FreezeFilesystemsRequest *request =
		(const Vmctl__Agent__V1__FreezeFilesystemsRequest *)message;
	uint64_t timeout_ms =
		request->timeout_ms ? request->timeout_ms : FREEZER_DEFAULT_MS;

	if (call->agent->frozen)
		agent_call_fail(call, TTRPC_FAILED_PRECONDITION,
				"file systems are frozen already");
	else if (timeout_ms > FREEZER_MAX_MS)
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"a freeze lasts at most %d ms", FREEZER_MAX_MS);
	else
		start(call, (int64_t)timeout_ms, message);
}

void freezer_thaw(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__ThawFilesystemsRequest *request =
		(const Vmctl__Agent__V1__ThawFilesystemsRequest *)message;
	Vmctl__Agent__V1__ThawFilesystemsResponse response =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;

	if (request->n_mountpoints) {
		agent_task_start(call, message, filesystem_thaw, AGENT_TASK_FREES);
		return;
	}
	if (!call->agent->frozen) {
		response.expired = freezer.expired;
		freezer.expired = false;
		agent_call_reply(call, &response.base);
		return;
	}
	if (freezer.thaws) {
		agent_call_fail(call, TTRPC_FAILED_PRECONDITION, "a thaw is under way");
		return;
	}
	freezer.thaws = call;
	tell_to_thaw();
}

void freezer_status(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__GetFreezeStatusResponse response =
		VMCTL__AGENT__V1__GET_FREEZE_STATUS_RESPONSE__INIT;
	size_t n = freezer.frozen ? freezer.begun->n_results : 0;
	ProtobufCBinaryData *names = calloc(n + 1, sizeof(*names));

	(void)message;
	if (!names) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!freezer.begun->results[i]->error)
			names[response.n_mountpoints++] =
				freezer.begun->results[i]->mountpoint;
	response.frozen = call->agent->frozen;
	response.mountpoints = names;
	if (freezer.frozen)
		response.left_ms = (uint64_t)deadline_left_ms(freezer.until);
	agent_call_reply(call, &response.base);
	free(names);
}

void freezer_cancel(struct agent_call *call)
{
	if (call == freezer.thaws) {
		freezer.thaws = NULL; /* it is thawed all the same */
	} else if (call == freezer.freezes) {
		freezer.freezes = NULL; /* nobody would know of it */
		tell_to_thaw();
	} else {
		agent_task_cancel(call);
	}
}

void freezer_stop(struct agent *agent)
{
	if (agent->frozen)
		release();
	for (size_t i = 0; i < HOLDERS_MAX; i++)
		if (freezer.holders[i].pid)
			agent_child_leave(&freezer.holders[i]);
}
