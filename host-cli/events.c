/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guest_rpc.h"
#include "retry.h"
#include "text.h"
#include "verbs.h"
#include "vm.h"
#include "vmctl/agent/v1/event.pb-c.h"

#define KINDS_MAX  8
#define KIND(name) VMCTL__AGENT__V1__EVENT_KIND__EVENT_##name

typedef Vmctl__Agent__V1__Event Event;

static const struct {
	const char *name;
	Vmctl__Agent__V1__EventKind kind;
} kinds[] = {
	{"hotplug", KIND(HOTPLUG)},
	{"module", KIND(MODULE)},
	{"pressure", KIND(PRESSURE)},
	{"oom", KIND(OOM_KILL)},
};

struct events {
	Vmctl__Agent__V1__EventKind kinds[KINDS_MAX];
	size_t n_kinds;
	uint64_t count; /* end after so many; 0: never */
	uint64_t seen;
};

static int add_kind(void *into, const char *name, size_t len)
{
	struct events *e = into;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strlen(kinds[i].name) == len && !memcmp(kinds[i].name, name, len) &&
		    e->n_kinds < KINDS_MAX) {
			e->kinds[e->n_kinds++] = kinds[i].kind;
			return 0;
		}
	return -EINVAL;
}

static int set_kinds(void *into, const char *value, struct error *err)
{
	if (text_words(value, add_kind, into))
		return error_set(err, -EINVAL,
				 "--kinds %s: give some of hotplug, module, "
				 "pressure, oom",
				 value);
	return 0;
}

static int set_count(void *into, const char *value, struct error *err)
{
	if (text_number(value, 1, UINT32_MAX, &((struct events *)into)->count))
		return error_set(err, -EINVAL, "--count %s: give a number of events",
				 value);
	return 0;
}

static const struct option_spec specs[] = {
	{"kinds", "KINDS", "of hotplug, module, pressure, oom (all)", 0, set_kinds},
	{"count", "N", "end after so many events", 0, set_count},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "events",
	.operands = "VM",
	.about = "Follows what happens in the guest: what was plugged and unplugged, "
		 "lack of\n"
		 "CPU, memory and I/O, kills for want of memory. The first event is "
		 "the agent's\n"
		 "start. With --json each event is an object in a line of its own.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.timeout_help = "for the connection to come about (30)",
};

static void print_things(const char *word, Vmctl__Agent__V1__HotplugThing *const *list,
			 size_t n)
{
	if (n)
		printf("; %s", word);
	for (size_t i = 0; i < n; i++)
		printf(" %s %#llx", list[i]->class_, (unsigned long long)list[i]->key);
}

static void print_hotplug(const Vmctl__Agent__V1__HotplugEvent *h)
{
	printf("hotplug: request %llu, %s: ", (unsigned long long)h->request,
	       h->type_name);
	if (h->ret)
		printf("failed (%s): %s", upcall_strerror(h->ret), h->reason);
	else
		printf("done in %.1f ms", (double)h->total_nano / 1e6);
	print_things("plugged", h->plugged, h->n_plugged);
	print_things("unplugged", h->unplugged, h->n_unplugged);
	putchar('\n');
}

static void print_text(const Event *event)
{
	time_t seconds = (time_t)(event->time_nano / 1000000000);
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	printf("%s.%03d ", when, (int)(event->time_nano % 1000000000 / 1000000));
	if (event->kind == KIND(AGENT_START))
		printf("agent: version %s, started %.1f s after the boot\n",
		       event->text, (double)event->number / 1e9);
	else if (event->kind == KIND(HOTPLUG) && event->hotplug)
		print_hotplug(event->hotplug);
	else if (event->kind == KIND(MODULE))
		printf("module: %s\n", event->text);
	else if (event->kind == KIND(PRESSURE) && event->pressure)
		printf("pressure: %s: some tasks waited %.2f%% of the last 10 s, all "
		       "%.2f%%\n",
		       event->pressure->resource, event->pressure->some_avg10,
		       event->pressure->full_avg10);
	else if (event->kind == KIND(OOM_KILL))
		printf("oom: %llu killed for want of memory\n",
		       (unsigned long long)event->number);
	else if (event->kind == KIND(LOST))
		printf("lost: %llu events were not sent\n",
		       (unsigned long long)event->number);
	else
		printf("event of kind %d\n", event->kind);
}

