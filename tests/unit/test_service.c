/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as the unit vsockd@.service lets it be: with that unit's system calls,
 * which systemd-analyze knows the groups of, and no capability. What the daemon is
 * refused in that way and cannot do without would be found on users' machines only.
 */
#include "fake_flow.h"
#include "fake_inflight.h"
#include "fake_manager.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>

#define UNIT "/../../packaging/systemd/vsockd@.service.in"

enum {
	CALLS_MAX = 600,
	CALL_CHARS = 40,
	LISTENERS = 4,
	TOTAL = 1 << 20,
};

static struct {
	char name[CALLS_MAX][CALL_CHARS];
	size_t count;
} allowed;

static const char *one_less; /* a call that is not allowed after all */

static void put(const char *name, bool allow)
{
	size_t at = 0;

	while (at < allowed.count && strcmp(allowed.name[at], name))
		at++;
	if (allow && at == allowed.count) {
		assert_true(at < CALLS_MAX && strlen(name) < CALL_CHARS);
		strcpy(allowed.name[allowed.count++], name);
	} else if (!allow && at < allowed.count) {
		memmove(allowed.name[at], allowed.name[--allowed.count], CALL_CHARS);
	}
}

/* A system call, or a group of them, which may have groups in it. */
static void put_word(const char *word, bool allow)
{
	char line[256];
	FILE *out;

	if (word[0] != '@') {
		put(word, allow);
		return;
	}
	snprintf(line, sizeof(line), "systemd-analyze --no-pager syscall-filter %s",
		 word);
	out = popen(line, "r");
	assert_non_null(out);
	while (fgets(line, sizeof(line), out)) {
		char item[CALL_CHARS + 1] = "";

		/* The members are indented, and so is what they are. */
		if (line[0] == ' ' && sscanf(line, " %40s", item) == 1 &&
		    item[0] != '#')
			put_word(item, allow);
	}
	assert_int_equal(pclose(out), 0);
}

/* The unit's lines; what else is played below is what it says. */
static int read_unit(void **state)
{
	static const char *const also[] = {
		"NoNewPrivileges=yes\n",	"CapabilityBoundingSet=\n",
		"RestrictNamespaces=yes\n",	"RestrictAddressFamilies=AF_UNIX\n",
		"MemoryDenyWriteExecute=yes\n", "SystemCallErrorNumber=EPERM\n",
	};
	static const char filter[] = "SystemCallFilter=";
	char path[256] = __FILE__, line[1024];
	size_t found = 0;
	FILE *unit;

	(void)state;
	dirname(path);
	strcat(path, UNIT);
	unit = fopen(path, "r");
	assert_non_null(unit);
	while (fgets(line, sizeof(line), unit)) {
		char *words = line + strlen(filter), *rest = NULL;
		bool allow;

		for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++)
			found += !strcmp(line, also[i]);
		if (strncmp(line, filter, strlen(filter)))
			continue;
		allow = words[0] != '~';
		/* The first one makes it a list of what is allowed. */
		if (!allowed.count) {
			assert_true(allow);
			put_word("@default", true);
		}
		words = strtok_r(words + !allow, " \n", &rest);
		for (; words; words = strtok_r(NULL, " \n", &rest))
			put_word(words, allow);
	}
	fclose(unit);
	assert_int_equal(found, sizeof(also) / sizeof(also[0]));
	return 0;
}

/* Those of which the unit allows only some uses. */
static int add_rule(scmp_filter_ctx ctx, int call)
{
	const scmp_datum_t spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
				    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
				    CLONE_NEWNET;

	switch (call) {
	/* The one refusal that the daemon asks for, and does without. */
	case SCMP_SYS(unshare):
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 0);
	case SCMP_SYS(setns):
		return 0;
	case SCMP_SYS(clone3):
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), call, 0);
	case SCMP_SYS(clone):
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
					SCMP_A0(SCMP_CMP_MASKED_EQ, spaces, 0));
	case SCMP_SYS(socket):
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
					SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
	case SCMP_SYS(mprotect):
	case SCMP_SYS(pkey_mprotect):
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
					SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	case SCMP_SYS(mmap):
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
				     SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0)))
			return -EINVAL;
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
					SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	default:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
	}
}

/*
 * In the process that becomes the daemon. A call that the unit would refuse kills, so
 * that it cannot be overlooked.
 */
static void confine(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	const struct rlimit none = {0, 0};

	assert_non_null(ctx);
	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < allowed.count; i++) {
		int call = seccomp_syscall_resolve_name(allowed.name[i]);

		/* Some are of other architectures, or newer than the library. */
		if (call < 0 || (one_less && !strcmp(allowed.name[i], one_less)))
			continue;
		if (add_rule(ctx, call) < 0)
			_exit(4);
	}
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap);
	/* It makes of the bounding set what the daemon, as root, gets: nothing. */
	if (seccomp_load(ctx) < 0)
		_exit(4);
}

/* The daemon's directory, and the sockets of vsockd@.socket. */
static struct guest *service_new(struct manager *m)
{
	struct guest *g = guest_without_daemon();
	char messages[100];
	int fd[LISTENERS];

