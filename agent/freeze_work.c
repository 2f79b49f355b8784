// SPDX-License-Identifier: Apache-2.0
#include "freeze_work.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "mounts.h"

typedef Vmctl__Agent__V1__FilesystemResult Result;

struct target {
	const struct mount *mount;
	int fd;
	bool frozen;
	Result result;
};

struct work {
	int fd;
	deadline_t deadline;
	int64_t timeout_ms;
	struct mounts mounts;
	struct target *target; /* in the order of mounting */
	Result **list;
	size_t n;
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

static void send_error(struct work *w, const struct error *err)
{
	size_t len = strlen(err->text);

	w->packet[0] = FREEZE_FAILED;
	memcpy(w->packet + 1, &err->code, sizeof(err->code));
	memcpy(w->packet + 1 + sizeof(err->code), err->text, len);
	if (send(w->fd, w->packet, 1 + sizeof(err->code) + len, MSG_NOSIGNAL) < 0)
		return; /* nobody is there to be told */
}

/* Opened before anything is frozen. all: what has gone meanwhile is passed over. */
static int add_target(struct work *w, const struct mount *m, bool all,
		      struct error *err)
{
	struct target *t = &w->target[w->n];
	int fd = mounts_open(m);

	if (fd < 0 && all)
		return 0;
	if (fd < 0)
		return error_set(err, fd, "%s: %s", m->mountpoint, strerror(-fd));
	for (size_t i = 0; i < w->n; i++) {
		if (w->target[i].mount == m) {
			close(fd);
			return error_set(err, -EINVAL, "%s is named twice",
					 m->mountpoint);
		}
	}
	*t = (struct target){.mount = m, .fd = fd};
	vmctl__agent__v1__filesystem_result__init(&t->result);
	t->result.mountpoint.data = (uint8_t *)m->mountpoint;
	t->result.mountpoint.len = strlen(m->mountpoint);
	w->list[w->n++] = &t->result;
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
	size_t named = request->n_mountpoints, n = named ? named : w->mounts.n;
	int ret = 0;

	w->target = calloc(n + 1, sizeof(*w->target));
	w->list = calloc(n + 1, sizeof(*w->list));
	if (!w->target || !w->list)
		return error_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; !ret && i < n; i++) {
		const struct mount *m =
			named ? mounts_find(&w->mounts, &request->mountpoints[i])
			      : &w->mounts.mount[i];

		if (!m)
			ret = error_set(err, -ENOENT,
					"no file system is mounted at %.*s",
					(int)request->mountpoints[i].len,
					(const char *)request->mountpoints[i].data);
		else if (named || (m->real && !m->read_only))
			ret = add_target(w, m, !named, err);
	}
	if (!ret && !w->n)
		ret = error_set(err, -EOPNOTSUPP,
				"the guest has no file system that can be frozen");
	/* The results are in the targets, which this moves, and the list is full. */
	qsort(w->target, w->n, sizeof(*w->target), compare);
	return ret;
}

/* The last one first: it may be on a file of an earlier one. */
static int freeze(struct work *w, bool all, struct error *err)
{
	size_t frozen = 0;

	for (size_t i = w->n; i--;) {
		struct target *t = &w->target[i];
		int code;

		if (!deadline_left_ms(w->deadline))
			return error_set(err, -ETIMEDOUT,
					 "freezing took longer than the freeze may");
		if (!mounts_ioctl(t->fd, FIFREEZE, NULL)) {
			t->frozen = true;
			frozen++;
			continue;
		}
		code = errno;
		if (!all || (code != EOPNOTSUPP && code != ENOTTY))
			return error_set(err, -code, "%s: %s", t->mount->mountpoint,
					 code == EBUSY ? "it is frozen already"
						       : strerror(code));
		t->result.error = code;
		t->result.message = (char *)"the file system cannot be frozen";
	}
	if (!frozen)
		return error_set(err, -EOPNOTSUPP,
				 "the guest has no file system that can be frozen");
	return 0;
}

static void thaw(struct work *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct target *t = &w->target[i];

		if (!t->frozen)
			continue;
		t->frozen = false;
		/* EINVAL: somebody has thawed it already. */
		if (mounts_ioctl(t->fd, FITHAW, NULL) < 0 && errno != EINVAL) {
			t->result.error = errno;
			t->result.message = strerror(errno);
		}
	}
}

static volatile sig_atomic_t told;

static void on_signal(int number)
{
	(void)number;
	told = 1;
}

/* Until the time is up (true), or the word to thaw. */
static bool wait_for_word(const struct work *w)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};
	sigset_t none;
	int left, n = 0;

	sigemptyset(&none);
	while (!told && (left = deadline_left_ms(w->deadline)) > 0) {
		struct timespec ts = {left / 1000, left % 1000 * 1000000l};

		n = ppoll(&p, 1, &ts, &none);
		if (n > 0 || (n < 0 && errno != EINTR))
			return false;
	}
	return !told;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void hold(struct work *w)
{
	Vmctl__Agent__V1__FreezeFilesystemsResponse frozen =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_RESPONSE__INIT;
	Vmctl__Agent__V1__ThawFilesystemsResponse thawed =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;
	struct error err;

	frozen.results = w->list;
	frozen.n_results = w->n;
	frozen.timeout_ms = (uint64_t)deadline_left_ms(w->deadline);
	if (send_packet(w, FREEZE_FROZEN, &frozen.base) < 0) {
		thaw(w);
		error_set(&err, -E2BIG, "too many file systems");
		send_error(w, &err);
		return;
	}
	thawed.expired = wait_for_word(w);
	thaw(w);
	thawed.results = w->list;
	thawed.n_results = w->n;
	send_packet(w, FREEZE_THAWED, &thawed.base);
}

static int prepare(struct work *w, const char *root,
		   const Vmctl__Agent__V1__FreezeFilesystemsRequest *request,
		   struct error *err)
{
	int ret = mounts_read(root, &w->mounts, err);

	return ret ? ret : collect(w, request, err);
}

void freeze_work(const char *root,
		 const Vmctl__Agent__V1__FreezeFilesystemsRequest *request,
		 int64_t timeout_ms, int fd)
{
	static struct work w; /* too large for a stack */
	struct error err = {0};
	int ret;

	w.fd = fd;
	catch_signals();
	/* Nothing of this process is to be fetched from a frozen disk. */
	mlockall(MCL_CURRENT | MCL_FUTURE);
	ret = prepare(&w, root, request, &err);
	if (!ret) {
		w.deadline = deadline_after_ms(timeout_ms);
		ret = freeze(&w, !request->n_mountpoints, &err);
	}
	if (!ret) {
		hold(&w);
		return;
	}
	thaw(&w);
	send_error(&w, &err);
}

void freeze_work_rescue(const char *root,
			const Vmctl__Agent__V1__FreezeFilesystemsResponse *frozen)
{
	struct mounts mounts;
	struct error err;

	if (mounts_read(root, &mounts, &err))
		return;
	for (size_t i = 0; i < frozen->n_results; i++) {
		const struct mount *m =
			mounts_find(&mounts, &frozen->results[i]->mountpoint);
		cleanup_close int fd = m ? mounts_open(m) : -1;

		if (fd >= 0)
			mounts_ioctl(fd, FITHAW, NULL);
	}
	mounts_free(&mounts);
}
