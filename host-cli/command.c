/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "fleet.h"
#include "guest_rpc.h"
#include "terminal.h"
#include "vmctl/agent/v1/exec.pb-c.h"

#define READ_MAX	  (32u << 10)
#define MESSAGES_PER_TURN 16	/* then standard input has its turn */
#define START_TIMEOUT_MS  30000 /* at most */
#define NS_PER_MS	  1000000ll
#define LATE_MS		  10000 /* that the agent may take to end it */

typedef Vmctl__Agent__V1__ExecRequest Request;
typedef Vmctl__Agent__V1__ExecResponse Response;

/* One that is under way. */
struct run {
	const struct command *command;
	struct report *report;
	struct rpc rpc;
	struct rpc_stream stream;
	deadline_t deadline; /* until it has started, of that; then of its end */
	bool reads;	     /* standard input, for the command */
	bool resized;	     /* the command is to be told */
	bool started, exited;
	bool left; /* the user has */
	sigset_t mask;
};

int command_set_user(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct command *)into)->user = value;
	return 0;
}

int command_add_variable(struct command *command, const char *text, struct error *err)
{
	if (!strchr(text, '=') || *text == '=')
		return error_set(err, -EINVAL, "--env %s: give NAME=VALUE", text);
	if (command->n_variables == COMMAND_VARIABLES_MAX)
		return error_set(err, -E2BIG, "more than %d variables",
				 COMMAND_VARIABLES_MAX);
	command->variables[command->n_variables++] = text;
	return 0;
}

static void fill_variable(Vmctl__Agent__V1__EnvironmentVariable *to, const char *text)
{
	size_t name = strcspn(text, "=");

	vmctl__agent__v1__environment_variable__init(to);
	to->name = message_bytes(text);
	to->name.len = name;
	to->value = message_bytes(text + name + 1);
}

static void fill_start(Vmctl__Agent__V1__ExecStart *start,
		       const struct command *command, int64_t timeout_ms)
{
	size_t i;

	for (i = 0; i < command->n_words; i++)
		start->arguments[start->n_arguments++] =
			message_bytes(command->words[i]);
	for (i = 0; i < command->n_variables; i++)
		fill_variable(start->environment[start->n_environment++],
			      command->variables[i]);
	if (command->directory)
		start->directory = message_bytes(command->directory);
	if (command->user)
		start->user = (char *)command->user;
	if (timeout_ms >= 0)
		start->timeout_nano = timeout_ms * NS_PER_MS;
}

static int send_start(struct run *run, struct error *err)
{
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	Vmctl__Agent__V1__ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	Vmctl__Agent__V1__EnvironmentVariable variables[COMMAND_VARIABLES_MAX],
		*list[COMMAND_VARIABLES_MAX];
	const struct command *command = run->command;
	Request request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	cleanup_free ProtobufCBinaryData *words =
		calloc(command->n_words + 1, sizeof(*words));
	size_t i;

	if (!words)
		return error_set(err, -ENOMEM, "no memory for the command");
	for (i = 0; i < COMMAND_VARIABLES_MAX; i++)
		list[i] = &variables[i];
	start.arguments = words;
	start.environment = list;
	fill_start(&start, command, run->report->options->timeout_ms);
	if (command->terminal) {
		terminal_size(&size.rows, &size.columns);
		start.terminal = &size;
	}
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_START;
	request.start = &start;
	return guest_rpc_send(&run->stream, &request.base, run->deadline, err);
}

static int send_size(struct run *run, struct error *err)
{
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	Request request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;

	terminal_size(&size.rows, &size.columns);
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_RESIZE;
	request.resize = &size;
	return guest_rpc_send(&run->stream, &request.base, DEADLINE_NOW, err);
}

/* Standard input has something, or has ended. */
static int pass_input(struct run *run, struct error *err)
{
	Request request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	uint8_t bytes[READ_MAX];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0 && run->command->terminal && terminal_leaves(bytes, n)) {
		run->left = true;
		return 0;
	}
	if (n > 0) {
		request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT;
		request.input.data = bytes;
		request.input.len = n;
	} else {
		/* Not the stream's end: the window may change still. */
		run->reads = false;
		request.message_case =
			VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT_END;
		request.input_end = true;
	}
	return guest_rpc_send(&run->stream, &request.base, DEADLINE_NOW, err);
}

