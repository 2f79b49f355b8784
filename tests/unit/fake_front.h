/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vsockd of one's own in a child process, and QEMU's part toward it: the
 * vhost-user connection and a memfd for the guest's memory.
 */
#ifndef FAKE_FRONT_H
#define FAKE_FRONT_H

#include "unit.h"

enum {
	FRONT_PRIVILEGED_GROUP = 12345, /* of the daemon under test */
};

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../transport/log.h"
#include "../../transport/packet.h"
#include "../../transport/vhost_user.h"
#include "../../transport/vring.h"
#include "../../transport/vsockd.h"
#include "hybrid.h"
#include "proc_file.h"

#define PATIENCE 60000 /* ms; how long a test waits before it calls it a failure */

/*
 * Guest physical memory: two regions that follow each other there and nowhere
 * else, so that a buffer across their border is in two pieces.
 */
#define GUEST_CID      42
#define REGION_SIZE    (8ULL << 20)
#define REGION_A       0x100000ULL
#define REGION_B       (REGION_A + REGION_SIZE)
#define USER_A	       0x7f1200000000ULL
#define USER_B	       0x7f3400000000ULL
#define FILE_A	       REGION_SIZE /* offsets in the memfd */
#define FILE_B	       0
#define RING_AT(i)     (REGION_A + (i)*0x10000ULL)
#define RX_AT	       (REGION_A + (1ULL << 20))
#define RX_STRIDE      8192u
#define TX_AT	       (REGION_A + (6ULL << 20)) /* some slots lie across the border */
#define TX_STRIDE      (80u * 1024)
#define TX_SLOTS       32u
#define TX_DESCS       8u /* of each slot */
#define INDIRECT_AT    (REGION_A + (5ULL << 20))
#define RX_NUM	       128u
#define TX_NUM	       256u
#define GUEST_BUFALLOC (256u * 1024)

/* Of a packed ring; see fake_ring.h. */
struct fake_packed {
	struct vring_packed_desc *desc;
	struct vring_event *driver, *device;
	struct vring_place next, used;
	struct vring_place first; /* of the descriptors that are not published yet */
	uint16_t first_flags;
	unsigned int fresh;	/* their number */
	uint16_t descs[TX_NUM]; /* of each buffer */
};

struct fake_ring {
	struct fake_packed packed;
	unsigned int num;
	struct vring_desc *desc;
	uint16_t *avail, *used;
	uint16_t next, seen_used;
	int kick, call, err;
};

struct guest {
	char dir[64], vhost_user[80], uds[80], control[80], log[80];
	uint32_t cid;
	uint64_t from_cid; /* whom all packets must come from; 0: anybody */
	pid_t pid;
	int front; /* vhost-user connection */
	int memfd;
	uint8_t *mem;
	struct fake_ring ring[3]; /* the third is QEMU's own, and only on wish ours */
	/* Set before guest_start(). */
	uint64_t features;
	unsigned int rx_parts; /* descriptors of each receive buffer */
	unsigned int rx_size;  /* bytes of each */
	unsigned int rx_slots; /* how many there are: at most RX_NUM / rx_parts */
	bool use_indirect;
};

/* Whom the daemons that are started belong to; 0: to the test. */
static uid_t front_uid __attribute__((unused));

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

/* Waits for a condition; the time it takes decides nothing. */
#define wait_until(cond)                                  \
	do {                                              \
		uint64_t wait_end = now_ms() + PATIENCE;  \
		while (!(cond)) {                         \
			assert_true(now_ms() < wait_end); \
			usleep(1000);                     \
		}                                         \
	} while (0)

static inline void wait_fd(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, PATIENCE), 1);
}

static inline void *guest_ptr(struct guest *g, uint64_t gpa)
{
	if (gpa >= REGION_B)
		return g->mem + FILE_B + (gpa - REGION_B);
	return g->mem + FILE_A + (gpa - REGION_A);
}

static inline void guest_copy_in(struct guest *g, uint64_t gpa, const void *from,
				 size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(uint8_t *)guest_ptr(g, gpa + i) = ((const uint8_t *)from)[i];
}

