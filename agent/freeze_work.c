// SPDX-License-Identifier: Apache-2.0
#include "freeze_work.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "freeze_one.h"
#include "io.h"
#include "mounts.h"

/* A process each. */
#define TARGETS_MAX 256
/* A process that thaws and is killed has this many successors. */
#define RESCUES_MAX 3

typedef Vmctl__Agent__V1__FilesystemResult Result;

enum state {
	OPENING,
	OPEN,
	/* From here on it may be frozen. */
	FREEZING,
	FROZEN,
	RESCUED, /* its process has failed it, and another one thaws */
	OVER,
};

struct target {
	const struct mount *mount;
	int fd; /* to its process; -1: that has ended */
	enum state state;
	int code; /* of the last step that has failed */
	unsigned int rescues;
	Result result;
};

struct work {
	int fd;
	deadline_t deadline;
	bool all;
	bool word; /* the agent's, to thaw */
	struct mounts mounts;
	struct target target[TARGETS_MAX]; /* in the order of mounting */
	Result *list[TARGETS_MAX];
	size_t n, n_frozen;
	uint8_t packet[FREEZE_PACKET_MAX];
};

static int send_packet(struct work *w, enum freeze_packet type,
		       const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);

	if (len >= sizeof(w->packet))
		return -E2BIG;
	w->packet[0] = type;
	protobuf_c_message_pack(message, w->packet + 1);
	return send(w->fd, w->packet, len + 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void send_error(struct work *w, enum freeze_packet type, const struct error *err)
{
	size_t len = strlen(err->text);

	w->packet[0] = type;
	memcpy(w->packet + 1, &err->code, sizeof(err->code));
	memcpy(w->packet + 1 + sizeof(err->code), err->text, len);
	if (send(w->fd, w->packet, 1 + sizeof(err->code) + len, MSG_NOSIGNAL) < 0)
		return; /* nobody is there to be told */
}

static bool may_be_frozen(const struct target *t)
{
	return t->state >= FREEZING && t->state < OVER;
}

static size_t count(const struct work *w, enum state state)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->target[i].state == state;
	return n;
}

/* What is in the way of an end; NULL: nothing. */
static const struct target *find_frozen(const struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (may_be_frozen(&w->target[i]))
			return &w->target[i];
	return NULL;
}

/* Gives up its process, and has another one thaw. */
static void rescue(struct target *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->state = RESCUED;
	if (t->rescues++ < RESCUES_MAX)
		t->fd = freeze_one_rescue(t->mount);
	if (t->fd >= 0)
		return;
	/* No process to be had: this one may block, where the others do without it. */
	t->code = freeze_one_thaw(t->mount);
	t->fd = -1;
	t->state = OVER;
}

static void ended(struct target *t)
{
	if (may_be_frozen(t)) {
		/* Whether it is frozen, the one that was killed cannot say. */
		rescue(t);
		return;
	}
	close(t->fd);
	t->fd = -1;
	if (t->state != OVER)
		t->code = EIO;
	t->state = OVER;
}

static void take_report(struct target *t)
{
	static const enum state next[] = {[FREEZE_ONE_OPENED] = OPEN,
					  [FREEZE_ONE_FROZEN] = FROZEN,
					  [FREEZE_ONE_THAWED] = OVER};
	struct freeze_report report;
	ssize_t n = recv(t->fd, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(report)) {
		ended(t);
		return;
	}
	t->state = report.code ? OVER : next[report.step];
	t->code = report.code;
}

/* Waits for a report; while listening also for the agent's word, and for a signal. */
static void wait_for_report(struct work *w, deadline_t until, bool listens)
{
	static struct pollfd p[TARGETS_MAX + 1];
	int left = deadline_left_ms(until);
	struct timespec ts = {left / 1000, left % 1000 * 1000000l};
	sigset_t mask;

	if (listens)
		sigemptyset(&mask);
	else
		sigfillset(&mask);
	for (size_t i = 0; i < w->n; i++)
		p[i] = (struct pollfd){.fd = w->target[i].fd, .events = POLLIN};
	p[w->n] = (struct pollfd){.fd = listens ? w->fd : -1, .events = POLLIN};
	if (ppoll(p, w->n + 1, left < 0 ? NULL : &ts, &mask) <= 0)
		return;
	for (size_t i = 0; i < w->n; i++)
		if (p[i].revents)
			take_report(&w->target[i]);
	w->word |= p[w->n].revents != 0;
}

/* False: it is time to thaw. */
static bool go_on(struct work *w)
{
	if (!freeze_told() && !w->word && deadline_left_ms(w->deadline))
		wait_for_report(w, w->deadline, true);
	return !freeze_told() && !w->word && deadline_left_ms(w->deadline);
}

