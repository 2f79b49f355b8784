/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of forward.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dial.h"
#include "forward.h"
#include "joint.h"
#include "text.h"

#define BACKLOG_MS 10  /* until another try to get into a full backlog */
#define ACCEPT_MS  200 /* until another accept, where descriptors are short */
#define LISTENERS  (FORWARDS_MAX * FORWARD_ADDRESSES_MAX)
#define POLLS	   (1 + LISTENERS + FORWARD_CONNECTIONS_MAX * JOINT_POLLS)

struct connection {
	const struct forward *forward;
	unsigned int number; /* from 1 on, for those who read of it */
	int local, guest;    /* guest -1: being dialled */
	struct dial dial;
	deadline_t deadline; /* of the dialling */
	struct joint joint;
	size_t at; /* its place among the polls */
	bool over;
};

struct server {
	struct forward *forwards;
	size_t count;
	struct {
		const struct forward *forward;
		int fd;
	} listener[LISTENERS]; /* of all of them */
	size_t listeners;
	const struct vm *vm;
	const struct addrinfo *addresses; /* the VM's */
	struct report *report;
	int signals;
	struct connection connection[FORWARD_CONNECTIONS_MAX];
	size_t connections;
	unsigned int number;
	unsigned int failed;
	deadline_t pause; /* no accept until then; 0: there was no reason */
	uint64_t sent, received;
	struct pollfd poll[POLLS];
	size_t polls;
};

/* What an event is for people: said with -v, unless --quiet, or always. */
enum weight {
	DETAIL,
	NOTICE,
	FAILURE
};

