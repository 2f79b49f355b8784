/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under a service manager: this program plays systemd's part for a daemon that it
 * starts again and again.
 */
#include "fake_manager.h"

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
	m.socket = manager_socket(m.notify, SOCK_DGRAM);
	m.listeners[0] = manager_socket(g->vhost_user, SOCK_STREAM);
	m.listeners[1] = manager_socket(g->uds, SOCK_STREAM);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(listen(m.listeners[i], 16), 0);
		manager_add(&m, "vsockd@vm1.socket", m.listeners[i]);
	}
	/* Known by its name alone. */
	g->control[0] = 0;
	snprintf(control, sizeof(control), "%s/asked", g->dir);
	m.listeners[2] = manager_socket(control, SOCK_STREAM);
	assert_int_equal(listen(m.listeners[2], 16), 0);
	manager_add(&m, "control", m.listeners[2]);
	manager_start(g, &m, THIS_ONE);
	manager_wait(&m);
	assert_true(log_has(g, "the service manager holds the place"));
	guest_start(g);
	for (int i = 0; i < 6; i++) {
		fd = join_in(g, 5000, &port);
		/* `systemctl restart` sends SIGTERM; what is sent is heard first. */
		manager_end(g, i % 2 ? SIGTERM : SIGKILL);
		manager_hear(&m);
		manager_start(g, &m, i % 3 ? THIS_ONE : NOBODY_SAID);
		host_expect_closed(fd);
		close(fd);
		guest_expect(g, PACKET_RST, 5000, port);
		manager_wait(&m);
		expect_service(g);
		/* Still the one that came from the socket unit. */
		assert_int_equal(access(g->uds, F_OK), 0);
		assert_int_equal(manager_stored(&m, "vsockd@vm1.socket"), 2);
		assert_int_equal(manager_stored(&m, "state"), 1);
		answer = control_ask(control, "stats\n");
		assert_int_equal(control_figure(answer, "restarts"), i + 1);
	}
	/* The message socket was not the manager's: it was made, and is kept. */
	assert_int_equal(manager_stored(&m, "listener-"), 1);
	close(g->front);
	g->front = -1;
	wait_until((manager_hear(&m), manager_stored(&m, "vm-") == 0));
	manager_end(g, SIGTERM);
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
	m.socket = manager_socket(m.notify, SOCK_DGRAM);
	assert_int_equal(write(memfd, noise, sizeof(noise)), sizeof(noise));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	manager_add(&m, "state", memfd);
	manager_add(&m, "vm-1", pair[0]);
	/* Nor is this a socket. */
	g->control[0] = 0;
	manager_add(&m, "control", memfd);
	g->front = pair[1];
	manager_start(g, &m, THIS_ONE);
	manager_wait(&m);
	assert_true(log_has(g, "what was stored is no state"));
	assert_true(log_has(g, "\"control\" is no Unix socket that listens"));
	manager_hear(&m);
	assert_int_equal(manager_stored(&m, "vm-"), 0);
	assert_true(front_is_closed(g));
	close(g->front);
	g->front = -1;
	guest_start(g);
	expect_service(g);
	manager_end(g, SIGTERM);
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
	m.socket = manager_socket(m.notify, SOCK_DGRAM);
	manager_start(g, &m, ANOTHER);
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
	manager_hear(&m);
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