static int add_target(struct work *w, const struct mount *m, struct error *err)
{
	struct target *t = &w->target[w->n];

	for (size_t i = 0; i < w->n; i++)
		if (w->target[i].mount == m)
			return error_set(err, -EINVAL, "%s is named twice",
					 m->mountpoint);
	if (w->n == TARGETS_MAX)
		return error_set(err, -E2BIG,
				 "more than %d file systems: freeze some by name",
				 TARGETS_MAX);
	*t = (struct target){.mount = m, .fd = -1};
	vmctl__agent__v1__filesystem_result__init(&t->result);
	t->result.mountpoint.data = (uint8_t *)m->mountpoint;
	t->result.mountpoint.len = strlen(m->mountpoint);
	w->n++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct target *first = a, *second = b;

	return first->mount < second->mount ? -1 : first->mount > second->mount;
}

static int collect(struct work *w,
		   const Vmctl__Agent__V1__FreezeFilesystemsRequest *request,
		   struct error *err)
{
	size_t n = w->all ? w->mounts.n : request->n_mountpoints;
	int ret = 0;

	for (size_t i = 0; !ret && i < n; i++) {
		const struct mount *m =
			w->all ? &w->mounts.mount[i]
			       : mounts_find(&w->mounts, &request->mountpoints[i]);

		if (!m)
			ret = error_set(err, -ENOENT,
					"no file system is mounted at %.*s",
					(int)request->mountpoints[i].len,
					(const char *)request->mountpoints[i].data);
		/* No other can be frozen, and a server may not answer at all. */
		else if (!w->all || (m->device && !m->read_only))
			ret = add_target(w, m, err);
	}
	qsort(w->target, w->n, sizeof(*w->target), compare);
	return ret;
}

static int too_long(const struct work *w, const struct target *t, struct error *err)
{
	if (w->word || freeze_told())
		return error_set(err, -EBUSY,
				 "the freeze was ended before it was whole");
	return error_set(err, -ETIMEDOUT,
			 "freezing took longer than the freeze may: %s does not answer",
			 t->mount->mountpoint);
}

/* All of them, before anything is frozen. Of all, what has gone is passed over. */
static int open_targets(struct work *w, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct target *t = &w->target[i];

		t->fd = freeze_one_start(t->mount, w->deadline);
		if (t->fd < 0)
			return error_set(err, -EAGAIN, "no process to freeze %s: %s",
					 t->mount->mountpoint, strerror(-t->fd));
	}
	for (size_t i = 0; i < w->n; i++) {
		struct target *t = &w->target[i];

		while (t->state == OPENING)
			if (!go_on(w))
				return too_long(w, t, err);
		if (t->code && !w->all)
			return error_set(err, -t->code, "%s: %s", t->mount->mountpoint,
					 strerror(t->code));
	}
	for (size_t i = 0; i < w->n; i++) {
		if (w->target[i].code)
			close(w->target[i].fd);
		else
			w->target[n++] = w->target[i];
	}
	w->n = n;
	for (size_t i = 0; i < n; i++)
		w->list[i] = &w->target[i].result;
	return 0;
}

/* The agent knows by then what to thaw if all of these processes are killed. */
static int begin(struct work *w, size_t i, struct error *err)
{
	Vmctl__Agent__V1__FreezeFilesystemsResponse begun =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_RESPONSE__INIT;
	int ret;

	begun.results = w->list + i;
	begun.n_results = w->n - i;
	ret = send_packet(w, FREEZE_BEGINS, &begun.base);
	if (ret)
		return error_set(err, ret,
				 ret == -E2BIG ? "too many file systems: freeze some "
						 "by name"
					       : "the agent has gone");
	if (send(w->target[i].fd, "", 1, MSG_NOSIGNAL) < 0)
		return error_set(err, -EIO, "%s: its process has died",
				 w->target[i].mount->mountpoint);
	w->target[i].state = FREEZING;
	return 0;
}

static int freeze_target(struct work *w, size_t i, struct error *err)
{
	struct target *t = &w->target[i];
	int ret = begin(w, i, err);

	if (ret)
		return ret;
	while (t->state == FREEZING)
		if (!go_on(w))
			return too_long(w, t, err);
	if (t->state == FROZEN)
		return 0;
	if (t->state == RESCUED)
		return error_set(err, -EIO, "%s: the process that froze it has died",
				 t->mount->mountpoint);
	if (!w->all || (t->code != EOPNOTSUPP && t->code != ENOTTY))
		return error_set(err, -t->code, "%s: %s", t->mount->mountpoint,
				 t->code == EBUSY ? "it is frozen already"
						  : strerror(t->code));
	t->result.error = t->code;
	t->result.message = (char *)"the file system cannot be frozen";
	return 0;
}

