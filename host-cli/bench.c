/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round trips by Ping, then bytes each way by Discard and Generate, one after the other
 * over one connection. Nothing is tried again: what broke on the way measured a break.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "distribution.h"
#include "guest_rpc.h"
#include "plot.h"
#include "text.h"
#include "verbs.h"
#include "vm.h"
#include "vmctl/agent/v1/traffic.pb-c.h"

#define COUNT_MAX     1000000
#define MESSAGE_MAX   (1u << 20) /* of the agent's two calls */
#define PAYLOAD	      64	 /* bytes of a round trip */
#define WARM_UP	      50	 /* round trips that do not count */
#define PROGRESS_MS   200
#define PLOT_ROWS_MAX 16

struct flow {
	uint64_t bytes, ns;
};

struct bench {
	/* What is asked for. */
	uint64_t count, size, message;

	struct rpc rpc;
	deadline_t deadline, next_progress;
	struct report *report;
	bool answered; /* there is an agent, and it has answered */

	struct distribution round_trips;
	struct flow to_guest, from_guest;
};

static int set_count(void *into, const char *value, struct error *err)
{
	if (text_number(value, 1, COUNT_MAX, &((struct bench *)into)->count))
		return error_set(err, -EINVAL, "--count %s: give a number from 1 to %d",
				 value, COUNT_MAX);
	return 0;
}

static int set_size(void *into, const char *value, struct error *err)
{
	if (text_bytes(value, 1, INT64_MAX, &((struct bench *)into)->size))
		return error_set(err, -EINVAL, "--size %s: give bytes, such as 64M",
				 value);
	return 0;
}

static int set_message(void *into, const char *value, struct error *err)
{
	if (text_bytes(value, 1, MESSAGE_MAX, &((struct bench *)into)->message))
		return error_set(err, -EINVAL, "--message %s: give bytes from 1 to 1M",
				 value);
	return 0;
}

