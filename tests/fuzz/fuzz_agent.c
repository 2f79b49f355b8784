// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on a connection of the guest agent: an agent as it is, from its frames to
 * its tables of methods, whose handlers have nothing to do with the guest. Each request
 * that they get is well formed, and each stream has one end at most. An input is a
 * number of steps, after a head of two bytes.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../agent/agent.h"
#include "../../agent/log.h"
#include "../../agent/service.h"
#include "../../agent/session.h"
#include "fuzz.h"
#include "io.h"
#include "ttrpc.h"
#include "ttrpc.pb-c.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What a step does; numbers are as in seeds.py. */
enum step {
	STEP_CALL, /* ID METHOD FLAGS TIMEOUT LEN16 BYTES: a request with a payload */
	STEP_DATA, /* ID FLAGS LEN16 BYTES: a data frame */
	STEP_RAW,  /* LEN16 BYTES: as they are */
	STEP_RELEASE, /* the oldest call that waits goes on */
	STEP_TURNS,   /* N: so often the loop goes round */
	STEP_READ,    /* N: so many times 64 bytes of answers are read */
	STEPS,
};

#define SERVICES_MAX 64
#define IDS	     256
#define OUTPUT_MAX   (256u << 10)
#define TURNS_MAX    10000 /* after the client has gone */

/* A call that a handler has not ended. */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct agent_call *call;
	unsigned int messages;
};

TAILQ_HEAD(waiting_list, waiting);

struct client {
	struct agent *agent;
	struct agent_timer timer;
	const uint8_t *data; /* the steps that are left */
	size_t size;
	int fd; /* -1: closed */
	uint8_t *output;
	size_t used, sent, chunk;
	unsigned int turns;
	bool raw; /* bytes went out that may be any frame */
	bool asked[IDS], ended[IDS];
	bool odd[IDS]; /* used against the protocol, which is told at any time */
	struct ttrpc_reader reader;
};

static struct agent_service services[SERVICES_MAX];
static const struct agent_service *served[SERVICES_MAX + 2];
static size_t n_services, n_methods;
static char *socket_path, *policy_path;
static struct waiting_list waiting_calls;
static unsigned int calls; /* of this input */
static struct client client;

/* The handlers. */

static ProtobufCMessage *response_of(const struct agent_call *call)
{
	const ProtobufCMessageDescriptor *type = call->method->response;
	ProtobufCMessage *message = calloc(1, type->sizeof_message);

	CHECK(message);
	protobuf_c_message_init(type, message);
	return message;
}

static void forget(struct agent_call *call)
{
	struct waiting *w = call->work;

	if (!w)
		return;
	TAILQ_REMOVE(&waiting_calls, w, link);
	call->work = NULL;
	free(w);
}

static void send_one(struct agent_call *call)
{
	ProtobufCMessage *message = response_of(call);

	agent_call_send(call, message);
	free(message);
}

static void finish(struct agent_call *call)
{
	enum agent_method_kind kind = call->method->kind;
	ProtobufCMessage *message = response_of(call);

	forget(call);
	if (kind == AGENT_UNARY || kind == AGENT_CLIENT_STREAM)
		agent_call_reply(call, message);
	else
		agent_call_finish(call);
	free(message);
}

static void wait_with(struct agent_call *call)
{
	struct waiting *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->call = call;
	call->work = w;
	TAILQ_INSERT_TAIL(&waiting_calls, w, link);
}

/* As whoever answers later packs it for another process. */
static void look_at(const ProtobufCMessage *request)
{
	size_t size = protobuf_c_message_get_packed_size(request);
	uint8_t *packed = malloc(size + 1);

	CHECK(packed);
	CHECK(protobuf_c_message_check(request));
	CHECK(protobuf_c_message_pack(request, packed) == size);
	free(packed);
}

static void on_request(struct agent_call *call, const ProtobufCMessage *request)
{
	bool unary = call->method->kind == AGENT_UNARY;

	CHECK(!request == (call->method->kind == AGENT_CLIENT_STREAM ||
			   call->method->kind == AGENT_BIDI_STREAM));
	if (request)
		look_at(request);
	wait_with(call);
	switch (calls++ % 4) {
	case 0:
		if (request)
			finish(call);
		break;
	case 1:
		if (unary) {
			forget(call);
			agent_call_fail(call, TTRPC_INTERNAL, "\xff no");
		}
		break;
	case 2:
		if (call->method->kind == AGENT_SERVER_STREAM)
			while (agent_call_has_room(call) && calls++ % 8)
				send_one(call);
		break;
	default:
		break;
	}
}

static void on_message(struct agent_call *call, const ProtobufCMessage *message)
{
	struct waiting *w = call->work;

	look_at(message);
	if (call->method->kind == AGENT_BIDI_STREAM && agent_call_has_room(call))
		send_one(call);
	if (++w->messages % 3 == 0)
		agent_call_pause(call);
	else if (w->messages == 8)
		finish(call);
}

static void on_room(struct agent_call *call)
{
	send_one(call);
}

