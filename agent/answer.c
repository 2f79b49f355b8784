// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "decode.h"
#include "log.h"
#include "service.h"

#define ANSWER_MAX (1u << 20) /* bytes, all of it */
/* What one that waits for its job takes, but for its request: two pages. */
#define WORK_COST 8192

/* What the job writes: this, then the packed answer or the words of the error. */
struct header {
	int32_t code; /* 0 or a negative errno */
};

struct work {
	struct agent_job job;
	struct agent_call *call; /* NULL: cancelled */
	const struct agent *agent;
	agent_answer_fn *make;
	const ProtobufCMessageDescriptor *type; /* the request's */
	uint8_t *request;
	size_t request_len;
	uint8_t output[];
};

struct agent_answer {
	int fd;
	bool sent;
};

static void work_free(struct work *work)
{
	free(work->request);
	free(work);
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return 0;
}

static int write_output(int fd, int code, const void *data, size_t len)
{
	struct header header = {code};
	int ret = write_all(fd, &header, sizeof(header));

	return ret ? ret : write_all(fd, data, len);
}

void *agent_answer_alloc(size_t count, size_t size)
{
	void *p = calloc(count + !count, size);

	if (!p)
		_exit(ENOMEM);
	return p;
}

char *agent_answer_text(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = agent_answer_alloc(size, 1);

	agent_log_printable(text, copy, size);
	return copy;
}

int agent_answer_send(struct agent_answer *answer, const ProtobufCMessage *message,
		      struct error *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = agent_answer_alloc(size, 1);
	int ret;

	if (size > ANSWER_MAX - sizeof(struct header))
		ret = error_set(err, -ENOSPC, "the answer would take %zu bytes", size);
	else
		ret = write_output(answer->fd, 0, packed,
				   protobuf_c_message_pack(message, packed));
	answer->sent = !ret;
	free(packed);
	return ret;
}

/* In the child. */
static int make(struct agent_job *job, int fd)
{
	struct work *work = agent_container(job, struct work, job);
	ProtobufCMessage *request =
		agent_decode(work->type, work->request, work->request_len);
	struct agent_answer answer = {.fd = fd};
	struct error err = {.code = -EIO};
	int ret;

	if (!request)
		return -ENOMEM;
	ret = work->make(&answer, work->agent, request, &err);
	agent_decode_free(request);
	if (answer.sent)
		return 0;
	return write_output(fd, ret ? ret : -EIO, err.text, strlen(err.text));
}

static void reply(struct work *work, const uint8_t *data, size_t len)
{
	ProtobufCMessage *message = protobuf_c_message_unpack(
		work->call->method->response, NULL, len, data);

	if (!message) {
		agent_call_fail(work->call, TTRPC_RESOURCE_EXHAUSTED,
				"no memory for an answer of %zu bytes", len);
		return;
	}
	agent_call_reply(work->call, message);
	protobuf_c_message_free_unpacked(message, NULL);
}

static void fail(struct work *work, int code, const uint8_t *text, size_t len)
{
	struct error err;

	error_set(&err, code, "%.*s", (int)len, (const char *)text);
	agent_call_fail_error(work->call, &err);
}

static void job_done(struct agent_job *job)
{
	struct work *work = agent_container(job, struct work, job);
	const uint8_t *data = work->output + sizeof(struct header);
	struct header header;

	if (!work->call) {
		work_free(work);
		return;
	}
	if (job->status || job->used < sizeof(header)) {
		agent_call_fail(work->call,
				job->refused ? TTRPC_RESOURCE_EXHAUSTED
					     : TTRPC_INTERNAL,
				"the process that was to answer %s %s: %s",
				work->call->method->name,
				job->refused ? "was not started" : "ended early",
				agent_job_words(job));
		work_free(work);
		return;
	}
	memcpy(&header, work->output, sizeof(header));
	if (header.code)
		fail(work, header.code, data, job->used - sizeof(header));
	else
		reply(work, data, job->used - sizeof(header));
	work_free(work);
}

void agent_answer_cancel(struct agent_call *call)
{
	struct work *work = call->work;

	work->call = NULL;
	agent_job_cancel(&work->job);
}

static void start(struct agent_call *call, const ProtobufCMessage *request,
		  agent_answer_fn *make_fn, enum agent_job_kind kind)
{
	size_t len = protobuf_c_message_get_packed_size(request);
	struct work *work;

	if (!agent_call_may_hold(call, WORK_COST + len)) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, AGENT_BUDGET_FULL,
				call->agent->budget.used >> 10);
		return;
	}
	/* Above malloc's threshold for mmap: pages cost from the first byte on only. */
	work = malloc(sizeof(*work) + ANSWER_MAX);
	if (!work) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	*work = (struct work){
		.job = {.kind = kind,
			.work = make,
			.done = job_done,
			.output = work->output,
			.output_size = ANSWER_MAX},
		.call = call,
		.agent = call->agent,
		.make = make_fn,
		.type = request->descriptor,
		.request_len = len,
	};
	work->request = malloc(work->request_len + 1);
	if (!work->request) {
		work_free(work);
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	protobuf_c_message_pack(request, work->request);
	agent_call_hold(call, WORK_COST + len);
	call->work = work;
	agent_job_start(&call->agent->jobs, &work->job);
}

void agent_answer_start(struct agent_call *call, const ProtobufCMessage *request,
			agent_answer_fn *make_fn)
{
	start(call, request, make_fn, AGENT_JOB_QUICK);
}

void agent_answer_start_slow(struct agent_call *call, const ProtobufCMessage *request,
			     agent_answer_fn *make_fn)
{
	start(call, request, make_fn, AGENT_JOB_SLOW);
}
