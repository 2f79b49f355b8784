// SPDX-License-Identifier: Apache-2.0
#include "task.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "decode.h"

#define PACKET_MAX	  (AGENT_TASK_MESSAGE_MAX + 1)
#define PACKETS_AT_A_TIME 4

/* The first byte of a packet. */
enum packet {
	PACKET_MESSAGE = 'm',
	PACKET_END = 'e',   /* of the client's stream; of the work, which went well */
	PACKET_ERROR = 'x', /* an int, and words */
};

struct task {
	struct agent_call *call;
	pid_t pid;
	struct agent_source source;
	enum agent_task_end end;
	bool watched;
	bool ends;    /* the end of the client's stream is to be sent, after out */
	uint8_t *out; /* a packet that the process has not taken yet */
	size_t out_len;
};

struct agent_task_io {
	const struct agent_options *options;
	const struct agent_method *method;
	int fd;
};

/* The loop is one thread: a packet at a time is looked at. */
static uint8_t packet[PACKET_MAX];

/* In the process. */

static int send_packet(const struct agent_task_io *io, size_t len)
{
	ssize_t n;

	do {
		n = send(io->fd, packet, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == EPIPE || errno == ECONNRESET ? -ECANCELED : -errno;
}

const struct agent_options *agent_task_options(const struct agent_task_io *io)
{
	return io->options;
}

int agent_task_send(struct agent_task_io *io, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);

	if (len > AGENT_TASK_MESSAGE_MAX)
		return -EMSGSIZE;
	packet[0] = PACKET_MESSAGE;
	protobuf_c_message_pack(message, packet + 1);
	return send_packet(io, len + 1);
}

int agent_task_receive(struct agent_task_io *io, ProtobufCMessage **message)
{
	ssize_t n;

	do {
		n = recv(io->fd, packet, sizeof(packet), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -ECANCELED : -errno;
	if (!n)
		return -ECANCELED;
	if (packet[0] == PACKET_END)
		return 0;
	*message = agent_decode(io->method->request, packet + 1, n - 1);
	return *message ? 1 : -ENOMEM;
}

bool agent_task_gone(const struct agent_task_io *io)
{
	char byte;

	return !recv(io->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

static void send_outcome(const struct agent_task_io *io, int ret,
			 const struct error *err)
{
	size_t len = strlen(err->text);

	packet[0] = ret ? PACKET_ERROR : PACKET_END;
	memcpy(packet + 1, &ret, sizeof(ret));
	memcpy(packet + 1 + sizeof(ret), err->text, len);
	send_packet(io, 1 + sizeof(ret) + len);
}

/*
 * Who ends the agent, from a terminal or with all of its control group, lets it undo:
 * the end of the socket tells it.
 */
static void heed_the_socket_only(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static void work_and_exit(const struct agent_call *call,
			  const ProtobufCMessage *request, agent_task_work work,
			  enum agent_task_end end, int fd)
{
	struct agent_task_io io = {call->agent->options, call->method, AGENT_CHILD_FD};
	struct error err = {0};
	int ret;

	setpgid(0, 0);
	if (end != AGENT_TASK_KILL)
		heed_the_socket_only();
	agent_child_unblock();
	agent_child_keep(fd);
	ret = work(&io, request, &err);
	if (ret < 0 && !err.code)
		error_set(&err, ret, "%s", strerror(-ret));
	send_outcome(&io, ret < 0 ? err.code : 0, &err);
	_exit(0);
}

/* In the agent. */

static void unwatch(struct task *task)
{
	if (task->watched)
		agent_loop_remove(&task->call->agent->loop, &task->source);
	task->watched = false;
}

/* Its output is read while there is room for it; a hang-up would be told at all times.
 */
static int watch(struct task *task)
{
	struct agent_loop *loop = &task->call->agent->loop;
	uint32_t events = task->out || task->ends ? EPOLLIN | EPOLLOUT : EPOLLIN;
	int ret;

	if (task->watched) {
		agent_loop_watch(loop, &task->source, events);
		return 0;
	}
	ret = agent_loop_add(loop, &task->source, events);
	task->watched = !ret;
	return ret;
}

static void release(struct task *task, bool done)
{
	struct agent *agent = task->call->agent;

	unwatch(task);
	close(task->source.fd);
	if (!done && task->end == AGENT_TASK_KILL)
		kill(task->pid, SIGKILL);
	agent_children_leave_counted(&agent->children, task->pid, &agent->n_tasks_left);
	agent->n_tasks--;
	task->call->work = NULL;
	free(task->out);
	free(task);
}

static void fail(struct task *task, int code, const char *text)
{
	struct agent_call *call = task->call;
	struct error err;

	/* UNIMPLEMENTED would be said of the call. */
	error_set(&err, code == -EOPNOTSUPP ? -EBUSY : code, "%s", text);
	release(task, true);
	agent_call_fail_error(call, &err);
}

static bool streams(const struct agent_call *call)
{
	return call->method->kind == AGENT_SERVER_STREAM ||
	       call->method->kind == AGENT_BIDI_STREAM;
}

/* False: the call has ended. */
static bool pass_on(struct task *task, const uint8_t *data, size_t len)
{
	struct agent_call *call = task->call;
	ProtobufCMessage *message =
		protobuf_c_message_unpack(call->method->response, NULL, len, data);

	if (!message) {
		fail(task, -ENOMEM, "no memory for a message");
		return false;
	}
	if (streams(call)) {
		agent_call_send(call, message);
		protobuf_c_message_free_unpacked(message, NULL);
		return true;
	}
	release(task, true);
	agent_call_reply(call, message);
	protobuf_c_message_free_unpacked(message, NULL);
	return false;
}

static bool take_packet(struct task *task, size_t len)
{
	struct agent_call *call = task->call;
	int code = -EIO;

	switch (packet[0]) {
	case PACKET_MESSAGE:
		return pass_on(task, packet + 1, len - 1);
	case PACKET_END:
		if (streams(call)) {
			release(task, true);
			agent_call_finish(call);
			return false;
		}
		break;
	case PACKET_ERROR:
		if (len < 1 + sizeof(code))
			break;
		memcpy(&code, packet + 1, sizeof(code));
		packet[len < sizeof(packet) ? len : len - 1] = '\0';
		fail(task, code, (char *)packet + 1 + sizeof(code));
		return false;
	}
	fail(task, -EIO, "the process of the call gave no answer");
	return false;
}

static void read_packets(struct task *task)
{
	for (int i = 0; i < PACKETS_AT_A_TIME; i++) {
		ssize_t n;

		if (streams(task->call) && !agent_call_has_room(task->call)) {
			unwatch(task);
			return;
		}
		n = recv(task->source.fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* It left some of the client's data unread; what it said follows. */
		if (n < 0 && errno == ECONNRESET)
			continue;
		if (n <= 0) {
			fail(task, -EIO, "the process of the call has died");
			return;
		}
		if (!take_packet(task, n))
			return;
	}
}

/* False: the socket is full. One that nobody reads any more takes all. */
static bool try_send(struct task *task, const uint8_t *data, size_t len)
{
	ssize_t n;

	do {
		n = send(task->source.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void send_end(struct task *task)
{
	const uint8_t end = PACKET_END;

	task->ends = !try_send(task, &end, 1);
}

static void flush(struct task *task)
{
	if (task->out && !try_send(task, task->out, task->out_len))
		return;
	if (task->out)
		agent_call_let_go(task->call, task->out_len);
	free(task->out);
	task->out = NULL;
	if (task->ends)
		send_end(task);
	if (task->ends)
		return;
	watch(task);
	agent_call_resume(task->call);
}

static void ready(struct agent_source *source, uint32_t events)
{
	struct task *task = agent_container(source, struct task, source);

	if (events & EPOLLOUT)
		flush(task);
	if (events & ~EPOLLOUT)
		read_packets(task);
}

static int spawn(struct task *task, const ProtobufCMessage *request,
		 agent_task_work work)
{
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	task->source.fd = fds[0];
	task->source.ready = ready;
	task->pid = fork();
	if (!task->pid)
		work_and_exit(task->call, request, work, task->end, fds[1]);
	ret = task->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (ret)
		close(fds[0]);
	return ret;
}

static bool refuses(struct agent_call *call, enum agent_task_end end)
{
	const struct agent *agent = call->agent;
	unsigned int more = end == AGENT_TASK_FREES ? AGENT_TASKS_FREE : 0;

	if (agent->n_tasks >= AGENT_TASKS_MAX + more) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"%u such calls are under way already", agent->n_tasks);
		return true;
	}
	if (agent->n_tasks_left >= AGENT_TASKS_LEFT_MAX + more) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"%u processes of earlier calls have not ended: does a "
				"file system or a device hang?",
				agent->n_tasks_left);
		return true;
	}
	return false;
}

void agent_task_start(struct agent_call *call, const ProtobufCMessage *request,
		      agent_task_work work, enum agent_task_end end)
{
	struct task *task;
	int ret;

	if (refuses(call, end))
		return;
	task = calloc(1, sizeof(*task));
	if (!task) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	task->call = call;
	task->end = end;
	ret = spawn(task, request, work);
	if (ret < 0) {
		free(task);
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"no process for the call: %s", strerror(-ret));
		return;
	}
	call->work = task;
	call->agent->n_tasks++;
	ret = watch(task);
	if (ret < 0)
		fail(task, ret, "epoll_ctl failed");
}

void agent_task_message(struct agent_call *call, const ProtobufCMessage *message)
{
	struct task *task = call->work;
	size_t len = protobuf_c_message_get_packed_size(message);

	if (len > AGENT_TASK_MESSAGE_MAX) {
		release(task, false);
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"a message of %zu bytes; the limit is %u", len,
				AGENT_TASK_MESSAGE_MAX);
		return;
	}
	packet[0] = PACKET_MESSAGE;
	protobuf_c_message_pack(message, packet + 1);
	if (try_send(task, packet, len + 1))
		return;
	task->out = malloc(len + 1);
	if (!task->out) {
		release(task, false);
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	memcpy(task->out, packet, len + 1);
	task->out_len = len + 1;
	agent_call_hold(call, task->out_len);
	agent_call_pause(call);
	watch(task);
}

void agent_task_end(struct agent_call *call)
{
	struct task *task = call->work;

	if (task->out)
		task->ends = true;
	else
		send_end(task);
	if (task->ends)
		watch(task);
}

void agent_task_room(struct agent_call *call)
{
	int ret = watch(call->work);

	if (ret < 0)
		fail(call->work, ret, "epoll_ctl failed");
}

void agent_task_cancel(struct agent_call *call)
{
	release(call->work, false);
}