static int print(const Event *event, const struct report *r)
{
	json_t *object;

	if (!r->options->json) {
		print_text(event);
	} else {
		object = message_json(&event->base);
		json_object_set_new(object, "vm", json_string(r->printable));
		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(object);
	}
	return fflush(stdout) ? -errno : 0;
}

/* One message of the stream; 0, 1 at its end, or what the stream or stdout gave. */
static int follow_one(struct rpc_stream *stream, deadline_t deadline, struct report *r,
		      struct error *err)
{
	ProtobufCMessage *message;
	int ret = guest_rpc_next(stream, &vmctl__agent__v1__event__descriptor, deadline,
				 &message, err);

	if (ret <= 0)
		return ret ? ret : 1;
	message_sanitize(message);
	ret = print((const Event *)message, r);
	message_free(message);
	if (ret)
		report_fail(r, STATUS_FAILURE, "standard output: %s", strerror(-ret));
	return ret ? 1 : 0;
}

static int subscribe(struct rpc_stream *stream, struct rpc *rpc, struct events *e,
		     deadline_t deadline, struct error *err)
{
	Vmctl__Agent__V1__SubscribeEventsRequest request =
		VMCTL__AGENT__V1__SUBSCRIBE_EVENTS_REQUEST__INIT;

	request.kinds = e->kinds;
	request.n_kinds = e->n_kinds;
	return guest_rpc_open(rpc, stream, "SubscribeEvents", &request.base,
			      RPC_SERVER_SENDS, deadline, err);
}

static bool wants_more(const struct events *e)
{
	return !e->count || e->seen < e->count;
}

/* The first event is always there, and is waited for no longer than its deadline. */
static int follow_stream(struct events *e, struct rpc *rpc, struct retry *t,
			 struct error *err)
{
	deadline_t deadline = t->deadline;
	struct rpc_stream stream;
	int ret = subscribe(&stream, rpc, e, deadline, err);

	while (!ret && wants_more(e)) {
		ret = follow_one(&stream, deadline, t->report, err);
		if (ret)
			break;
		e->seen++;
		deadline = DEADLINE_NEVER;
		retry_answered(t);
		report_step_end(t->report);
	}
	return ret;
}

/* One connection, to its end. */
static enum status follow_once(struct events *e, const struct vm *vm, struct retry *t)
{
	uint64_t seen = e->seen;
	struct error err = {0};
	struct rpc rpc;
	int ret = 0;

	/* One step for all of them. */
	t->report->steps = 0;
	report_step(t->report, "agent");
	rpc_init(&rpc, -1);
	if (vm_open_agent(vm, &rpc, t->deadline, t->report) == STATUS_OK)
		ret = follow_stream(e, &rpc, t, &err);
	rpc_close(&rpc);
	if (ret < 0) {
		vm_fail_agent(ret, &err, t->report);
		if (e->seen && t->report->again)
			report_fail_more(t->report, STATUS_OK,
					 "; what happens meanwhile is not shown");
	}
	if (e->seen > seen)
		t->deadline = deadline_after_ms(t->report->options->timeout_ms);
	return t->report->status;
}

static void follow(struct events *e, const struct vm *vm, deadline_t deadline,
		   struct report *r)
{
	struct retry t;

	retry_begin(&t, deadline, r);
	while (follow_once(e, vm, &t) != STATUS_OK && retry_again(&t))
		;
	report_step_end(r);
}

int events_main(int argc, char **argv)
{
	struct events e = {0};
	struct options options;
	deadline_t deadline;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &e);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	r.json_to = stderr; /* standard output has the events */
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		follow(&e, &vm, deadline, &r);
	return report_finish(&r);
}
