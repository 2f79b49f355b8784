/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's part toward vsockd: the notify socket, the descriptor store and socket
 * activation, for a daemon that is started again and again.
 */
#ifndef FAKE_MANAGER_H
#define FAKE_MANAGER_H

#include "fake_control.h"
#include "fake_worker.h"

#include "../../transport/holder_store.h"
#include "../../transport/notify.h"

struct manager {
	char notify[100];
	int socket;
	/* vhost-user's and the host programs', as a .socket unit's, and control's. */
	int listeners[3];
	struct holder_store store;
	bool ready, watchdog;
};

static inline int manager_socket(const char *path, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* What systemd says of who is meant: since version 248, or by inheritance. */
enum meant {
	NOBODY_SAID,
	THIS_ONE,
	ANOTHER
};

/* What is done to a daemon just before it begins, if it is set. */
static void (*manager_confine)(void) __attribute__((unused));

/* As systemd does it, but for the address of the notify socket's. */
static inline void manager_start(struct guest *g, struct manager *m, enum meant meant)
{
	run_the_program();
	m->ready = false;
	fflush(NULL);
	g->pid = fork();
	if (g->pid == 0) {
		char pid[16];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open(g->log, O_WRONLY | O_APPEND | O_CLOEXEC), STDERR_FILENO);
		assert_int_equal(holder_store_hand_over(&m->store, m->socket), 0);
		unsetenv(NOTIFY_HOLDER_ENV);
		setenv("NOTIFY_SOCKET", m->notify, 1);
		setenv("WATCHDOG_USEC", "200000", 1);
		snprintf(pid, sizeof(pid), "%d",
			 (int)(meant == THIS_ONE ? getpid() : getppid()));
		setenv("SYSTEMD_EXEC_PID", pid, 1);
		if (meant == NOBODY_SAID)
			unsetenv("SYSTEMD_EXEC_PID");
		if (manager_confine)
			manager_confine();
		front_exec(g);
	}
}

static inline void manager_hear(struct manager *m)
{
	enum holder_news news;

	while ((news = holder_store_read(&m->store, m->socket)) != HOLDER_NOTHING)
		m->ready |= news == HOLDER_READY;
}

static inline size_t manager_stored(const struct manager *m, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < m->store.count; i++)
		count += !strncmp(m->store.holding[i].name, name, strlen(name));
	return count;
}

static inline void manager_wait(struct manager *m)
{
	wait_until((manager_hear(m), m->ready));
}

static inline void manager_add(struct manager *m, const char *name, int fd)
{
	struct holder_store *s = &m->store;

	s->holding = realloc(s->holding, (s->count + 1) * sizeof(*s->holding));
	s->holding[s->count].fd = fd;
	snprintf(s->holding[s->count].name, STORE_NAME_MAX, "%s", name);
	s->max = ++s->count;
}

static inline void manager_end(struct guest *g, int signo)
{
	int status;

	kill(g->pid, signo);
	assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
	g->pid = 0;
	if (signo == SIGTERM)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A daemon's directory and a guest's memory, from the usual maker of them. */
static inline struct guest *guest_without_daemon(void)
{
	struct guest *g = guest_new();

	manager_end(g, SIGTERM);
	assert_int_equal(truncate(g->log, 0), 0);
	return g;
}

#endif
