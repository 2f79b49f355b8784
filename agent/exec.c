// SPDX-License-Identifier: Apache-2.0
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "command.h"
#include "exec_input.h"
#include "exec_output.h"
#include "log.h"
#include "pipes.h"

#define NS_PER_MS      1000000
#define TIMEOUT_MAX_MS (1ll << 40)
#define REQUEST_MAX    (2u << 20) /* an ExecRequest; Linux takes 2 MiB by default */

typedef Vmctl__Agent__V1__ExecStart Start;
typedef Vmctl__Agent__V1__ExecRequest Request;
typedef Vmctl__Agent__V1__ExecResponse Response;

struct exec {
	TAILQ_ENTRY(exec) link;
	struct agent *agent;
	struct agent_call *call; /* NULL: nobody waits for it any more */
	struct agent_child child;
	struct agent_timer timer; /* its time is up, then its period of grace */
	int64_t grace_ms;
	struct agent_source status; /* what kept it from running */
	struct exec_input input;
	struct exec_output output, errors;
	bool terminal;
	bool started;	/* the client knows that it runs */
	bool ended;	/* it is no more, and end_status says how */
	bool killed;	/* SIGTERM was sent */
	bool left;	/* SIGKILL was: there is nothing else to be done */
	bool timed_out; /* ... because its time was up */
	int end_status;
};

static TAILQ_HEAD(execs, exec) execs = TAILQ_HEAD_INITIALIZER(execs);
static unsigned int n_execs, n_left;

static void close_status(struct exec *e)
{
	if (e->status.fd < 0)
		return;
	agent_loop_remove(&e->agent->loop, &e->status);
	close(e->status.fd);
	e->status.fd = -1;
}

static void close_files(struct exec *e)
{
	close_status(e);
	exec_input_close(&e->input);
	exec_output_close(&e->output);
	exec_output_close(&e->errors);
}

static void destroy(struct exec *e)
{
	close_files(e);
	agent_loop_disarm(&e->agent->loop, &e->timer);
	TAILQ_REMOVE(&execs, e, link);
	n_execs--;
	free(e);
}

/* SIGTERM now and SIGKILL later, to all of its group. */
static void kill_softly(struct exec *e)
{
	e->killed = true;
	e->child.sweep = true;
	agent_child_signal(&e->child, SIGTERM);
	/* One that is stopped would not hear it. */
	agent_child_signal(&e->child, SIGCONT);
	agent_loop_arm(&e->agent->loop, &e->timer, deadline_after_ms(e->grace_ms));
}

/* Nobody waits for it, and it may never end. */
static void leave(struct exec *e)
{
	agent_child_leave(&e->child);
	destroy(e);
}

/* The call ends, but not by the command's end: so the command has to end too. */
static void forsake(struct exec *e)
{
	e->call->work = NULL;
	e->call = NULL;
	close_files(e);
	if (e->ended)
		destroy(e);
	else if (e->left)
		leave(e);
	else if (!e->killed)
		kill_softly(e);
}

static void fail(struct exec *e, int status, const char *text)
{
	struct agent_call *call = e->call;

	forsake(e);
	agent_call_fail(call, status, "%s", text);
}

static void timer_fired(struct agent_timer *timer)
{
	struct exec *e = agent_container(timer, struct exec, timer);

	if (e->killed) {
		agent_child_signal(&e->child, SIGKILL);
		e->left = true;
		if (!e->call)
			leave(e);
		return;
	}
	e->timed_out = true;
	kill_softly(e);
}

static void describe_end(const struct exec *e, char *text, size_t size)
{
	bool killed = WIFSIGNALED(e->end_status);

	snprintf(text, size, "%s %d%s", killed ? "killed by signal" : "code",
		 killed ? WTERMSIG(e->end_status) : WEXITSTATUS(e->end_status),
		 e->timed_out ? ", its time was up" : "");
}

static void send_exit(struct exec *e)
{
	Vmctl__Agent__V1__ExecExit message = VMCTL__AGENT__V1__EXEC_EXIT__INIT;
	Response response = VMCTL__AGENT__V1__EXEC_RESPONSE__INIT;

	if (WIFSIGNALED(e->end_status))
		message.signal = WTERMSIG(e->end_status);
	else
		message.code = WEXITSTATUS(e->end_status);
	message.timed_out = e->timed_out;
	response.message_case = VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_EXIT;
	response.exit = &message;
	agent_call_send(e->call, &response.base);
}

/* Ends the call once the command has ended and all that it printed was sent. */
static void finish_if_done(struct exec *e)
{
	struct agent_call *call = e->call;

	if (!e->ended || !e->started || exec_output_is_open(&e->output) ||
	    exec_output_is_open(&e->errors))
		return;
	send_exit(e);
	describe_end(e, call->outcome.note, sizeof(call->outcome.note));
	destroy(e);
	call->work = NULL;
	agent_call_finish(call);
}