/* The last one first: it may be on a file of an earlier one. */
static int freeze(struct work *w, struct error *err)
{
	for (size_t i = w->n; i--;) {
		int ret = freeze_target(w, i, err);

		if (ret)
			return ret;
		w->n_frozen += w->target[i].state == FROZEN;
	}
	if (!w->n_frozen)
		return error_set(err, -EOPNOTSUPP,
				 "the guest has no file system that can be frozen");
	if (count(w, FROZEN) != w->n_frozen)
		return error_set(err, -EIO, "a process that held the freeze has died");
	return 0;
}

/* All at the same time: one may be on a file of another, and any may hang. */
static void thaw(struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->target[i].fd >= 0)
			shutdown(w->target[i].fd, SHUT_WR);
	for (int round = 0; round < 2; round++) {
		deadline_t until = deadline_after_ms(FREEZE_GRACE_MS);

		while (find_frozen(w) && deadline_left_ms(until))
			wait_for_report(w, until, false);
		/* Its process was stopped, perhaps. One that freezes yet is no help. */
		for (size_t i = 0; !round && i < w->n; i++)
			if (w->target[i].state == FROZEN)
				rescue(&w->target[i]);
		if (!count(w, RESCUED))
			return;
	}
}

static void send_thawed(struct work *w, bool expired)
{
	Vmctl__Agent__V1__ThawFilesystemsResponse thawed =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;

	for (size_t i = 0; i < w->n; i++) {
		struct target *t = &w->target[i];

		if (may_be_frozen(t)) {
			t->result.error = ETIMEDOUT;
			t->result.message = (char *)"the thaw hangs, and goes on";
		} else if (t->code && !t->result.error) {
			t->result.error = t->code;
			t->result.message = strerror(t->code);
		}
	}
	thawed.results = w->list;
	thawed.n_results = w->n;
	thawed.expired = expired;
	send_packet(w, FREEZE_THAWED, &thawed.base);
}

static void fail(struct work *w, struct error *err)
{
	const struct target *t;

	thaw(w);
	t = find_frozen(w);
	if (t)
		error_set(err, err->code, "%.300s; %.150s is thawed when it answers",
			  err->text, t->mount->mountpoint);
	send_error(w, t ? FREEZE_HANGS : FREEZE_FAILED, err);
}

static void hold(struct work *w)
{
	Vmctl__Agent__V1__FreezeFilesystemsResponse frozen =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_RESPONSE__INIT;
	struct error err;
	int ret;

	frozen.results = w->list;
	frozen.n_results = w->n;
	frozen.timeout_ms = (uint64_t)deadline_left_ms(w->deadline);
	ret = send_packet(w, FREEZE_FROZEN, &frozen.base);
	if (ret) {
		error_set(&err, ret, "too many file systems: freeze some by name");
		fail(w, &err);
		return;
	}
	while (go_on(w) && count(w, FROZEN) == w->n_frozen)
		;
	/* At a word that came in time nothing had been thawed. */
	ret = !w->word || !deadline_left_ms(w->deadline);
	thaw(w);
	send_thawed(w, ret);
}

static bool has_processes(const struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->target[i].fd >= 0)
			return true;
	return false;
}

void freeze_work(const char *root,
		 const Vmctl__Agent__V1__FreezeFilesystemsRequest *request,
		 int64_t timeout_ms, int fd)
{
	static struct work w; /* too large for a stack */
	struct error err = {0};
	int ret;

	w.fd = fd;
	w.all = !request->n_mountpoints;
	freeze_catch_signals();
	/* Nothing of this process is to be fetched from a frozen disk. */
	mlockall(MCL_CURRENT | MCL_FUTURE);
	ret = mounts_read(root, &w.mounts, &err);
	if (!ret)
		ret = collect(&w, request, &err);
	w.deadline = deadline_after_ms(timeout_ms);
	if (!ret)
		ret = open_targets(&w, &err);
	if (!ret)
		ret = freeze(&w, &err);
	if (ret)
		fail(&w, &err);
	else
		hold(&w);
	/* Those that hang, and may be killed yet. The agent does not wait for them. */
	while (has_processes(&w))
		wait_for_report(&w, DEADLINE_NEVER, false);
}

void freeze_work_rescue(const char *root,
			const Vmctl__Agent__V1__FreezeFilesystemsResponse *begun)
{
	struct mounts mounts;
	struct error err;

	if (mounts_read(root, &mounts, &err))
		return;
	for (size_t i = 0; i < begun->n_results; i++) {
		const struct mount *m =
			mounts_find(&mounts, &begun->results[i]->mountpoint);
		pid_t pid = m ? fork() : -1;

		/* One that hangs holds up no other. Without a process: it may. */
		if (m && pid <= 0)
			freeze_one_thaw(m);
		if (!pid)
			_exit(0);
	}
	mounts_free(&mounts);
	while (wait(NULL) > 0 || errno == EINTR)
		;
}