static const struct option_spec specs[] = {
	{"count", "N", "round trips (1000)", 0, set_count},
	{"size", "BYTES", "to the guest, and from it (64M)", 0, set_size},
	{"message", "BYTES", "a message has, 1M at most (64K)", 0, set_message},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "bench",
	.operands = "VM",
	.about = "Measures how long the guest's agent takes to answer, and how many "
		 "bytes\n"
		 "a second it takes and gives: calls of the agent over the VM's "
		 "transport, which\n"
		 "are more than the transport alone. It loads the guest while it runs.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

static uint64_t now_ns(void)
{
	return deadline_after_ms(0);
}

/*
 * To be called again and again: what can be sent or read at once is not held to the
 * deadline by rpc.h. Says now and then how far it is: 1. Otherwise 0, or -ETIMEDOUT.
 */
static int go_on(struct bench *b, uint64_t done, uint64_t of, struct error *err)
{
	double percent = (double)done * 100 / (double)of;

	if (!deadline_left_ms(b->deadline))
		return error_set(err, -ETIMEDOUT, "%.0f%% was done", percent);
	if (deadline_left_ms(b->next_progress))
		return 0;
	b->next_progress = deadline_after_ms(PROGRESS_MS);
	report_progress(b->report, "%s %.0f%%",
			b->report->step[b->report->steps - 1].name, percent);
	return 1;
}

static int measure_round_trips(struct bench *b, struct error *err)
{
	uint8_t payload[PAYLOAD] = {0};
	uint64_t i, began;
	int ret;

	if (distribution_init(&b->round_trips, b->count))
		return error_set(err, -ENOMEM, "no memory for %llu round trips",
				 (unsigned long long)b->count);
	for (i = 0; i < WARM_UP + b->count; i++) {
		memcpy(payload, &i, sizeof(i));
		began = now_ns();
		ret = guest_ping(&b->rpc, payload, sizeof(payload), b->deadline, err);
		if (ret)
			return ret;
		b->answered = true;
		if (i >= WARM_UP)
			distribution_add(&b->round_trips, now_ns() - began);
		if (go_on(b, i, WARM_UP + b->count, err) < 0)
			return err->code;
	}
	distribution_sort(&b->round_trips);
	return 0;
}

/* A message with so many zeros, to be freed. */
static uint8_t *pack_zeros(uint64_t bytes, size_t *len, struct error *err)
{
	Vmctl__Agent__V1__DiscardRequest request =
		VMCTL__AGENT__V1__DISCARD_REQUEST__INIT;
	cleanup_free uint8_t *zeros = calloc(1, bytes);
	uint8_t *packed = NULL;

	request.data.data = zeros;
	request.data.len = bytes;
	*len = protobuf_c_message_get_packed_size(&request.base);
	if (zeros)
		packed = malloc(*len);
	if (packed)
		protobuf_c_message_pack(&request.base, packed);
	else
		error_set(err, -ENOMEM, "no memory for a message");
	return packed;
}

/* One message; nothing more is sent to an agent that has ended the call. */
static int send_message(struct bench *b, struct rpc_stream *stream, const void *message,
			size_t len, uint64_t done, struct error *err)
{
	uint8_t *answer;
	size_t answer_len;
	int ret = rpc_send(stream, message, len, b->deadline, err);

	if (ret == -EAGAIN)
		return error_set(err, -ETIMEDOUT, "the guest takes no more data");
	if (!ret)
		ret = go_on(b, done, b->size, err);
	if (ret <= 0)
		return ret;
	ret = rpc_recv(stream, DEADLINE_NOW, &answer, &answer_len, err);
	free(answer);
	if (ret == -EAGAIN)
		return 0;
	return ret < 0 ? ret : error_set(err, -EPROTO, "an answer before the end");
}

static int send_all(struct bench *b, struct rpc_stream *stream, struct error *err)
{
	size_t len, last_len;
	uint64_t rest = b->size % b->message, done;
	cleanup_free uint8_t *message = pack_zeros(b->message, &len, err), *last = NULL;
	int ret = 0;

	if (rest)
		last = pack_zeros(rest, &last_len, err);
	if (!message || (rest && !last))
		return err->code;
	for (done = 0; !ret && done + rest < b->size; done += b->message)
		ret = send_message(b, stream, message, len, done, err);
	if (!ret && rest)
		ret = send_message(b, stream, last, last_len, done, err);
	return ret ? ret : rpc_close_send(stream, err);
}

/* How many bytes the agent has counted. */
static int take_count(struct bench *b, struct rpc_stream *stream, struct error *err)
{
	Vmctl__Agent__V1__DiscardResponse *response;
	cleanup_free uint8_t *answer = NULL;
	size_t len;
	uint64_t bytes;
	int ret = rpc_recv(stream, b->deadline, &answer, &len, err);

	if (ret == -EAGAIN)
		return error_set(err, -ETIMEDOUT, "no answer in time");
	if (ret)
		return ret < 0 ? ret : error_set(err, -EPROTO, "no answer to Discard");
	response = vmctl__agent__v1__discard_response__unpack(NULL, len, answer);
	if (!response)
		return error_set(err, -EPROTO, "the answer cannot be decoded");
	bytes = response->bytes;
	vmctl__agent__v1__discard_response__free_unpacked(response, NULL);
	if (bytes != b->size)
		return error_set(err, -EPROTO,
				 "the agent counts %llu bytes where %llu were sent",
				 (unsigned long long)bytes,
				 (unsigned long long)b->size);
	return 0;
}

static int measure_to_guest(struct bench *b, struct error *err)
{
	uint64_t began = now_ns();
	struct rpc_stream stream;
	int ret = guest_rpc_open(&b->rpc, &stream, "Discard", NULL, RPC_CLIENT_SENDS,
				 b->deadline, err);

	if (!ret)
		ret = send_all(b, &stream, err);
	if (!ret)
		ret = take_count(b, &stream, err);
	b->to_guest = (struct flow){b->size, now_ns() - began};
	return ret;
}

static int measure_from_guest(struct bench *b, struct error *err)
{
	Vmctl__Agent__V1__GenerateRequest request =
		VMCTL__AGENT__V1__GENERATE_REQUEST__INIT;
	uint64_t began = now_ns(), done = 0;
	struct rpc_stream stream;
	ProtobufCMessage *message;
	int ret;

	request.bytes = b->size;
	request.message_bytes = (uint32_t)b->message;
	ret = guest_rpc_open(&b->rpc, &stream, "Generate", &request.base,
			     RPC_SERVER_SENDS, b->deadline, err);
	if (ret)
		return ret;
	while ((ret = guest_rpc_next(&stream,
				     &vmctl__agent__v1__generate_response__descriptor,
				     b->deadline, &message, err)) == 1) {
		done += ((Vmctl__Agent__V1__GenerateResponse *)message)->data.len;
		message_free(message);
		if (done > b->size)
			return error_set(err, -EPROTO, "more bytes than were wanted");
		if (go_on(b, done, b->size, err) < 0)
			return err->code;
	}
	if (ret == -ETIMEDOUT)
		go_on(b, done, b->size, err); /* says how far it came */
	if (!ret && done < b->size)
		ret = error_set(err, -EPROTO, "less bytes than were wanted");
	b->from_guest = (struct flow){b->size, now_ns() - began};
	return ret;
}

static const struct {
	unsigned int permille;
	const char *heading, *member;
} points[] = {
	{0, "MIN", "min_us"},	{500, "P50", "p50_us"},	    {900, "P90", "p90_us"},
	{990, "P99", "p99_us"}, {999, "P99.9", "p99_9_us"}, {1000, "MAX", "max_us"},
};

#define POINTS (sizeof(points) / sizeof(points[0]))

static double point_us(const struct bench *b, size_t i)
{
	return (double)distribution_at(&b->round_trips, points[i].permille) / 1e3;
}

static void print_round_trips(const struct bench *b)
{
	struct distribution_bucket buckets[PLOT_ROWS_MAX];
	size_t i, n = distribution_buckets(&b->round_trips, buckets, PLOT_ROWS_MAX);
	struct plot_style style = plot_style_of(stdout);

	printf("%s: %zu round trips of %d bytes, in us\n", b->report->printable,
	       b->round_trips.n, PAYLOAD);
	for (i = 0; i < POINTS; i++)
		printf("%*s", i ? 12 : 10, points[i].heading);
	putchar('\n');
	for (i = 0; i < POINTS; i++)
		printf("%*.1f", i ? 12 : 10, point_us(b, i));
	putchar('\n');
	plot_print(stdout, &style, buckets, n);
}

static json_t *histogram(const struct bench *b)
{
	struct distribution_bucket buckets[DISTRIBUTION_BUCKETS_MAX];
	size_t i, n = distribution_buckets(&b->round_trips, buckets,
					   DISTRIBUTION_BUCKETS_MAX);
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(list,
				      json_pack("{s:f, s:f, s:I}", "from_us",
						(double)buckets[i].from / 1e3, "to_us",
						(double)buckets[i].to / 1e3, "count",
						(json_int_t)buckets[i].count));
	return list;
}

static void show_round_trips(struct bench *b)
{
	json_t *object;

	if (!b->report->options->json) {
		print_round_trips(b);
		return;
	}
	object = json_pack("{s:I, s:i}", "count", (json_int_t)b->round_trips.n,
			   "payload_bytes", PAYLOAD);
	for (size_t i = 0; i < POINTS; i++)
		json_object_set_new(object, points[i].member,
				    json_real(point_us(b, i)));
	json_object_set_new(object, "histogram", histogram(b));
	report_set(b->report, "round_trips", object);
}

static void show_flow(struct bench *b, const struct flow *f, const char *name,
		      const char *member)
{
	double seconds = (double)f->ns / 1e9, rate = (double)f->bytes / seconds;

	if (b->report->options->json)
		report_set(b->report, member,
			   json_pack("{s:I, s:I, s:f, s:f}", "bytes",
				     (json_int_t)f->bytes, "message_bytes",
				     (json_int_t)b->message, "seconds", seconds,
				     "bytes_per_second", rate));
	else
		printf("%-14s %9.1f MiB/s, %llu bytes in %.3g s\n", name,
		       rate / 1048576, (unsigned long long)f->bytes, seconds);
}

static void show_to_guest(struct bench *b)
{
	show_flow(b, &b->to_guest, "to the guest", "to_guest");
}

static void show_from_guest(struct bench *b)
{
	show_flow(b, &b->from_guest, "from the guest", "from_guest");
}

static enum status fail(struct bench *b, int ret, const struct error *err)
{
	if (b->answered && (ret == -ECONNRESET || ret == -EPIPE))
		return report_fail(b->report, STATUS_BROKEN,
				   "the connection broke (%s); see that vsockd and the "
				   "agent stay up, and measure again",
				   err->text);
	return vm_fail_agent(ret, err, b->report);
}

static void run(struct bench *b)
{
	static const struct {
		const char *name;
		int (*measure)(struct bench *b, struct error *err);
		void (*show)(struct bench *b);
	} steps[] = {
		{"round_trips", measure_round_trips, show_round_trips},
		{"to_guest", measure_to_guest, show_to_guest},
		{"from_guest", measure_from_guest, show_from_guest},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct error err = {0};
		int ret;

		report_step(b->report, steps[i].name);
		ret = steps[i].measure(b, &err);
		if (ret) {
			fail(b, ret, &err);
			return;
		}
		report_step_end(b->report);
		steps[i].show(b);
	}
}

int bench_main(int argc, char **argv)
{
	struct bench b = {.count = 1000, .size = 64u << 20, .message = 64u << 10};
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &b);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	b.deadline = deadline_after_ms(options.timeout_ms);
	b.report = &r;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	rpc_init(&b.rpc, -1);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK) {
		report_step(&r, "agent");
		if (vm_open_agent(&vm, &b.rpc, b.deadline, &r) == STATUS_OK)
			run(&b);
	}
	rpc_close(&b.rpc);
	distribution_free(&b.round_trips);
	return report_finish(&r);
}
