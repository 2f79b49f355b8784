/* SPDX-License-Identifier: Apache-2.0 */
/* Drawn with two escape sequences, to the top left and to clear: no ncurses. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "figures.h"
#include "text.h"
#include "tty.h"
#include "verbs.h"
#include "vsock_traffic.h"
#include "vmctl/agent/v1/metrics.pb-c.h"

#define HOME_AND_CLEAR "\x1b[H\x1b[J"
#define CPU_SECONDS    "vmctl_guest_cpu_seconds_total"
#define NET_BYTES      "vmctl_guest_network_bytes_total"
#define MIB	       1048576.0
#define VSOCK_WAIT_MS  1000 /* for vsockd, which answers at once if at all */

struct top {
	int64_t interval_ms;
	uint64_t count; /* screens; 0: for ever */
};

/* What one screen is made of: the guest's figures, and its vsockd's. */
struct sample {
	Vmctl__Agent__V1__GetMetricsResponse *guest; /* NULL: none */
	struct vsock_traffic vsock;
	bool has_vsock;
};

static int set_interval(void *into, const char *value, struct error *err)
{
	if (text_seconds(value, &((struct top *)into)->interval_ms))
		return error_set(err, -EINVAL, "--interval %s: give seconds", value);
	return 0;
}

static int set_count(void *into, const char *value, struct error *err)
{
	if (text_number(value, 1, UINT32_MAX, &((struct top *)into)->count))
		return error_set(err, -EINVAL, "--count %s: give a number", value);
	return 0;
}

static const struct option_spec specs[] = {
	{"interval", "SECONDS", "between two screens (2)", 0, set_interval},
	{"count", "N", "end after so many screens", 0, set_count},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "top",
	.operands = "VM",
	.about = "Shows how busy the guest is, again and again: CPUs, memory, pressure "
		 "and the\n"
		 "traffic of network and vsock. With --json each screen is an object "
		 "in a line of its own.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.timeout_help = "for each question to the agent (30)",
	.one_vm = true,
};

/* Percent of the CPU time between two texts that went to a mode. */
static double cpu_share(const char *before, const char *now, const char *label)
{
	double all = figures_sum(now, CPU_SECONDS, NULL) -
		     figures_sum(before, CPU_SECONDS, NULL);

	if (all <= 0)
		return 0;
	return 100 *
	       (figures_sum(now, CPU_SECONDS, label) -
		figures_sum(before, CPU_SECONDS, label)) /
	       all;
}

static double value_of(const char *text, const char *sample)
{
	double value = 0;

	figures_get(text, sample, &value);
	return value;
}

static double memory_of(const char *text, const char *field)
{
	char sample[96];

	snprintf(sample, sizeof(sample), "vmctl_guest_memory_bytes{field=\"%s\"}",
		 field);
	return value_of(text, sample);
}

static double pressure_of(const char *text, const char *resource)
{
	char sample[128];

	snprintf(sample, sizeof(sample),
		 "vmctl_guest_pressure_ratio{resource=\"%s\",tasks=\"some\"}",
		 resource);
	return 100 * value_of(text, sample);
}

static void print_traffic(const char *before, const char *now, double seconds)
{
	struct figures_sample s;
	const char *at = now;
	char name[32], sample[160];
	double old_rx, old_tx, tx;

	while (figures_next(&at, &s)) {
		if (s.name_len != strlen(NET_BYTES) ||
		    memcmp(s.name, NET_BYTES, s.name_len) || !s.labels ||
		    !memmem(s.labels, s.labels_len, "receive", 7) ||
		    !figures_label(&s, "interface", name, sizeof(name)))
			continue;
		snprintf(sample, sizeof(sample),
			 NET_BYTES "{interface=\"%s\",direction=\"receive\"}", name);
		if (!figures_get(before, sample, &old_rx))
			old_rx = s.value;
		snprintf(sample, sizeof(sample),
			 NET_BYTES "{interface=\"%s\",direction=\"transmit\"}", name);
		tx = value_of(now, sample);
		if (!figures_get(before, sample, &old_tx))
			old_tx = tx;
		text_sanitize(name);
		printf("net %-12s received %10.1f KiB/s, sent %10.1f KiB/s\n", name,
		       (s.value - old_rx) / 1024 / seconds,
		       (tx - old_tx) / 1024 / seconds);
	}
}

/* Bytes a second between two samples; vsockd may have begun anew. */
static double vsock_rate(uint64_t before, uint64_t now, double seconds)
{
	return now < before ? 0 : (double)(now - before) / seconds;
}

static void print_screen(const struct sample *a, const struct sample *b,
			 struct report *r)
{
	const char *before = a->guest->text, *now = b->guest->text;
	double seconds = value_of(now, "vmctl_guest_uptime_seconds") -
			 value_of(before, "vmctl_guest_uptime_seconds");
	double span = seconds > 0 ? seconds : 1;
	double total = memory_of(now, "MemTotal");