static void release_one(void)
{
	struct waiting *w = TAILQ_FIRST(&waiting_calls);

	if (!w)
		return;
	if (!w->call->paused) {
		finish(w->call);
		return;
	}
	TAILQ_REMOVE(&waiting_calls, w, link);
	TAILQ_INSERT_TAIL(&waiting_calls, w, link);
	agent_call_resume(w->call);
}

/* The client. */

static uint8_t take_byte(struct client *c)
{
	if (!c->size)
		return 0;
	c->size--;
	return *c->data++;
}

static const uint8_t *take_bytes(struct client *c, size_t *len)
{
	const uint8_t *bytes = c->data;

	*len = (size_t)take_byte(c) << 8;
	*len |= take_byte(c);
	if (*len > c->size)
		*len = c->size;
	bytes = c->data;
	c->data += *len;
	c->size -= *len;
	return bytes;
}

static void put(struct client *c, const void *bytes, size_t len)
{
	if (len > OUTPUT_MAX - c->used)
		len = OUTPUT_MAX - c->used;
	memcpy(c->output + c->used, bytes, len);
	c->used += len;
}

static void put_frame(struct client *c, struct ttrpc_header h, const void *payload)
{
	uint8_t header[TTRPC_HEADER_SIZE];

	/* One that does not fit would be half a frame. */
	if (sizeof(header) + h.length > OUTPUT_MAX - c->used)
		return;
	ttrpc_header_encode(&h, header);
	put(c, header, sizeof(header));
	put(c, payload, h.length);
}

static const struct agent_method *method_at(size_t number, const char **service)
{
	for (size_t i = 0; i < n_services; i++) {
		if (number < services[i].n_methods) {
			*service = services[i].name;
			return &services[i].methods[number];
		}
		number -= services[i].n_methods;
	}
	return NULL;
}

static void step_call(struct client *c)
{
	static const int64_t timeouts[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1000000};
	struct ttrpc_header h = {.type = TTRPC_REQUEST};
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	const struct agent_method *method;
	const char *service = NULL;
	uint8_t *packed;

	h.stream_id = 2 * take_byte(c) + 1;
	c->odd[h.stream_id / 2] |= c->asked[h.stream_id / 2];
	c->asked[h.stream_id / 2] = true;
	method = method_at(take_byte(c) % (n_methods + 1), &service);
	h.flags = take_byte(c);
	request.service = (char *)(service ? service : "none");
	request.method = (char *)(method ? method->name : "None");
	request.timeout_nano =
		timeouts[take_byte(c) % (sizeof(timeouts) / sizeof(timeouts[0]))];
	request.payload.data = (uint8_t *)take_bytes(c, &request.payload.len);
	h.length = ttrpc__request__get_packed_size(&request);
	packed = malloc(h.length + 1);
	CHECK(packed);
	ttrpc__request__pack(&request, packed);
	put_frame(c, h, packed);
	free(packed);
}

static void step_data(struct client *c)
{
	struct ttrpc_header h = {.type = TTRPC_DATA};
	const uint8_t *bytes;
	size_t len;

	h.stream_id = 2 * take_byte(c) + 1;
	c->odd[h.stream_id / 2] |= !c->asked[h.stream_id / 2];
	h.flags = take_byte(c);
	bytes = take_bytes(c, &len);
	h.length = len;
	put_frame(c, h, bytes);
}