/* One event, for a program or for people; takes the object over. */
static void tell(struct server *s, const char *event, json_t *more, enum weight weight,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void tell(struct server *s, const char *event, json_t *more, enum weight weight,
		 const char *fmt, ...)
{
	struct report *r = s->report;
	const struct options *options = r->options;
	bool asked = options->json || options->verbose || weight == NOTICE;
	char text[REPORT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_sanitize(text);
	if (weight != FAILURE && (options->quiet || !asked)) {
		json_decref(more);
		return;
	}
	if (options->json) {
		json_t *o = json_pack("{s:s, s:s}", "event", event, "vm", r->printable);

		json_object_update(o, more);
		json_dumpf(o, stderr, JSON_COMPACT);
		putc('\n', stderr);
		json_decref(o);
	} else {
		fprintf(stderr, "vmctl: %s: %s\n", r->printable, text);
	}
	json_decref(more);
}

static json_t *describe(const struct forward *f)
{
	char text[ENDPOINT_TEXT_MAX];

	return json_pack("{s:s, s:I}", "local", endpoint_format(&f->local, text),
			 "port", (json_int_t)f->port);
}

static json_t *describe_connection(const struct connection *c)
{
	json_t *o = describe(c->forward);

	json_object_set_new(o, "connection", json_integer(c->number));
	return o;
}

static void fail(struct server *s, struct connection *c, const char *why)
{
	json_t *o = describe_connection(c);
	char text[ENDPOINT_TEXT_MAX];

	json_object_set_new(o, "error", json_string(why));
	tell(s, "failed", o, FAILURE, "connection %u from %s to port %u: %s", c->number,
	     endpoint_format(&c->forward->local, text), c->forward->port, why);
	s->failed++;
	c->over = true;
}

static void end(struct server *s, struct connection *c)
{
	json_t *o = describe_connection(c);

	json_object_set_new(o, "sent_bytes",
			    json_integer((json_int_t)c->joint.up.bytes));
	json_object_set_new(o, "received_bytes",
			    json_integer((json_int_t)c->joint.down.bytes));
	tell(s, "closed", o, DETAIL,
	     "connection %u: closed, %llu bytes sent, %llu received", c->number,
	     (unsigned long long)c->joint.up.bytes,
	     (unsigned long long)c->joint.down.bytes);
	c->over = true;
}

static void release(struct server *s, struct connection *c)
{
	s->sent += c->joint.up.bytes;
	s->received += c->joint.down.bytes;
	joint_free(&c->joint);
	dial_end(&c->dial);
	if (c->guest >= 0)
		close(c->guest);
	close(c->local);
}

static void step_dial(struct server *s, struct connection *c)
{
	struct error err = {0};
	char text[ENDPOINT_TEXT_MAX];
	int ret = dial_step(&c->dial, &err);

	if (ret == -EAGAIN && deadline_left_ms(c->deadline))
		return;
	if (ret == -EAGAIN)
		fail(s, c, "no connection within the --timeout");
	else if (ret)
		fail(s, c, err.text);
	if (ret)
		return;
	c->guest = c->dial.fd;
	c->dial.fd = -1;
	if (joint_init(&c->joint, c->local, c->local, c->guest))
		fail(s, c, "out of memory");
	else
		tell(s, "open", describe_connection(c), DETAIL,
		     "connection %u: %s to port %u", c->number,
		     endpoint_format(&c->forward->local, text), c->forward->port);
}

static void step(struct server *s, struct connection *c)
{
	bool local;
	int ret;

	if (c->guest < 0) {
		step_dial(s, c);
		return;
	}
	ret = joint_step(&c->joint, s->poll + c->at, &local);
	if (ret < 0)
		fail(s, c, strerror(-ret));
	else if (ret)
		end(s, c);
}

static void accept_one(struct server *s, const struct forward *f, int listener)
{
	struct connection *c = &s->connection[s->connections];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		tell(s, "full", describe(f), FAILURE, "accepting a connection: %s",
		     strerror(errno));
		s->pause = deadline_after_ms(ACCEPT_MS);
	}
	if (fd < 0)
		return;
	*c = (struct connection){
		.forward = f,
		.number = ++s->number,
		.local = fd,
		.guest = -1,
		.deadline = deadline_after_ms(s->report->options->timeout_ms),
	};
	dial_begin(&c->dial, &s->vm->endpoint, f->port, s->addresses);
	s->connections++;
	step_dial(s, c);
}

/* What is over makes room for the last one. */
static void sweep(struct server *s)
{
	size_t i = 0;

	while (i < s->connections) {
		struct connection *c = &s->connection[i];

		if (!c->over) {
			i++;
			continue;
		}
		release(s, c);
		*c = s->connection[--s->connections];
	}
}

static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Fills s->poll; returns how long to wait. */
static int prepare(struct server *s)
{
	int pause = s->pause ? deadline_left_ms(s->pause) : 0;
	bool room = s->connections < FORWARD_CONNECTIONS_MAX && !pause;
	int timeout = pause ? pause : -1;
	size_t i;

	s->poll[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	for (i = 0; i < s->listeners; i++)
		s->poll[1 + i] = (struct pollfd){.fd = room ? s->listener[i].fd : -1,
						 .events = POLLIN};
	s->polls = 1 + s->listeners;
	for (i = 0; i < s->connections; i++) {
		struct connection *c = &s->connection[i];

		c->at = s->polls;
		if (c->guest >= 0) {
			joint_prepare(&c->joint, s->poll + c->at);
			s->polls += JOINT_POLLS;
			continue;
		}
		s->poll[s->polls++] = (struct pollfd){.fd = c->dial.fd,
						      .events = dial_events(&c->dial)};
		timeout = sooner(timeout, deadline_left_ms(c->deadline));
		timeout = sooner(timeout, dial_turn_ms(&c->dial));
		if (c->dial.fd < 0)
			timeout = sooner(timeout, BACKLOG_MS);
	}
	return timeout;
}

/* False when a signal came. */
static bool turn(struct server *s)
{
	int timeout = prepare(s);
	size_t i, n = s->connections;

	if (poll(s->poll, s->polls, timeout) < 0)
		return errno == EINTR;
	if (s->poll[0].revents)
		return false;
	for (i = 0; i < n; i++)
		step(s, &s->connection[i]);
	for (i = 0; i < s->listeners; i++)
		if (s->poll[1 + i].revents && s->connections < FORWARD_CONNECTIONS_MAX)
			accept_one(s, s->listener[i].forward, s->listener[i].fd);
	sweep(s);
	return true;
}

static void collect_listeners(struct server *s)
{
	size_t i, j;

	for (i = 0; i < s->count; i++)
		for (j = 0; j < s->forwards[i].listeners; j++) {
			s->listener[s->listeners].forward = &s->forwards[i];
			s->listener[s->listeners++].fd = s->forwards[i].listener[j];
		}
}

static void serve(struct server *s)
{
	char text[ENDPOINT_TEXT_MAX];
	size_t i;

	for (i = 0; i < s->count; i++)
		tell(s, "listening", describe(&s->forwards[i]), NOTICE,
		     "%s leads to port %u",
		     endpoint_format(&s->forwards[i].local, text), s->forwards[i].port);
	while (turn(s))
		;
	for (i = 0; i < s->connections; i++)
		end(s, &s->connection[i]);
	sweep(s);
	report_set(s->report, "connections", json_integer(s->number));
	report_set(s->report, "failed_connections", json_integer(s->failed));
	report_set(s->report, "sent_bytes", json_integer((json_int_t)s->sent));
	report_set(s->report, "received_bytes", json_integer((json_int_t)s->received));
}

enum status forward_serve(struct forward *forwards, size_t n, const struct vm *vm,
			  const struct addrinfo *addresses, struct report *r)
{
	struct server *s = calloc(1, sizeof(*s));
	sigset_t set;

	if (!s)
		return report_fail(r, STATUS_FAILURE, "out of memory");
	s->forwards = forwards;
	s->count = n;
	collect_listeners(s);
	s->vm = vm;
	s->addresses = addresses;
	s->report = r;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0) {
		free(s);
		return report_fail(r, STATUS_FAILURE, "signalfd: %s", strerror(errno));
	}
	serve(s);
	close(s->signals);
	free(s);
	return r->status;
}