	if (tty_is(stdout))
		fputs(HOME_AND_CLEAR, stdout);
	printf("%s  up %.0f s  load %.2f %.2f %.2f\n", r->printable,
	       value_of(now, "vmctl_guest_uptime_seconds"),
	       value_of(now, "vmctl_guest_load{minutes=\"1\"}"),
	       value_of(now, "vmctl_guest_load{minutes=\"5\"}"),
	       value_of(now, "vmctl_guest_load{minutes=\"15\"}"));
	printf("CPUs %.0f online of %.0f: %.1f%% user, %.1f%% system, %.1f%% idle, "
	       "%.1f%% stolen\n",
	       value_of(now, "vmctl_guest_cpus{state=\"online\"}"),
	       value_of(now, "vmctl_guest_cpus{state=\"present\"}"),
	       cpu_share(before, now, "mode=\"user\""),
	       cpu_share(before, now, "mode=\"system\""),
	       cpu_share(before, now, "mode=\"idle\""),
	       cpu_share(before, now, "mode=\"steal\""));
	printf("memory %.0f MiB, %.0f MiB available; swap %.0f MiB, %.0f MiB free\n",
	       total / MIB, memory_of(now, "MemAvailable") / MIB,
	       memory_of(now, "SwapTotal") / MIB, memory_of(now, "SwapFree") / MIB);
	printf("pressure: CPU %.2f%%, memory %.2f%%, I/O %.2f%%\n",
	       pressure_of(now, "cpu"), pressure_of(now, "memory"),
	       pressure_of(now, "io"));
	print_traffic(before, now, span);
	if (a->has_vsock && b->has_vsock)
		printf("vsock            received %10.1f KiB/s, sent %10.1f KiB/s, "
		       "%llu "
		       "connections\n",
		       vsock_rate(a->vsock.to_guest, b->vsock.to_guest, span) / 1024,
		       vsock_rate(a->vsock.from_guest, b->vsock.from_guest, span) /
			       1024,
		       (unsigned long long)b->vsock.connections);
}

/* What is no number in the guest's text, as NaN, is none in JSON: null. */
static void set(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key,
			    isfinite(value) ? json_real(value) : json_null());
}

static json_t *vsock_json(const struct sample *a, const struct sample *b,
			  uint64_t before, uint64_t now, double span)
{
	return a->has_vsock && b->has_vsock ? json_real(vsock_rate(before, now, span))
					    : json_null();
}

static void print_json(const struct sample *a, const struct sample *b, struct report *r)
{
	const char *before = a->guest->text, *now = b->guest->text;
	double seconds = value_of(now, "vmctl_guest_uptime_seconds") -
			 value_of(before, "vmctl_guest_uptime_seconds");
	double span = seconds > 0 ? seconds : 1;
	json_t *object = json_pack("{s:s}", "vm", r->printable);

	set(object, "uptime_s", value_of(now, "vmctl_guest_uptime_seconds"));
	set(object, "user_percent", cpu_share(before, now, "mode=\"user\""));
	set(object, "system_percent", cpu_share(before, now, "mode=\"system\""));
	set(object, "idle_percent", cpu_share(before, now, "mode=\"idle\""));
	set(object, "memory_available_bytes", memory_of(now, "MemAvailable"));
	set(object, "cpu_pressure_percent", pressure_of(now, "cpu"));
	set(object, "memory_pressure_percent", pressure_of(now, "memory"));
	set(object, "io_pressure_percent", pressure_of(now, "io"));
	/* Without a vsockd that answers they are not known: null. */
	json_object_set_new(
		object, "vsock_received_bytes_per_second",
		vsock_json(a, b, a->vsock.to_guest, b->vsock.to_guest, span));
	json_object_set_new(
		object, "vsock_sent_bytes_per_second",
		vsock_json(a, b, a->vsock.from_guest, b->vsock.from_guest, span));
	json_object_set_new(object, "vsock_connections",
			    b->has_vsock
				    ? json_integer((json_int_t)b->vsock.connections)
				    : json_null());
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static struct sample get(const struct vm *vm, bool answered, struct report *r)
{
	Vmctl__Agent__V1__GetMetricsRequest request =
		VMCTL__AGENT__V1__GET_METRICS_REQUEST__INIT;
	struct ask ask = {
		.method = "GetMetrics",
		.request = &request.base,
		.type = &vmctl__agent__v1__get_metrics_response__descriptor,
		.answered = answered,
	};
	struct sample sample = {0};
	ProtobufCMessage *m;

	/* One step for all of them. */
	r->steps = 0;
	ask_agent_raw(&ask, vm, deadline_after_ms(r->options->timeout_ms), &m, r);
	sample.guest = (Vmctl__Agent__V1__GetMetricsResponse *)m;
	if (sample.guest)
		sample.has_vsock = vsock_traffic_ask(
			vm->name, deadline_after_ms(VSOCK_WAIT_MS), &sample.vsock);
	return sample;
}

static void run(const struct top *top, const struct vm *vm, struct report *r)
{
	struct sample before = get(vm, false, r), now;

	for (uint64_t n = 0; before.guest && (!top->count || n < top->count); n++) {
		poll(NULL, 0, (int)top->interval_ms);
		now = get(vm, true, r);
		if (now.guest && r->options->json)
			print_json(&before, &now, r);
		else if (now.guest)
			print_screen(&before, &now, r);
		message_free(before.guest);
		before = now;
		/* Nobody reads it any more. */
		if (fflush(stdout) || ferror(stdout))
			break;
	}
	message_free(before.guest);
}

int top_main(int argc, char **argv)
{
	struct top top = {.interval_ms = 2000};
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &top);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	r.json_to = stderr;
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&top, &vm, &r);
	return report_finish(&r);
}