static void output_ended(struct exec_output *output)
{
	finish_if_done(output->owner);
}

static void send_started(struct exec *e)
{
	Vmctl__Agent__V1__ExecStarted message = VMCTL__AGENT__V1__EXEC_STARTED__INIT;
	Response response = VMCTL__AGENT__V1__EXEC_RESPONSE__INIT;

	message.pid = e->child.pid;
	response.message_case = VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_STARTED;
	response.started = &message;
	agent_call_send(e->call, &response.base);
	e->started = true;
}

/* Whether it runs. False: it does not, or it is not known yet; e may be gone. */
static bool take_status(struct exec *e)
{
	struct agent_call *call = e->call;
	struct error err;
	ssize_t n = read(e->status.fd, &err, sizeof(err));

	if (n < 0 && !e->ended)
		return false;
	close_status(e);
	if (!n) {
		send_started(e);
		return true;
	}
	forsake(e);
	if (n == sizeof(err)) {
		err.text[sizeof(err.text) - 1] = '\0';
		agent_call_fail_error(call, &err);
	} else {
		agent_call_fail(call, TTRPC_INTERNAL,
				"what became of the command is not known");
	}
	return false;
}

static void status_ready(struct agent_source *source, uint32_t events)
{
	struct exec *e = agent_container(source, struct exec, status);

	(void)events;
	if (!take_status(e))
		return;
	exec_output_start(&e->output);
	exec_output_start(&e->errors);
	finish_if_done(e);
}

static void child_exited(struct agent_child *child, int status)
{
	struct exec *e = agent_container(child, struct exec, child);
	char text[64];

	e->ended = true;
	e->end_status = status;
	agent_loop_disarm(&e->agent->loop, &e->timer);
	if (!e->call) {
		describe_end(e, text, sizeof(text));
		agent_log(AGENT_LOG_INFO, "Exec: a command whose caller has gone: %s",
			  text);
		destroy(e);
		return;
	}
	exec_input_close(&e->input);
	/* It tells of its start before it ends. */
	if (!e->started && !take_status(e))
		return;
	exec_output_last(&e->output);
	exec_output_last(&e->errors);
	finish_if_done(e);
}

/* The kernel's are 16 bits; the largest is nearer to what is larger than 0. */
static unsigned short to_short(uint32_t n)
{
	return n < USHRT_MAX ? (unsigned short)n : USHRT_MAX;
}

static int set_size(int fd, const Vmctl__Agent__V1__TerminalSize *size)
{
	struct winsize ws = {.ws_row = to_short(size->rows),
			     .ws_col = to_short(size->columns)};

	return ioctl(fd, TIOCSWINSZ, &ws) < 0 ? -errno : 0;
}

static int64_t grace_of(const Start *start)
{
	uint64_t ms = start->grace_nano / NS_PER_MS;

	if (!start->grace_nano)
		return EXEC_GRACE_MS;
	return ms > EXEC_GRACE_MAX_MS ? EXEC_GRACE_MAX_MS : (int64_t)ms;
}

static int64_t timeout_ms(const Start *start)
{
	uint64_t ms = start->timeout_nano / NS_PER_MS + 1;

	return ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : (int64_t)ms;
}

/* Takes the agent's ends of the pipes over, with what they hold. */
static int take_files(struct exec *e, struct pipes *pipes)
{
	int ret;

	e->status = (struct agent_source){.fd = -1, .ready = status_ready};
	exec_input_init(&e->input, e->call, e->terminal, steal_fd(&pipes->input));
	exec_output_init(&e->output, e->call, e, output_ended,
			 VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_OUTPUT,
			 steal_fd(&pipes->output));
	exec_output_init(&e->errors, e->call, e, output_ended,
			 VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_ERRORS,
			 steal_fd(&pipes->errors));
	e->status.fd = pipes->status;
	ret = agent_loop_add(&e->agent->loop, &e->status, EPOLLIN);
	if (ret)
		e->status.fd = -1;
	else
		steal_fd(&pipes->status);
	return ret;
}

static int run(struct exec *e, const struct command *command, struct pipes *pipes)
{
	int ret;

	e->child.pid = command_start(command, e->agent->options->root, &pipes->theirs);
	if (e->child.pid < 0)
		return e->child.pid;
	e->child.exited = child_exited;
	e->child.left = &n_left;
	ret = agent_child_watch(&e->agent->children, &e->child);
	if (ret) {
		/* One that nobody watches must not stay. */
		kill(e->child.pid, SIGKILL);
		agent_children_leave(&e->agent->children, e->child.pid);
		return ret;
	}
	TAILQ_INSERT_TAIL(&execs, e, link);
	n_execs++;
	e->call->work = e;
	return take_files(e, pipes);
}