static void send_output(struct client *c)
{
	size_t len = c->used - c->sent;
	ssize_t n;

	if (!len)
		return;
	n = send(c->fd, c->output + c->sent, len < c->chunk ? len : c->chunk,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		c->sent += n;
}

static void take_answer(struct client *c, const struct ttrpc_header *h,
			const uint8_t *payload)
{
	Ttrpc__Response *response;

	if (h->type == TTRPC_RESPONSE) {
		response = ttrpc__response__unpack(NULL, h->length, payload);
		CHECK(response);
		if (response->status)
			for (const char *p = response->status->message; *p; p++)
				CHECK(*p >= ' ' && *p <= '~');
		ttrpc__response__free_unpacked(response, NULL);
	} else {
		CHECK(h->type == TTRPC_DATA);
	}
	if (c->raw || h->stream_id / 2 >= IDS)
		return;
	CHECK(h->stream_id % 2);
	CHECK(c->odd[h->stream_id / 2] || !c->ended[h->stream_id / 2]);
	if (h->type == TTRPC_RESPONSE || h->flags & TTRPC_REMOTE_CLOSED)
		c->ended[h->stream_id / 2] = true;
}

/* False: there is nothing to read now. */
static bool read_answers(struct client *c, size_t max)
{
	struct ttrpc_header h;
	const uint8_t *payload;
	size_t len;
	void *space = ttrpc_reader_space(&c->reader, &len);
	ssize_t n;

	CHECK(space);
	n = recv(c->fd, space, len < max ? len : max, MSG_DONTWAIT);
	if (n <= 0)
		return false;
	ttrpc_reader_advance(&c->reader, n);
	switch (ttrpc_reader_take(&c->reader, &h, &payload)) {
	case TTRPC_TAKE_FRAME:
		take_answer(c, &h, payload);
		break;
	case TTRPC_TAKE_OVERSIZE:
		CHECK(0);
		break;
	case TTRPC_TAKE_MORE:
		break;
	}
	return true;
}

static void step(struct client *c)
{
	const uint8_t *bytes;
	size_t len;

	switch ((enum step)(take_byte(c) % STEPS)) {
	case STEP_CALL:
		step_call(c);
		break;
	case STEP_DATA:
		step_data(c);
		break;
	case STEP_RAW:
		bytes = take_bytes(c, &len);
		c->raw = true;
		put(c, bytes, len);
		break;
	case STEP_RELEASE:
		release_one();
		break;
	case STEP_TURNS:
		c->turns = take_byte(c);
		break;
	case STEP_READ:
		for (unsigned int n = take_byte(c); n && read_answers(c, 64); n--)
			;
		break;
	default:
		break;
	}
}

/* Each time that the loop comes by: a step, or a turn that one asked for. */
static void go_on(struct agent_timer *timer)
{
	struct client *c = agent_container(timer, struct client, timer);

	agent_loop_arm(&c->agent->loop, timer, deadline_after_ms(0));
	if (c->fd < 0) {
		/* The agent sees that its client has gone, whatever it was doing. */
		CHECK(c->turns++ < TURNS_MAX);
		if (!c->agent->n_sessions)
			agent_loop_stop(&c->agent->loop);
		return;
	}
	send_output(c);
	if (c->turns) {
		c->turns--;
	} else if (c->size) {
		step(c);
	} else {
		while (read_answers(c, SIZE_MAX))
			;
		close(c->fd);
		c->fd = -1;
	}
}

static int client_start(struct agent *agent, struct error *err)
{
	int fds[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
	client.fd = fds[0];
	client.agent = agent;
	client.timer.fire = go_on;
	CHECK(!agent_session_create(agent, fds[1]));
	agent_loop_arm(&agent->loop, &client.timer, deadline_after_ms(0));
	(void)err;
	return 0;
}

static void client_stop(struct agent *agent)
{
	agent_loop_disarm(&agent->loop, &client.timer);
}

/* A service of no methods, which the agent starts. */
static const struct agent_service client_service = {
	.name = "client", .start = client_start, .stop = client_stop};

static void replace_handlers(struct agent_service *service)
{
	struct agent_method *methods = calloc(service->n_methods, sizeof(*methods));

	CHECK(methods);
	memcpy(methods, service->methods, service->n_methods * sizeof(*methods));
	for (size_t i = 0; i < service->n_methods; i++) {
		enum agent_method_kind kind = methods[i].kind;
		bool streams = kind == AGENT_CLIENT_STREAM || kind == AGENT_BIDI_STREAM;

		methods[i].handle = on_request;
		methods[i].message = streams ? on_message : NULL;
		methods[i].end = streams ? finish : NULL;
		methods[i].room = kind == AGENT_UNARY ? NULL : on_room;
		methods[i].cancel = forget;
	}
	service->methods = methods;
	service->start = NULL;
	service->stop = NULL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("TMPDIR");
	FILE *policy;

	(void)argc;
	(void)argv;
	if (!dir)
		dir = "/tmp";
	CHECK(asprintf(&socket_path, "unix:%s/fuzz-%d.sock", dir, getpid()) > 0);
	CHECK(asprintf(&policy_path, "%s/fuzz-%d.policy", dir, getpid()) > 0);
	policy = fopen(policy_path, "we");
	CHECK(policy);
	fputs("allow */Get*\ndeny */*[ae]\n", policy);
	CHECK(!fclose(policy));
	TAILQ_INIT(&waiting_calls);
	for (; agent_services_kata[n_services]; n_services++) {
		CHECK(n_services < SERVICES_MAX);
		services[n_services] = *agent_services_kata[n_services];
		replace_handlers(&services[n_services]);
		served[n_services] = &services[n_services];
		n_methods += services[n_services].n_methods;
	}
	served[n_services] = &client_service;
	CHECK(n_methods < 255);
	unsetenv("NOTIFY_SOCKET");
	/* What it would say of these inputs is of no use, and much. */
	agent_log_hold();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_options options = {.root = "", .services = served};
	unsigned int files = fuzz_open_files();
	struct error err = {0};
	sigset_t mask;

	CHECK(!agent_address_parse(socket_path, &options.listen, &err));
	client = (struct client){.data = data, .size = size, .fd = -1};
	client.output = malloc(OUTPUT_MAX);
	CHECK(client.output);
	ttrpc_reader_init(&client.reader);
	calls = take_byte(&client);
	/* Bytes that are sent at a time: from one on to all of them. */
	client.chunk = (size_t)1 << calls / 16;
	options.policy = take_byte(&client) & 1 ? policy_path : NULL;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	if (agent_run(&options, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	CHECK(!err.code);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	CHECK(client.fd < 0);
	CHECK(TAILQ_EMPTY(&waiting_calls));
	ttrpc_reader_free(&client.reader);
	free(client.output);
	CHECK(fuzz_open_files() == files);
	return 0;
}