	*m = (struct manager){.ready = false};
	snprintf(m->notify, sizeof(m->notify), "%s/notify", g->dir);
	snprintf(messages, sizeof(messages), "%s.seqpacket", g->uds);
	m->socket = manager_socket(m->notify, SOCK_DGRAM);
	fd[0] = manager_socket(g->vhost_user, SOCK_STREAM);
	fd[1] = manager_socket(g->uds, SOCK_STREAM);
	fd[2] = manager_socket(messages, SOCK_SEQPACKET);
	fd[3] = manager_socket(g->control, SOCK_STREAM);
	for (int i = 0; i < LISTENERS; i++) {
		assert_int_equal(listen(fd[i], 16), 0);
		manager_add(m, "vsockd@vm1.socket", fd[i]);
	}
	manager_confine = confine;
	return g;
}

static void service_free(struct guest *g, struct manager *m)
{
	manager_confine = NULL;
	unlink(g->vhost_user);
	unlink(g->uds);
	unlink(g->control);
	close(m->socket);
	for (size_t i = 0; i < m->store.count; i++)
		close(m->store.holding[i].fd);
	free(m->store.holding);
	guest_free(g);
}

/* Both ways, by a connection of each side, more than the sockets hold. */
static void use_streams(struct guest *g)
{
	for (int out = 0; out < 2; out++) {
		struct flow f = flow_of(5000, 6000);
		int fd = out ? join_out(g, 5000, 6000) : join_in(g, 5000, &f.host_port);
		struct packet rst = guest_packet(PACKET_RST, 5000, f.host_port, 0);

		for (bool reads = false;
		     f.host_received < TOTAL || f.received < TOTAL;) {
			bool sent = f.sent < TOTAL && flow_send(g, &f, 32768, 2);

			host_write_some(fd, &f, TOTAL);
			flow_receive(g, &f);
			reads |= !sent;
			if (reads)
				host_read_some(fd, &f);
		}
		rst.op = PACKET_SHUTDOWN;
		rst.flags = PACKET_SHUT_SEND;
		guest_send(g, &rst, NULL);
		host_expect_eof(fd);
		rst.op = PACKET_RST;
		guest_send(g, &rst, NULL);
		close(fd);
	}
}

static void use_messages(struct guest *g)
{
	struct packet packet;
	char path[100], got[4096];
	int fd;

	snprintf(path, sizeof(path), "%s.seqpacket", g->uds);
	fd = connect_type(path, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	host_send(fd, "CONNECT 7000\n");
	/* What the streams that have ended were told last may come before it. */
	do
		guest_receive(g, &packet, NULL);
	while (packet.op == PACKET_CREDIT_UPDATE && packet.dst_port == 5000);
	assert_int_equal(packet.op, PACKET_REQUEST);
	packet = guest_packet(PACKET_RESPONSE, 7000, packet.src_port, 0);
	packet.type = PACKET_SEQPACKET;
	guest_send(g, &packet, NULL);
	wait_fd(fd, POLLIN);
	assert_true(recv(fd, got, sizeof(got), 0) > 3);
	packet.op = PACKET_RW;
	packet.len = 5;
	packet.flags = PACKET_EOM;
	guest_send(g, &packet, "hello");
	host_expect(fd, "hello");
	host_send(fd, "world");
	do
		guest_receive(g, &packet, got);
	while (packet.op != PACKET_RW);
	assert_memory_equal(got, "world", 5);
	packet = guest_packet(PACKET_RST, 7000, packet.src_port, 0);
	packet.type = PACKET_SEQPACKET;
	guest_send(g, &packet, NULL);
	host_expect_eof(fd);
	close(fd);
}

static void it_serves_and_has_successors(void **state)
{
	struct region region = {.rings = 2, .num = TX_NUM};
	struct manager m;
	struct guest *g;
	int fd;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* it makes system calls of its own */
#endif
	alarm(PATIENCE * 3 / 1000);
	g = service_new(&m);
	g->features |= 1 << 1; /* SEQPACKET */
	manager_start(g, &m, THIS_ONE);
	manager_wait(&m);
	guest_connect(g);
	fd = get_region(g, &region, sizeof(region));
	assert_int_equal(set_region(g, &region, fd), 0);
	guest_start(g);
	for (int i = 0; i < 4; i++) {
		uint32_t port;
		int lost;

		use_streams(g);
		use_messages(g);
		assert_int_equal(control_stat(g, "restarts"), i);
		/* What a machine does that gets more memory. */
		guest_share_memory(g);
		lost = join_in(g, 5000, &port);
		manager_end(g, i % 2 ? SIGTERM : SIGKILL);
		manager_hear(&m);
		manager_start(g, &m, THIS_ONE);
		host_expect_closed(lost);
		close(lost);
		guest_expect(g, PACKET_RST, 5000, port);
		manager_wait(&m);
	}
	expect_service(g);
	assert_false(log_has(g, "warning"));
	assert_false(log_has(g, "error"));
	manager_end(g, SIGTERM);
	close(fd);
	service_free(g, &m);
}

/* As if the unit did not have it. */
static void a_call_that_is_missing_is_noticed(void **state)
{
	static const char *const missing[] = {"epoll_create1", "prlimit64", "seccomp",
					      "getrandom"};

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	alarm(PATIENCE * 3 / 1000);
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		struct manager m;
		struct guest *g = service_new(&m);
		int status;

		one_less = missing[i];
		manager_start(g, &m, THIS_ONE);
		assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
		g->pid = 0;
		one_less = NULL;
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		manager_hear(&m);
		assert_false(m.ready);
		service_free(g, &m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_serves_and_has_successors),
		cmocka_unit_test(a_call_that_is_missing_is_noticed),
	};

	return cmocka_run_group_tests_name("service", tests, read_unit, NULL);
}