static void start_command(struct agent_call *call, const Start *start,
			  const struct command *command)
{
	struct exec *e = calloc(1, sizeof(*e));
	struct pipes pipes;
	int ret = e ? pipes_open(&pipes, start->terminal) : -ENOMEM;

	if (ret) {
		free(e);
		/* A bare initramfs may have no terminals. */
		agent_call_fail(call,
				start->terminal ? TTRPC_FAILED_PRECONDITION
						: TTRPC_RESOURCE_EXHAUSTED,
				"%s%s",
				start->terminal ? "no terminal; is devpts mounted on "
						  "/dev/pts? "
						: "no pipes: ",
				strerror(-ret));
		return;
	}
	e->agent = call->agent;
	e->call = call;
	e->terminal = start->terminal;
	e->grace_ms = grace_of(start);
	e->timer.fire = timer_fired;
	e->status.fd = -1;
	exec_input_init(&e->input, call, e->terminal, -1);
	exec_output_init(&e->output, call, e, output_ended, 0, -1);
	exec_output_init(&e->errors, call, e, output_ended, 0, -1);
	ret = e->terminal ? set_size(pipes.input, start->terminal) : 0;
	if (!ret)
		ret = run(e, command, &pipes);
	pipes_close(&pipes);
	if (!ret && start->timeout_nano)
		agent_loop_arm(&e->agent->loop, &e->timer,
			       deadline_after_ms(timeout_ms(start)));
	if (!ret)
		return;
	if (call->work)
		forsake(e);
	else
		free(e);
	agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "starting a process: %s",
			strerror(-ret));
}

static void take_start(struct agent_call *call, const Start *start)
{
	struct command command;
	struct error err;

	if (n_execs >= EXEC_MAX) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"%u commands run already", n_execs);
		return;
	}
	if (n_left >= EXEC_LEFT_MAX) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"%u commands that were killed have not ended: does a "
				"file system or a device hang?",
				n_left);
		return;
	}
	if (command_read(&command, start, &err) < 0) {
		agent_call_fail_error(call, &err);
		return;
	}
	agent_log(AGENT_LOG_INFO, "Exec: %s%s%s", *start->user ? start->user : "",
		  *start->user ? ": " : "",
		  command.arguments[0] ? command.arguments[0] : "a login shell");
	start_command(call, start, &command);
	command_free(&command);
}

static void take_signal(struct exec *e, uint32_t number)
{
	if (!number || number >= NSIG)
		fail(e, TTRPC_INVALID_ARGUMENT, "there is no such signal");
	else if (!e->ended)
		agent_child_signal(&e->child, (int)number);
}

static void exec_begin(struct agent_call *call, const ProtobufCMessage *message)
{
	(void)call;
	(void)message; /* all come through exec_message() */
}

static void exec_message(struct agent_call *call, const ProtobufCMessage *message)
{
	const Request *request = (const Request *)message;
	struct exec *e = call->work;

	if (!e &&
	    request->message_case == VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_START)
		take_start(call, request->start);
	else if (!e)
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"the first message must say what to start");
	else if (request->message_case == VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT)
		exec_input_write(&e->input, request->input.data, request->input.len);
	else if (request->message_case ==
		 VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT_END)
		exec_input_end(&e->input);
	else if (request->message_case ==
		 VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_SIGNAL)
		take_signal(e, request->signal);
	else if (request->message_case !=
		 VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_RESIZE)
		fail(e, TTRPC_INVALID_ARGUMENT,
		     "a message that starts another command, or is unknown");
	else if (!e->terminal)
		fail(e, TTRPC_INVALID_ARGUMENT, "the command has no terminal");
	else if (exec_output_is_open(&e->output))
		set_size(e->output.source.fd, request->resize);
}

static void exec_end(struct agent_call *call)
{
	struct exec *e = call->work;

	if (e)
		exec_input_end(&e->input);
	else
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"the stream ended before it said what to start");
}

static void exec_room(struct agent_call *call)
{
	struct exec *e = call->work;

	if (!e || !e->started)
		return;
	exec_output_start(&e->output);
	exec_output_start(&e->errors);
	finish_if_done(e);
}

static void exec_cancel(struct agent_call *call)
{
	if (call->work)
		forsake(call->work);
}

/* All calls have been cancelled by now: no more grace. */
static void stop(struct agent *agent)
{
	struct exec *e;

	(void)agent;
	while ((e = TAILQ_FIRST(&execs))) {
		if (!e->ended)
			agent_child_drop(&e->child);
		destroy(e);
	}
}

static const struct agent_method methods[] = {
	{
		.name = "Exec",
		.kind = AGENT_BIDI_STREAM,
		.changes = true,
		.request = &vmctl__agent__v1__exec_request__descriptor,
		.request_max = REQUEST_MAX,
		.response = &vmctl__agent__v1__exec_response__descriptor,
		.handle = exec_begin,
		.message = exec_message,
		.end = exec_end,
		.room = exec_room,
		.cancel = exec_cancel,
	},
};

const struct agent_service exec_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
	.stop = stop,
};
