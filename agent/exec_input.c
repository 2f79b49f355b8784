// SPDX-License-Identifier: Apache-2.0
#include "exec_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

static const uint8_t end_of_file = 4; /* ^D */

/* Forgets what is kept. */
static void drop(struct exec_input *input)
{
	if (!input->data)
		return;
	agent_loop_remove(&input->call->agent->loop, &input->source);
	free(input->data);
	input->data = NULL;
	agent_call_let_go(input->call, input->len);
	agent_call_resume(input->call);
}

void exec_input_close(struct exec_input *input)
{
	drop(input);
	if (input->source.fd >= 0)
		close(input->source.fd);
	input->source.fd = -1;
}

/* How many bytes it took, 0 for none now; -1: it takes no more. */
static ssize_t write_some(struct exec_input *input, const uint8_t *data, size_t len)
{
	ssize_t n;

	do {
		n = write(input->source.fd, data, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n;
}

static void input_ready(struct agent_source *source, uint32_t events)
{
	struct exec_input *input = agent_container(source, struct exec_input, source);
	ssize_t n =
		write_some(input, input->data + input->done, input->len - input->done);

	(void)events;
	if (n < 0) {
		exec_input_close(input);
		return;
	}
	input->done += n;
	if (input->done == input->len)
		drop(input);
}

void exec_input_init(struct exec_input *input, struct agent_call *call, bool terminal,
		     int fd)
{
	*input = (struct exec_input){
		.source = {.fd = fd, .ready = input_ready},
		.call = call,
		.terminal = terminal,
	};
}

/* Keeps what was not taken, until it is. */
static int keep(struct exec_input *input, const uint8_t *data, size_t len)
{
	int ret;

	input->data = malloc(len);
	if (!input->data)
		return -ENOMEM;
	memcpy(input->data, data, len);
	input->len = len;
	input->done = 0;
	ret = agent_loop_add(&input->call->agent->loop, &input->source, EPOLLOUT);
	if (ret) {
		free(input->data);
		input->data = NULL;
		return ret;
	}
	agent_call_hold(input->call, len);
	agent_call_pause(input->call);
	return 0;
}

void exec_input_write(struct exec_input *input, const uint8_t *data, size_t len)
{
	ssize_t n;

	if (input->source.fd < 0 || !len)
		return;
	n = write_some(input, data, len);
	if (n < 0 || ((size_t)n < len && keep(input, data + n, len - n)))
		exec_input_close(input);
}

void exec_input_end(struct exec_input *input)
{
	if (input->source.fd < 0)
		return;
	if (input->terminal)
		exec_input_write(input, &end_of_file, 1);
	else
		exec_input_close(input);
}
