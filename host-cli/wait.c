/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "text.h"
#include "verbs.h"

#define POLL_MS	  100  /* between two questions */
#define ANSWER_MS 2000 /* for one of them: a guest that is reset answers no old one */

static int ping(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	(void)into;
	return guest_ping(rpc, "wait", 4, deadline, err);
}

static enum status try_agent(const struct vm *vm, deadline_t deadline, struct report *r)
{
	return ask_once(vm, ping, NULL, deadline, r);
}

static enum status try_module(const struct vm *vm, deadline_t deadline,
			      struct report *r)
{
	struct upcall upcall = {.fd = -1};
	enum status status = vm_open_module(vm, &upcall, deadline, r);

	upcall_close(&upcall);
	return status;
}

static const struct {
	const char *name;
	enum status (*ask)(const struct vm *vm, deadline_t deadline, struct report *r);
} parties[] = {
	{"agent", try_agent},
	{"module", try_module},
};
#define PARTIES (sizeof(parties) / sizeof(parties[0]))

struct wait {
	bool wanted[PARTIES];
	bool answered[PARTIES];
	char reason[REPORT_TEXT_MAX]; /* why the one that is asked did not answer */
};

static int take_party(void *into, const char *name, size_t len)
{
	struct wait *w = into;
	size_t i;

	for (i = 0; i < PARTIES; i++) {
		if (strlen(parties[i].name) != len ||
		    memcmp(parties[i].name, name, len))
			continue;
		w->wanted[i] = true;
		return 0;
	}
	return -EINVAL;
}

static int set_for(void *into, const char *value, struct error *err)
{
	struct wait *w = into;

	memset(w->wanted, 0, sizeof(w->wanted));
	if (text_words(value, take_party, w))
		return error_set(err, -EINVAL,
				 "--for %s: give agent, module or agent,module", value);
	return 0;
}

static const struct option_spec specs[] = {
	{"for", "PARTIES", "agent, module or both (agent,module)", 0, set_for},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "wait",
	.operands = "VM",
	.about = "Waits until the guest's agent and module answer, as after a boot.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

/* What stands for another moment: the guest is on its way. */
static bool may_come(enum status status)
{
	switch (status) {
	case STATUS_NO_TRANSPORT:
	case STATUS_NO_AGENT:
	case STATUS_NO_MODULE:
	case STATUS_TIMEOUT:
		return true;
	default:
		return false;
	}
}

/* One question, with a report of its own. */
static enum status ask(struct wait *w, size_t which, const struct vm *vm,
		       deadline_t deadline, struct report *r)
{
	deadline_t one = deadline_after_ms(ANSWER_MS);
	const struct options *options = r->options;
	enum status status;
	struct report own;

	report_begin(&own, options, syntax.verb, r->vm);
	status = parties[which].ask(vm, one < deadline ? one : deadline, &own);
	/* A question that was cut short says less than the one before. */
	if (status != STATUS_OK && status != STATUS_TIMEOUT)
		memcpy(w->reason, own.text, sizeof(w->reason));
	if (status != STATUS_OK && !may_come(status))
		report_fail(r, status, "%s", own.text);
	else if (status != STATUS_OK && !deadline_left_ms(deadline))
		report_fail(r, STATUS_TIMEOUT,
			    "no answer within the --timeout of %.3g s: %s",
			    (double)options->timeout_ms / 1000, w->reason);
	else if (status != STATUS_OK)
		report_debug(r, "%s", own.text);
	json_decref(own.body);
	return status;
}

static enum status await(struct wait *w, size_t which, const struct vm *vm,
			 deadline_t deadline, struct report *r)
{
	deadline_t began = deadline_after_ms(0);
	int left, shown = -1;

	report_step(r, parties[which].name);
	snprintf(w->reason, sizeof(w->reason),
		 "the connection was taken, and nothing came");
	while (ask(w, which, vm, deadline, r) != STATUS_OK) {
		int seconds = (int)((deadline_after_ms(0) - began) / 1000000000);

		if (r->status != STATUS_OK)
			return r->status;
		if (seconds > shown)
			report_progress(r, "waiting for the %s, %d s ...",
					parties[which].name, seconds);
		shown = seconds;
		left = deadline_left_ms(deadline);
		poll(NULL, 0, left < POLL_MS ? left : POLL_MS);
	}
	report_step_end(r);
	w->answered[which] = true;
	return STATUS_OK;
}

static void print(const struct wait *w, struct report *r)
{
	json_t *answered = json_object();
	const char *separator = "";
	size_t i;

	for (i = 0; i < PARTIES; i++)
		if (w->wanted[i])
			json_object_set_new(answered, parties[i].name,
					    json_boolean(w->answered[i]));
	report_set(r, "answered", answered);
	if (r->status != STATUS_OK || r->options->json || r->options->quiet)
		return;
	printf("%s: ", r->printable);
	for (i = 0; i < PARTIES; i++) {
		if (!w->wanted[i])
			continue;
		printf("%s%s", separator, parties[i].name);
		separator = " and ";
	}
	printf(" %s\n", json_object_size(answered) > 1 ? "answer" : "answers");
}

int wait_main(int argc, char **argv)
{
	struct wait w = {.wanted = {true, true}};
	struct options options;
	deadline_t deadline;
	struct report r;
	struct vm vm;
	size_t i;
	int ret = options_parse(argc, argv, &syntax, &options, &w);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	vm_resolve(&vm, options.args[0], NULL, &r);
	for (i = 0; i < PARTIES && r.status == STATUS_OK; i++)
		if (w.wanted[i])
			await(&w, i, &vm, deadline, &r);
	print(&w, &r);
	return report_finish(&r);
}