static int write_all(int fd, const ProtobufCBinaryData *bytes)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	size_t done = 0;

	while (done < bytes->len) {
		ssize_t n = write(fd, bytes->data + done, bytes->len - done);

		if (n >= 0)
			done += n;
		else if (errno == EAGAIN)
			poll(&p, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void take_exit(struct run *run, const Vmctl__Agent__V1__ExecExit *message)
{
	struct report *r = run->report;

	run->exited = true;
	if (message->signal)
		report_set(r, "command_signal",
			   json_integer((json_int_t)message->signal));
	else
		report_set(r, "command_code", json_integer((json_int_t)message->code));
	r->passed_on = (int)(message->signal ? 128 + message->signal % 128
					     : message->code % 256);
	if (message->timed_out)
		report_fail(r, STATUS_TIMEOUT,
			    "the command was ended after its --timeout of %.3g s",
			    (double)r->options->timeout_ms / 1000);
}

static void take_started(struct run *run, uint32_t pid)
{
	int64_t timeout_ms = run->report->options->timeout_ms;

	if (run->started)
		return;
	run->started = true;
	report_step_end(run->report);
	report_debug(run->report, "process %u", pid);
	/* It is the agent that ends the command, and the answer that says so. */
	run->deadline = deadline_after_ms(timeout_ms < 0 ? -1 : timeout_ms + LATE_MS);
}

static int take_message(struct run *run, const Response *response, struct error *err)
{
	int ret = 0;

	switch (response->message_case) {
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_STARTED:
		take_started(run, response->started->pid);
		return 0;
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_OUTPUT:
		ret = write_all(fleet_guest_fd(STDOUT_FILENO), &response->output);
		break;
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_ERRORS:
		ret = write_all(fleet_guest_fd(STDERR_FILENO), &response->errors);
		break;
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_EXIT:
		take_exit(run, response->exit);
		return 0;
	default: /* what a newer agent may say */
		return 0;
	}
	if (!ret)
		return 0;
	report_fail(run->report, STATUS_FAILURE,
		    "standard output: %s; the command is ended", strerror(-ret));
	return error_set(err, ret, "standard output: %s", strerror(-ret));
}

/* 0: go on; 1: the stream has ended well. */
static int receive(struct run *run, struct error *err)
{
	ProtobufCMessage *message;
	int i, ret;

	for (i = 0; i < MESSAGES_PER_TURN; i++) {
		ret = guest_rpc_next(&run->stream,
				     &vmctl__agent__v1__exec_response__descriptor,
				     DEADLINE_NOW, &message, err);
		if (ret != 1)
			return ret == -EAGAIN ? 0 : ret ? ret : 1;
		ret = take_message(run, (const Response *)message, err);
		message_free(message);
		if (ret)
			return ret;
	}
	return 0;
}

static int wait_for_more(struct run *run, bool *input, struct error *err)
{
	int left = deadline_left_ms(run->deadline), n;
	struct timespec ts = {.tv_sec = left / 1000,
			      .tv_nsec = left % 1000 * NS_PER_MS};
	struct pollfd p[2] = {
		{.fd = run->rpc.fd, .events = rpc_events(&run->rpc)},
		{.fd = run->reads && !run->rpc.out_len ? STDIN_FILENO : -1,
		 .events = POLLIN},
	};

	/* Also where there is always more to be read. */
	if (!left)
		return error_set(err, -ETIMEDOUT,
				 run->started ? "the command has not ended"
					      : "the agent took the call, and has not "
						"started the command");
	n = ppoll(p, 2, left < 0 ? NULL : &ts, &run->mask);
	*input = n > 0 && p[1].revents;
	if (n < 0 && errno != EINTR)
		return error_set(err, -errno, "poll: %s", strerror(errno));
	run->resized |= terminal_resized();
	return 0;
}

/* One round. 0: go on; 1: it has ended. A message that found no room is not lost. */
static int step(struct run *run, struct error *err)
{
	bool input = false;
	int ret = wait_for_more(run, &input, err);

	if (!ret)
		ret = receive(run, err);
	if (ret || run->rpc.out_len)
		return ret;
	if (run->resized && run->started && run->command->terminal) {
		run->resized = false;
		return send_size(run, err);
	}
	if (input)
		ret = pass_input(run, err);
	/* The end of the stream is told by receive(). */
	return ret == -EPIPE ? 0 : ret;
}

static enum status fail(struct run *run, int ret, const struct error *err)
{
	if (run->started && ret != RPC_REFUSED && ret != -ETIMEDOUT)
		return report_fail(run->report, STATUS_BROKEN,
				   "the connection broke (%s); the guest ends the "
				   "command then",
				   err->text);
	vm_fail_agent(ret, err, run->report);
	return report_not_repeated(run->report);
}

static int open_stream(struct run *run, struct error *err)
{
	int ret = guest_rpc_open(&run->rpc, &run->stream, "Exec", NULL,
				 RPC_CLIENT_SENDS, run->deadline, err);

	if (!ret)
		ret = send_start(run, err);
	if (!ret && run->command->terminal && terminal_is())
		ret = terminal_take(err);
	return ret;
}

static void go(struct run *run)
{
	struct error err = {0};
	int ret = open_stream(run, &err);

	while (!ret && !run->left)
		ret = step(run, &err);
	terminal_give_back();
	rpc_cancel(&run->stream);
	if (ret < 0)
		fail(run, ret, &err);
	else if (run->left)
		report_fail(run->report, STATUS_INTERRUPTED,
			    "left with ^]; the guest ends the command");
	else if (!run->exited)
		report_fail(run->report, STATUS_NO_AGENT,
			    "the agent has not said how the command ended");
}

enum status command_run(const struct command *command, const struct vm *vm,
			struct report *r)
{
	struct run run = {.command = command, .report = r, .reads = true};
	int64_t timeout_ms = r->options->timeout_ms;

	if (timeout_ms < 0 || timeout_ms > START_TIMEOUT_MS)
		timeout_ms = START_TIMEOUT_MS;
	run.deadline = deadline_after_ms(timeout_ms);
	terminal_watch(&run.mask);
	report_step(r, "connect");
	rpc_init(&run.rpc, -1);
	if (vm_open_agent(vm, &run.rpc, run.deadline, r) == STATUS_OK) {
		report_step(r, "start");
		go(&run);
	}
	rpc_close(&run.rpc);
	return r->status;
}
