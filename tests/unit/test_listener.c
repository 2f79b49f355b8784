/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets' paths: whose they are; and a shortage of descriptors. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../transport/listener.h"
#include "../../transport/target.h"

static char dir[64], path[80];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/vsockd-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void only_its_owner_may_connect(void **state)
{
	struct listener l;
	struct error err;
	struct stat st;
	mode_t mask = umask(0);

	(void)state;
	assert_int_equal(listener_open(&l, path, &err), 0);
	assert_int_equal(umask(mask), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	listener_close(&l);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct listener l, again;
	struct error err;
	int fd;

	(void)state;
	assert_int_equal(listener_open(&l, path, &err), 0);
	/* As a killed process leaves it. */
	close(l.fd);
	close(l.spare_fd);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(listener_open(&again, path, &err), 0);
	fd = dial();
	assert_true(fd >= 0);
	close(fd);
	listener_close(&again);
}

static void a_socket_in_use_is_left_alone(void **state)
{
	struct listener l, other;
	struct error err;
	int fd;

	(void)state;
	assert_int_equal(listener_open(&l, path, &err), 0);
	assert_int_equal(listener_open(&other, path, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	fd = dial();
	assert_true(fd >= 0);
	close(fd);
	listener_close(&l);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct listener l;
	struct error err;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_int_equal(listener_open(&l, path, &err), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_socket_of_another_kind_is_left_alone(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct listener l;
	struct error err;

	(void)state;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listener_open(&l, path, &err), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
}

static void a_path_that_is_another_ones_by_now_is_not_removed(void **state)
{
	struct listener l, other;
	struct error err;

	(void)state;
	assert_int_equal(listener_open(&l, path, &err), 0);
	unlink(path);
	assert_int_equal(listener_open(&other, path, &err), 0);
	listener_close(&l);
	assert_int_equal(access(path, F_OK), 0);
	listener_close(&other);
}

static void paths_that_are_too_long_are_refused(void **state)
{
	char longer[200];
	struct routes routes = {.uds = longer};
	struct listener l;
	struct error err;

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[108] = 0;
	assert_int_equal(listener_open(&l, longer, &err), -ENAMETOOLONG);
	assert_int_equal(listener_open(&l, "", &err), -ENAMETOOLONG);
	longer[97] = 0;
	assert_int_equal(target_check(&routes, &err), -ENAMETOOLONG);
	longer[96] = 0;
	assert_int_equal(target_check(&routes, &err), 0);
	routes = (struct routes){.uds = "v", .peers = longer};
	assert_int_equal(target_check(&routes, &err), -ENAMETOOLONG);
	longer[86] = 0;
	assert_int_equal(target_check(&routes, &err), 0);
}

static void without_descriptors_a_client_is_turned_away(void **state)
{
	struct rlimit limit, low;
	struct listener l;
	struct error err;
	int client, fd, filler[64], fillers = 0;
	char byte;

	(void)state;
	assert_int_equal(listener_open(&l, path, &err), 0);
	client = dial();
	assert_true(client >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)client + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (fillers < 64 && (filler[fillers] = dup(client)) >= 0)
		fillers++;
	fd = listener_accept(&l);
	setrlimit(RLIMIT_NOFILE, &limit);
	while (fillers)
		close(filler[--fillers]);
	assert_int_equal(fd, -ECONNABORTED);
	assert_int_equal(recv(client, &byte, 1, 0), 0);
	assert_int_equal(listener_accept(&l), -EAGAIN);
	close(client);
	/* And the next one is served. */
	client = dial();
	fd = listener_accept(&l);
	assert_true(fd >= 0);
	close(fd);
	close(client);
	listener_close(&l);
}

int main(void)
{
#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(only_its_owner_may_connect),
		t(a_stale_socket_is_replaced),
		t(a_socket_in_use_is_left_alone),
		t(what_is_no_socket_is_left_alone),
		t(a_socket_of_another_kind_is_left_alone),
		t(a_path_that_is_another_ones_by_now_is_not_removed),
		t(paths_that_are_too_long_are_refused),
		t(without_descriptors_a_client_is_turned_away),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
