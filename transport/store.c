/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("close");

#define LISTENER_PREFIX "listener-"

enum {
	FIRST_FD = 3, /* SD_LISTEN_FDS_START */
};

struct entry {
	char name[STORE_NAME_MAX];
	int fd; /* -1: taken */
};

static struct {
	struct entry *entry;
	size_t count;
} came;

/* Their number, if they are for this process. */
static int count_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long count;

	if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
		return 0;
	count = strtol(fds, NULL, 10);
	if (count > STORE_MAX)
		log_warning("%ld descriptors came along, %d are looked at", count,
			    STORE_MAX);
	return count < 0 ? 0 : count > STORE_MAX ? STORE_MAX : (int)count;
}

void store_init(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int count = count_fds();

	if (count)
		came.entry = calloc((size_t)count, sizeof(*came.entry));
	for (int i = 0; came.entry && i < count; i++) {
		struct entry *entry = &came.entry[came.count++];
		size_t len = names ? strcspn(names, ":") : 0;

		entry->fd = FIRST_FD + i;
		if (fcntl(entry->fd, F_SETFD, FD_CLOEXEC) < 0)
			entry->fd = -1;
		snprintf(entry->name, sizeof(entry->name), "%.*s", (int)len,
			 names ? names : "");
		if (names)
			names += len + (names[len] == ':');
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int store_take(const char *name)
{
	for (size_t i = 0; i < came.count; i++) {
		struct entry *entry = &came.entry[i];
		int fd = entry->fd;

		if (fd < 0 || strcmp(entry->name, name))
			continue;
		entry->fd = -1;
		return fd;
	}
	return -1;
}

/* Stable, and different for each address and type. */
static void name_listener(char name[static STORE_NAME_MAX], const struct sockaddr *addr,
			  socklen_t len, int type)
{
	const unsigned char *at = (const unsigned char *)addr;
	uint64_t sum = 0xcbf29ce484222325ULL ^ (unsigned int)type;

	for (socklen_t i = 0; i < len; i++)
		sum = (sum ^ at[i]) * 0x100000001b3ULL;
	snprintf(name, STORE_NAME_MAX, LISTENER_PREFIX "%016llx",
		 (unsigned long long)sum);
}

static bool listens_at(int fd, const struct sockaddr *addr, socklen_t len, int type)
{
	struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
	socklen_t own_len = sizeof(own), size = sizeof(int);
	int own_type = 0, listening = 0;

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &own_type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
	    !listening || own_type != type || own.ss_family != addr->sa_family)
		return false;
	/* Paths may or may not have been given with what is behind their end. */
	if (addr->sa_family == AF_UNIX)
		return own_len <= sizeof(struct sockaddr_un) &&
		       !strncmp(((struct sockaddr_un *)&own)->sun_path,
				((const struct sockaddr_un *)addr)->sun_path,
				sizeof(((struct sockaddr_un *)&own)->sun_path));
	return own_len == len && !memcmp(&own, addr, len);
}

int store_take_listener(const struct sockaddr *addr, socklen_t len, int type,
			bool *ours)
{
	for (size_t i = 0; i < came.count; i++) {
		struct entry *entry = &came.entry[i];
		int fd = entry->fd;

		if (fd < 0 || !listens_at(fd, addr, len, type))
			continue;
		entry->fd = -1;
		*ours = !strncmp(entry->name, LISTENER_PREFIX, strlen(LISTENER_PREFIX));
		return fd;
	}
	return -1;
}

bool store_put_listener(const struct sockaddr *addr, socklen_t len, int type, int fd)
{
	char name[STORE_NAME_MAX];

	name_listener(name, addr, len, type);
	return store_put(name, fd);
}

bool store_put(const char *name, int fd)
{
	char text[STORE_NAME_MAX + 64];

	if (!notify_is_on())
		return true;
	/* FDPOLL=0: what a hang-up means is this process's to say. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return notify_send(text, fd);
}

void store_drop(const char *name)
{
	char text[STORE_NAME_MAX + 64];

	if (!notify_is_on())
		return;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notify_send(text, -1);
}

void store_drop_rest(const char *prefix)
{
	for (size_t i = 0; i < came.count; i++) {
		struct entry *entry = &came.entry[i];

		if (entry->fd < 0 || strncmp(entry->name, prefix, strlen(prefix)))
			continue;
		log_debug("the stored descriptor %s is of no use any more",
			  entry->name);
		store_drop(entry->name);
		close(entry->fd);
		entry->fd = -1;
	}
}

void store_close_rest(void)
{
	store_drop_rest(LISTENER_PREFIX);
	for (size_t i = 0; i < came.count; i++) {
		if (came.entry[i].fd < 0)
			continue;
		log_warning("a descriptor called \"%s\" came along, and none of the "
			    "options names what it is; it is closed",
			    came.entry[i].name);
		close(came.entry[i].fd);
	}
	free(came.entry);
	came.entry = NULL;
	came.count = 0;
}
