/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under a service manager: this program plays systemd's part, the notify socket, the
 * descriptor store and socket activation, for a daemon that it starts again and again.
 */
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

static int make_unix(const char *path, int type)
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

/* As systemd does it, but for the address of the notify socket's. */
static void start(struct guest *g, struct manager *m, enum meant meant)
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
		front_exec(g);
	}
}

static void hear(struct manager *m)
{
	enum holder_news news;

	while ((news = holder_store_read(&m->store, m->socket)) != HOLDER_NOTHING)
		m->ready |= news == HOLDER_READY;
}

static size_t stored(const struct manager *m, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < m->store.count; i++)
		count += !strncmp(m->store.holding[i].name, name, strlen(name));
	return count;
}

static void wait_ready(struct manager *m)
{
	wait_until((hear(m), m->ready));
}

static void add(struct manager *m, const char *name, int fd)
{
	struct holder_store *s = &m->store;

	s->holding = realloc(s->holding, (s->count + 1) * sizeof(*s->holding));
	s->holding[s->count].fd = fd;
	snprintf(s->holding[s->count].name, STORE_NAME_MAX, "%s", name);
	s->max = ++s->count;
}

static void end(struct guest *g, int signo)
{
	int status;

	kill(g->pid, signo);
	assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
	g->pid = 0;
	if (signo == SIGTERM)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A daemon's directory and a guest's memory, from the usual maker of them. */
static struct guest *guest_without_daemon(void)
{
	struct guest *g = guest_new();

	end(g, SIGTERM);
	assert_int_equal(truncate(g->log, 0), 0);
	return g;
}

static void restarts_and_kills_go_unnoticed(void **state)
{
	struct guest *g = guest_without_daemon();
	struct manager m = {.ready = false};
	const char *answer;
	char control[100];
	uint32_t port;
	int fd;

	(void)state;
	alarm(PATIENCE * 3 / 1000);
	snprintf(m.notify, sizeof(m.notify), "%s/notify", g->dir);
	m.socket = make_unix(m.notify, SOCK_DGRAM);
	m.listeners[0] = make_unix(g->vhost_user, SOCK_STREAM);
	m.listeners[1] = make_unix(g->uds, SOCK_STREAM);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(listen(m.listeners[i], 16), 0);
		add(&m, "vsockd@vm1.socket", m.listeners[i]);
	}
	/* Known by its name alone. */
	g->control[0] = 0;
	snprintf(control, sizeof(control), "%s/asked", g->dir);
	m.listeners[2] = make_unix(control, SOCK_STREAM);
	assert_int_equal(listen(m.listeners[2], 16), 0);
	add(&m, "control", m.listeners[2]);
	start(g, &m, THIS_ONE);
	wait_ready(&m);
	assert_true(log_has(g, "the service manager holds the place"));
	guest_start(g);
	for (int i = 0; i < 6; i++) {
		fd = join_in(g, 5000, &port);
		/* `systemctl restart` sends SIGTERM; what is sent is heard first. */
		end(g, i % 2 ? SIGTERM : SIGKILL);
		hear(&m);
		start(g, &m, i % 3 ? THIS_ONE : NOBODY_SAID);
		host_expect_closed(fd);
		close(fd);
		guest_expect(g, PACKET_RST, 5000, port);
		wait_ready(&m);
		expect_service(g);
		/* Still the one that came from the socket unit. */
		assert_int_equal(access(g->uds, F_OK), 0);
		assert_int_equal(stored(&m, "vsockd@vm1.socket"), 2);
		assert_int_equal(stored(&m, "state"), 1);
		answer = control_ask(control, "stats\n");
		assert_int_equal(control_figure(answer, "restarts"), i + 1);
	}
	/* The message socket was not the manager's: it was made, and is kept. */
	assert_int_equal(stored(&m, "listener-"), 1);
	close(g->front);
	g->front = -1;
	wait_until((hear(&m), stored(&m, "vm-") == 0));
	end(g, SIGTERM);
	assert_int_equal(access(control, F_OK), 0);
	unlink(g->uds);
	unlink(g->vhost_user);
	close(m.socket);
	free(m.store.holding);
	guest_free(g);
}

/* A state that is none: the front-end is let go, and the daemon is of use again. */
static void what_is_no_state_is_not_believed(void **state)
{
	static const char noise[4096] = "vsockd?";
	struct guest *g = guest_without_daemon();
	struct manager m = {.ready = false};
	int pair[2], memfd = memfd_create("noise", MFD_CLOEXEC);

	(void)state;
	alarm(PATIENCE * 3 / 1000);
	snprintf(m.notify, sizeof(m.notify), "%s/notify", g->dir);
	m.socket = make_unix(m.notify, SOCK_DGRAM);
	assert_int_equal(write(memfd, noise, sizeof(noise)), sizeof(noise));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	add(&m, "state", memfd);
	add(&m, "vm-1", pair[0]);
	/* Nor is this a socket. */
	g->control[0] = 0;
	add(&m, "control", memfd);
	g->front = pair[1];
	start(g, &m, THIS_ONE);
	wait_ready(&m);
	assert_true(log_has(g, "what was stored is no state"));
	assert_true(log_has(g, "\"control\" is no Unix socket that listens"));
	hear(&m);
	assert_int_equal(stored(&m, "vm-"), 0);
	assert_true(front_is_closed(g));
	close(g->front);
	g->front = -1;
	guest_start(g);
	expect_service(g);
	end(g, SIGTERM);
	close(m.socket);
	free(m.store.holding);
	guest_free(g);
}

/* The environment of a service, whose process is not this one but its parent. */
static void a_manager_of_another_process_holds_nothing(void **state)
{
	struct guest *g = guest_without_daemon();
	struct manager m = {.ready = false};
	uint32_t port;
	int fd;

	(void)state;
	alarm(PATIENCE * 3 / 1000);
	snprintf(m.notify, sizeof(m.notify), "%s/notify", g->dir);
	m.socket = make_unix(m.notify, SOCK_DGRAM);
	start(g, &m, ANOTHER);
	wait_until(log_has(g, "ready"));
	assert_true(log_has(g, "this process holds the place"));
	guest_start(g);
	for (int i = 0; i < 3; i++) {
		fd = join_in(g, 5000, &port);
		kill_worker(g);
		host_expect_closed(fd);
		close(fd);
		guest_expect(g, PACKET_RST, 5000, port);
		expect_service(g);
	}
	hear(&m);
	assert_false(m.ready);
	assert_int_equal(m.store.count, 0);
	close(m.socket);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restarts_and_kills_go_unnoticed),
		cmocka_unit_test(a_manager_of_another_process_holds_nothing),
		cmocka_unit_test(what_is_no_state_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
