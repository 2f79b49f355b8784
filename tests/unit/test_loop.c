/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon relies on: every write to an eventfd is an edge, read or not; so
 * is all that comes to a socket after a read that found it empty.
 */
#include "unit.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../transport/loop.h"

enum {
	ROUNDS = 20000,
	PATIENCE = 60000, /* ms */
};

static void kick(int fd)
{
	assert_int_equal(write(fd, &(uint64_t){1}, 8), 8);
}

static void every_kick_is_an_edge_though_nobody_reads(void **state)
{
	struct loop_event events[LOOP_EVENTS_MAX];
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop loop;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(loop_add(&loop, fd, EPOLLIN | EPOLLET, LOOP_KICK, 1), 0);
	assert_int_equal(loop_wait(&loop, events, 0), 0);
	for (int i = 0; i < 1000; i++) {
		for (int kicks = 0; kicks <= i % 3; kicks++)
			kick(fd);
		assert_int_equal(loop_wait(&loop, events, PATIENCE), 1);
		assert_int_equal(events[0].type, LOOP_KICK);
		assert_int_equal(events[0].id, 1);
		/* And one edge is reported once. */
		assert_int_equal(loop_wait(&loop, events, 0), 0);
	}
	loop_free(&loop);
	close(fd);
}

static struct {
	int fd;
	uint32_t asked;
} race;

static void *answer(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		while (__atomic_load_n(&race.asked, __ATOMIC_ACQUIRE) != i)
			usleep(0);
		kick(race.fd);
	}
	return NULL;
}

/* A kick that comes just before, while or after the other side goes to sleep. */
static void no_kick_is_lost_on_the_way_to_sleep(void **state)
{
	struct loop_event events[LOOP_EVENTS_MAX];
	struct loop loop;
	pthread_t thread;

	(void)state;
	race.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(loop_add(&loop, race.fd, EPOLLIN | EPOLLET, LOOP_KICK, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer, NULL), 0);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		__atomic_store_n(&race.asked, i, __ATOMIC_RELEASE);
		assert_int_equal(loop_wait(&loop, events, PATIENCE), 1);
	}
	pthread_join(thread, NULL);
	loop_free(&loop);
	close(race.fd);
}

static void changing_what_is_waited_for_reports_what_is_the_case(void **state)
{
	struct loop_event events[LOOP_EVENTS_MAX];
	struct loop loop;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(loop_add(&loop, fd[0], EPOLLIN | EPOLLET, LOOP_CONN, 7), 0);
	assert_int_equal(loop_wait(&loop, events, 0), 0);
	assert_int_equal(
		loop_change(&loop, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, LOOP_CONN, 7),
		0);
	assert_int_equal(loop_wait(&loop, events, 0), 1);
	assert_int_equal(events[0].events, EPOLLOUT);
	assert_int_equal(events[0].id, 7);
	loop_free(&loop);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kick_is_an_edge_though_nobody_reads),
		cmocka_unit_test(no_kick_is_lost_on_the_way_to_sleep),
		cmocka_unit_test(changing_what_is_waited_for_reports_what_is_the_case),
	};

	return cmocka_run_group_tests_name("event loop", tests, NULL, NULL);
}