/* Whether the daemon's log has the text. */
static inline bool log_has(struct guest *g, const char *text)
{
	static char buf[1 << 20];
	int fd = open(g->log, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	buf[n < 0 ? 0 : n] = 0;
	return strstr(buf, text);
}

static inline int connect_type(const char *path, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline int connect_unix(const char *path)
{
	return connect_type(path, SOCK_STREAM);
}

/* A listener where the guest's connections to port come out. */
static inline int listen_type(struct guest *g, unsigned int port, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", g->uds, port);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int listen_port(struct guest *g, unsigned int port)
{
	return listen_type(g, port, SOCK_STREAM);
}

static inline int accept_port(int listener)
{
	wait_fd(listener, POLLIN);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

/* What is run in place of the daemon's code in this very program, if it is set. */
static const char *front_program;

static inline void front_exec(const struct guest *g)
{
	char cid[16], group[16];

	snprintf(cid, sizeof(cid), "%u", g->cid);
	snprintf(group, sizeof(group), "%d", FRONT_PRIVILEGED_GROUP);
	execl(front_program, "vsockd", "--cid", cid, "--vhost-user", g->vhost_user,
	      "--uds", g->uds, "--privileged-group", group, "--verbose",
	      g->control[0] ? "--control" : NULL, g->control, NULL);
	_exit(127);
}

/* A daemon with these options and sockets of its own, and no front-end yet. */
static inline struct guest *guest_new_with(struct vsockd_options options)
{
	struct guest *g = calloc(1, sizeof(*g));
	int out;

	strcpy(g->dir, "/tmp/vsockd-test-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	assert_int_equal(front_uid ? chown(g->dir, front_uid, front_uid) : 0, 0);
	if (options.user.name)
		assert_int_equal(chown(g->dir, options.user.uid, options.user.gid), 0);
	snprintf(g->vhost_user, sizeof(g->vhost_user), "%s/vu", g->dir);
	snprintf(g->uds, sizeof(g->uds), "%s/v", g->dir);
	snprintf(g->control, sizeof(g->control), "%s/c", g->dir);
	snprintf(g->log, sizeof(g->log), "%s/log", g->dir);
	g->cid = options.cid ? options.cid : GUEST_CID;
	g->from_cid = PACKET_HOST_CID;
	g->front = -1;
	g->features = VHOST_USER_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES |
		      VRING_F_EVENT_IDX | VRING_F_INDIRECT_DESC;
#ifdef FAKE_PACKED
	g->features |= VRING_F_PACKED;
#endif
	g->rx_parts = 1;
	g->rx_size = 3776;
	g->rx_slots = 64;
	for (int i = 0; i < 3; i++)
		g->ring[i] = (struct fake_ring){.kick = -1, .call = -1, .err = -1};
	g->memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(g->memfd, 2 * REGION_SIZE), 0);
	g->mem = mmap(NULL, 2 * REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      g->memfd, 0);
	assert_true(g->mem != MAP_FAILED);

	out = open(g->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	fflush(NULL);
	g->pid = fork();
	if (g->pid == 0) {
		struct error err = {.text = ""};

		options.privileged_group = FRONT_PRIVILEGED_GROUP;
		options.cid = g->cid;
		if (!options.limits.max_connections)
			options.limits = (struct limits)LIMITS_DEFAULT;
		options.vhost_user = g->vhost_user;
		options.uds = g->uds;
		options.control = g->control;
		if (front_uid && (setresgid(front_uid, front_uid, front_uid) ||
				  setresuid(front_uid, front_uid, front_uid)))
			_exit(3);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, STDERR_FILENO);
		if (front_program)
			front_exec(g);
		if (getenv("VSOCKD_TEST_SANDBOX"))
			options.sandbox = SANDBOX_ON;
		log_init("test", true);
		exit(vsockd_run(&options, &err) < 0 ? 1 : 0);
	}
	close(out);
	wait_until(access(g->vhost_user, F_OK) == 0 && log_has(g, "ready"));
	return g;
}

static inline struct guest *guest_new_limited(const struct limits *limits)
{
	return guest_new_with((struct vsockd_options){.limits = *limits});
}

static inline struct guest *guest_new(void)
{
	return guest_new_with((struct vsockd_options){.cid = GUEST_CID});
}

static inline void front_send_fds(struct guest *g, const void *bytes, size_t len,
				  const int *fds, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 64)];
	struct iovec iov = {(void *)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	assert_int_equal(sendmsg(g->front, &msg, MSG_NOSIGNAL), len);
}

static inline void front_message(struct guest *g, uint32_t request, uint32_t flags,
				 const void *payload, uint32_t size, const int *fds,
				 size_t count)
{
	uint8_t bytes[VHOST_USER_HEADER_SIZE + 600];
	uint32_t header[3] = {request, flags, size};

	memcpy(bytes, header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	front_send_fds(g, bytes, sizeof(header) + size, fds, count);
}

/* Receives one reply; returns its payload size. */
static inline uint32_t front_reply(struct guest *g, uint32_t request, void *payload,
				   size_t max)
{
	uint32_t header[3];

	wait_fd(g->front, POLLIN);
	assert_int_equal(recv(g->front, header, sizeof(header), MSG_WAITALL),
			 sizeof(header));
	assert_int_equal(header[0], request);
	assert_int_equal(header[1], VHOST_USER_VERSION | VHOST_USER_REPLY);
	assert_true(header[2] <= max);
	if (header[2])
		assert_int_equal(recv(g->front, payload, header[2], MSG_WAITALL),
				 header[2]);
	return header[2];
}

/* A message that is to be acknowledged; returns the acknowledgement. */
static inline uint64_t front_ask(struct guest *g, uint32_t request, const void *payload,
				 uint32_t size, const int *fds, size_t count)
{
	uint64_t ack = ~0ULL;

	front_message(g, request, VHOST_USER_VERSION | VHOST_USER_NEED_REPLY, payload,
		      size, fds, count);
	assert_int_equal(front_reply(g, request, &ack, sizeof(ack)), sizeof(ack));
	return ack;
}

static inline uint64_t front_get_u64(struct guest *g, uint32_t request)
{
	uint64_t value = 0;

	front_message(g, request, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	assert_int_equal(front_reply(g, request, &value, sizeof(value)), sizeof(value));
	return value;
}

static inline void front_ok_u64(struct guest *g, uint32_t request, uint64_t value)
{
	assert_int_equal(front_ask(g, request, &value, sizeof(value), NULL, 0), 0);
}

static inline void front_ok_state(struct guest *g, uint32_t request, uint32_t index,
				  uint32_t num)
{
	uint32_t state[2] = {index, num};

	assert_int_equal(front_ask(g, request, state, sizeof(state), NULL, 0), 0);
}

static inline void front_ok_fd(struct guest *g, uint32_t request, uint64_t index,
			       int fd)
{
	assert_int_equal(front_ask(g, request, &index, sizeof(index), &fd, 1), 0);
}

/* Whether the daemon has closed the front-end's connection. */
static inline bool front_is_closed(struct guest *g)
{
	char byte;

	wait_fd(g->front, POLLIN);
	return recv(g->front, &byte, 1, 0) <= 0;
}

/* Connects as QEMU does, up to where the guest's driver comes in. */
static inline void guest_connect(struct guest *g)
{
	if (g->front >= 0)
		close(g->front);
	g->front = connect_unix(g->vhost_user);
	assert_true(g->front >= 0);
	front_get_u64(g, VHOST_USER_GET_FEATURES);
	front_message(g, VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_VERSION,
		      &(uint64_t){front_get_u64(g, VHOST_USER_GET_PROTOCOL_FEATURES)},
		      8, NULL, 0);
	front_message(g, VHOST_USER_SET_OWNER, VHOST_USER_VERSION, NULL, 0, NULL, 0);
}

static inline void guest_share_memory(struct guest *g)
{
	struct {
		uint32_t count, padding;
		struct memory_layout region[2];
	} table = {.count = 2,
		   .region = {{REGION_A, REGION_SIZE, USER_A, FILE_A},
			      {REGION_B, REGION_SIZE, USER_B, FILE_B}}};
	int fds[2] = {g->memfd, g->memfd};

	assert_int_equal(
		front_ask(g, VHOST_USER_SET_MEM_TABLE, &table, sizeof(table), fds, 2),
		0);
}

/* Waits until the daemon has ended; its exit status. */
static inline int daemon_wait(struct guest *g)
{
	int status;

	assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
	g->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void run_command(const char *command_to, const char *path)
{
	char command[160];

	snprintf(command, sizeof(command), "%s %s >&2", command_to, path);
	assert_int_equal(system(command), 0);
}

static inline void guest_free(struct guest *g)
{
	if (g->front >= 0)
		close(g->front);
	if (g->pid) {
		int status;

		kill(g->pid, SIGTERM);
		status = daemon_wait(g);
		if (status)
			run_command("tail -n 60", g->log);
		assert_int_equal(status, 0);
		/* It removes its sockets at the end. */
		assert_int_not_equal(access(g->vhost_user, F_OK), 0);
		assert_int_not_equal(access(g->uds, F_OK), 0);
		assert_int_not_equal(access(g->control, F_OK), 0);
	}
	for (int i = 0; i < 3; i++) {
		close(g->ring[i].kick);
		close(g->ring[i].call);
		close(g->ring[i].err);
	}
	munmap(g->mem, 2 * REGION_SIZE);
	close(g->memfd);
	run_command("rm -rf", g->dir);
	free(g);
}

/* One slot of the guest's memory, its first or its second: given or taken. */
static inline uint64_t front_slot(struct guest *g, uint32_t request, bool second,
				  uint64_t size, size_t fd_count)
{
	struct {
		uint64_t padding;
		struct memory_layout region;
	} reg = {.region = {REGION_A, size, USER_A, FILE_A}};
	int fds[2] = {g->memfd, g->memfd};

	if (second)
		reg.region = (struct memory_layout){REGION_B, size, USER_B, FILE_B};
	return front_ask(g, request, &reg, sizeof(reg), fds, fd_count);
}

/* What the environment says, for a test that can be longer or be repeated. */
static inline unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 10) : otherwise;
}

#endif
