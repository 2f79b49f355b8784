/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the agent's Exec, for its tests: one command on a connection. */
#ifndef EXEC_CLIENT_H
#define EXEC_CLIENT_H

#include <poll.h>

#include "../../host-cli/guest_rpc.h"
#include "test_agent_common.h"
#include "vmctl/agent/v1/exec.pb-c.h"

typedef Vmctl__Agent__V1__ExecRequest ExecRequest;
typedef Vmctl__Agent__V1__ExecResponse ExecResponse;
typedef Vmctl__Agent__V1__ExecStart ExecStart;
typedef Vmctl__Agent__V1__EnvironmentVariable Variable;

#define WORDS_MAX 8

struct client {
	struct rpc rpc;
	struct rpc_stream stream;
	struct error err; /* of the stream's end */
	int ret;	  /* 0: it ended well */
	pid_t pid;
	char out[65536], errors[4096];
	size_t out_len, errors_len;
	uint64_t out_bytes; /* also of what had no room */
	bool exited, timed_out;
	uint32_t code, signal;
};

static inline void client_open(struct client *c, const struct fixture *f)
{
	memset(c, 0, sizeof(*c));
	rpc_init(&c->rpc, dial(f));
	assert_int_equal(guest_rpc_open(&c->rpc, &c->stream, "Exec", NULL,
					RPC_CLIENT_SENDS, deadline_after_ms(PATIENCE),
					&c->err),
			 0);
}

static inline void client_send(struct client *c, const ExecRequest *request)
{
	assert_int_equal(guest_rpc_send(&c->stream, &request->base,
					deadline_after_ms(PATIENCE), &c->err),
			 0);
}

static inline void client_start_with(struct client *c, const ExecStart *start)
{
	ExecRequest request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;

	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_START;
	request.start = (ExecStart *)start;
	client_send(c, &request);
}

/* words[] has room for WORDS_MAX. */
static inline void fill_shell(ExecStart *start, ProtobufCBinaryData *words,
			      const char *script)
{
	words[0] = message_bytes("sh");
	words[1] = message_bytes("-c");
	words[2] = message_bytes(script);
	start->arguments = words;
	start->n_arguments = 3;
}

static inline void client_shell(struct client *c, const struct fixture *f,
				const char *script)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];

	client_open(c, f);
	fill_shell(&start, words, script);
	client_start_with(c, &start);
}

static inline void client_input(struct client *c, const void *data, size_t len)
{
	ExecRequest request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;

	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT;
	request.input.data = (uint8_t *)data;
	request.input.len = len;
	client_send(c, &request);
}

static inline void client_end_input(struct client *c)
{
	assert_int_equal(rpc_close_send(&c->stream, &c->err), 0);
}

static inline void take_bytes(char *to, size_t size, size_t *len,
			      const ProtobufCBinaryData *bytes)
{
	size_t n = bytes->len < size - 1 - *len ? bytes->len : size - 1 - *len;

	if (n)
		memcpy(to + *len, bytes->data, n);
	*len += n;
}

static inline void client_take(struct client *c, const ExecResponse *response)
{
	switch (response->message_case) {
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_STARTED:
		c->pid = (pid_t)response->started->pid;
		return;
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_OUTPUT:
		take_bytes(c->out, sizeof(c->out), &c->out_len, &response->output);
		c->out_bytes += response->output.len;
		return;
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_ERRORS:
		take_bytes(c->errors, sizeof(c->errors), &c->errors_len,
			   &response->errors);
		return;
	case VMCTL__AGENT__V1__EXEC_RESPONSE__MESSAGE_EXIT:
		assert_false(c->exited);
		c->exited = true;
		c->code = response->exit->code;
		c->signal = response->exit->signal;
		c->timed_out = response->exit->timed_out;
		return;
	default:
		fail_msg("an unknown message");
	}
}

/* One message more. False: the stream has ended, and how is in ret and err. */
static inline bool client_next(struct client *c)
{
	ProtobufCMessage *message;

	c->ret =
		guest_rpc_next(&c->stream, &vmctl__agent__v1__exec_response__descriptor,
			       deadline_after_ms(PATIENCE), &message, &c->err);
	if (c->ret != 1)
		return false;
	client_take(c, (const ExecResponse *)message);
	message_free(message);
	return true;
}

static inline void client_until(struct client *c, const char *part)
{
	while (!strstr(c->out, part))
		assert_true(client_next(c));
}

/* To the end, and closes. */
static inline void client_finish(struct client *c)
{
	while (client_next(c))
		;
	rpc_close(&c->rpc);
}

static inline void expect_exit(struct client *c, uint32_t code, uint32_t signal)
{
	client_finish(c);
	if (c->ret)
		fail_msg("%s", c->err.text);
	assert_true(c->exited);
	assert_int_equal(c->signal, signal);
	assert_int_equal(c->code, code);
}

static inline void expect_refusal(struct client *c, const char *words)
{
	client_finish(c);
	assert_true(c->ret < 0);
	assert_false(c->exited);
	if (!strstr(c->err.text, words))
		fail_msg("'%s' is not in: %s", words, c->err.text);
}

static inline bool is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

#endif
