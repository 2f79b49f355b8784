/* SPDX-License-Identifier: Apache-2.0 */
#include "holder_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"

enum {
	FIRST_FD = 3, /* SD_LISTEN_FDS_START */
	MESSAGE_MAX = 1024,
	NAMES_MAX = STORE_MAX * (STORE_NAME_MAX + 1),
};

/* Takes fd. */
static void put(struct holder_store *store, const char *name, size_t len, int fd)
{
	struct holding *more = store->holding;

	if (!len || len >= STORE_NAME_MAX || memchr(name, ':', len) ||
	    store->count == STORE_MAX) {
		log_limited(LOG_LEVEL_WARNING,
			    "the worker wants \"%.*s\" to be held, beside %zu others: "
			    "refused",
			    len < STORE_NAME_MAX ? (int)len : STORE_NAME_MAX, name,
			    store->count);
		close(fd);
		return;
	}
	if (store->count == store->max) {
		store->max = store->max ? store->max * 2 : 32;
		more = realloc(store->holding, store->max * sizeof(*more));
	}
	if (!more) {
		log_error("out of memory: \"%.*s\" is not held", (int)len, name);
		store->max = store->count;
		close(fd);
		return;
	}
	store->holding = more;
	store->holding[store->count].fd = fd;
	snprintf(store->holding[store->count].name, STORE_NAME_MAX, "%.*s", (int)len,
		 name);
	store->count++;
}

static void drop(struct holder_store *store, const char *name, size_t len)
{
	size_t left = 0;

	for (size_t i = 0; i < store->count; i++) {
		struct holding *holding = &store->holding[i];

		if (strlen(holding->name) == len && !memcmp(holding->name, name, len))
			close(holding->fd);
		else
			store->holding[left++] = *holding;
	}
	store->count = left;
}

void holder_store_init(struct holder_store *store)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"),
		   *names = getenv("LISTEN_FDNAMES");
	long count = 0;

	*store = (struct holder_store){.count = 0};
	if (pid && fds && strtol(pid, NULL, 10) == getpid())
		count = strtol(fds, NULL, 10);
	for (long i = 0; i < count && i < STORE_MAX; i++) {
		size_t len = names ? strcspn(names, ":") : 0;
		int fd = FIRST_FD + (int)i;

		if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			put(store, len ? names : "unknown", len ? len : 7, fd);
		if (names)
			names += len + (names[len] == ':');
	}
}

/* The value of a line; NULL when there is no such line. */
static const char *find(const char *text, const char *key, size_t *len)
{
	size_t key_len = strlen(key);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		if (strncmp(text, key, key_len))
			continue;
		*len = strcspn(text, "\n") - key_len;
		return text + key_len;
	}
	return NULL;
}

static bool is_said(const char *text, const char *key)
{
	size_t len;
	const char *value = find(text, key, &len);

	return value && len == 1 && *value == '1';
}

/* The descriptor that came along; -1. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c;
	int fd = -1;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

enum holder_news holder_store_read(struct holder_store *store, int socket)
{
	/* Room for one: the kernel closes what does not fit. */
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char text[MESSAGE_MAX];
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const char *name;
	size_t len = 0;
	int fd;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? HOLDER_NOTHING
								    : HOLDER_CLOSED;
	text[n] = 0;
	fd = take_fd(&msg);
	name = find(text, "FDNAME=", &len);
	if (name && is_said(text, "FDSTOREREMOVE="))
		drop(store, name, len);
	else if (name && fd >= 0 && is_said(text, "FDSTORE="))
		put(store, name, len, fd), fd = -1;
	if (fd >= 0)
		close(fd);
	return is_said(text, "READY=") ? HOLDER_READY : HOLDER_HEARD;
}

/* Above all the places that are wanted. */
static int lift(int fd, size_t count)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD + (int)count + 1);
}

int holder_store_hand_over(const struct holder_store *store, int socket)
{
	static char names[NAMES_MAX];
	int lifted[STORE_MAX + 1];
	char number[16];
	size_t len = 0;

	for (size_t i = 0; i <= store->count; i++) {
		lifted[i] = lift(i < store->count ? store->holding[i].fd : socket,
				 store->count);
		if (lifted[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i <= store->count; i++) {
		if (dup2(lifted[i], FIRST_FD + (int)i) < 0)
			return -errno;
		if (i < store->count)
			len += (size_t)snprintf(names + len, sizeof(names) - len,
						"%s%s", i ? ":" : "",
						store->holding[i].name);
	}
	snprintf(number, sizeof(number), "%d", FIRST_FD + (int)store->count);
	setenv(NOTIFY_HOLDER_ENV, number, 1);
	snprintf(number, sizeof(number), "%zu", store->count);
	setenv("LISTEN_FDS", number, 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	return 0;
}
