// SPDX-License-Identifier: Apache-2.0
#include "exec_output.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"

#define READ_MAX       (32u << 10)
#define READS_PER_TURN 4 /* then other calls have their turn */
/* More than the kernel keeps of what was written to a terminal. */
#define TERMINAL_MAX (128u << 10)

bool exec_output_is_open(const struct exec_output *output)
{
	return output->source.fd >= 0;
}

static void unwatch(struct exec_output *output)
{
	/* Not a watch for nothing: the end of a pipe is told even then. */
	if (output->watched)
		agent_loop_remove(&output->call->agent->loop, &output->source);
	output->watched = false;
}

void exec_output_close(struct exec_output *output)
{
	if (!exec_output_is_open(output))
		return;
	unwatch(output);
	close(output->source.fd);
	output->source.fd = -1;
}

static void end(struct exec_output *output)
{
	exec_output_close(output);
	output->ended(output);
}

static void send_bytes(struct exec_output *output, uint8_t *data, size_t len)
{
	Vmctl__Agent__V1__ExecResponse response = VMCTL__AGENT__V1__EXEC_RESPONSE__INIT;

	response.message_case = output->field;
	/* The two fields are of one type, and share their place. */
	response.output.data = data;
	response.output.len = len;
	agent_call_send(output->call, &response.base);
}

/* For the last bytes. Whether those are still to be read, or the end of all. */
static bool has_more(const struct exec_output *output)
{
	struct pollfd p = {.fd = output->source.fd, .events = POLLIN};

	/* The kernel passes on first what is on its way through a terminal. */
	return output->left && poll(&p, 1, 0) > 0;
}

/* One read. False: there is no more now, or for ever (then it is closed). */
static bool read_some(struct exec_output *output)
{
	uint8_t bytes[READ_MAX];
	size_t want = sizeof(bytes);
	ssize_t n;

	if (output->last && output->left < want)
		want = output->left;
	n = want ? read(output->source.fd, bytes, want) : 0;
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN && !output->last)
		return false;
	/* The end of a terminal is EIO. */
	if (n <= 0) {
		end(output);
		return false;
	}
	send_bytes(output, bytes, n);
	if (!output->last)
		return true;
	output->left -= n;
	if (has_more(output))
		return true;
	/* At once: nothing may come any more that would tell of it. */
	end(output);
	return false;
}

static void output_ready(struct agent_source *source, uint32_t events)
{
	struct exec_output *output =
		agent_container(source, struct exec_output, source);

	(void)events;
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!agent_call_has_room(output->call)) {
			unwatch(output);
			return;
		}
		if (!read_some(output))
			return;
	}
}

void exec_output_init(struct exec_output *output, struct agent_call *call,
		      struct exec *owner, void (*ended)(struct exec_output *output),
		      Vmctl__Agent__V1__ExecResponse__MessageCase field, int fd)
{
	*output = (struct exec_output){
		.source = {.fd = fd, .ready = output_ready},
		.call = call,
		.owner = owner,
		.ended = ended,
		.field = field,
	};
}

void exec_output_start(struct exec_output *output)
{
	if (!exec_output_is_open(output) || output->watched)
		return;
	output->watched =
		!agent_loop_add(&output->call->agent->loop, &output->source, EPOLLIN);
	/* No memory to wait with: it ends here, and the command is told by SIGPIPE. */
	if (!output->watched)
		exec_output_close(output);
}

void exec_output_last(struct exec_output *output)
{
	int n = 0;

	if (!exec_output_is_open(output))
		return;
	/* A terminal ends by itself only when nobody has it any more. */
	if (isatty(output->source.fd))
		n = TERMINAL_MAX;
	else if (ioctl(output->source.fd, FIONREAD, &n) < 0)
		n = 0;
	output->left = n;
	if (!has_more(output)) {
		exec_output_close(output);
		return;
	}
	output->last = true;
	exec_output_start(output);
}
