/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU and a guest's vsock driver, played over a memfd: a vsockd of one's own in
 * a child process, reached through its two sockets as everybody reaches it.
 */
#ifndef FAKE_GUEST_H
#define FAKE_GUEST_H

#include "unit.h"

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

struct fake_ring {
	unsigned int num;
	struct vring_desc *desc;
	uint16_t *avail, *used;
	uint16_t next, seen_used;
	int kick, call, err;
};

struct guest {
	char dir[64], vhost_user[80], uds[80], log[80];
	pid_t pid;
	int front; /* vhost-user connection */
	int memfd;
	uint8_t *mem;
	struct fake_ring ring[2];
	/* Set before guest_start(). */
	uint64_t features;
	unsigned int rx_parts; /* descriptors of each receive buffer */
	unsigned int rx_size;  /* bytes of each */
	unsigned int rx_slots; /* how many there are: at most RX_NUM / rx_parts */
	bool use_indirect;
};

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

static inline int connect_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A listener where the guest's connections to port come out. */
static inline int listen_port(struct guest *g, unsigned int port)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", g->uds, port);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int accept_port(int listener)
{
	wait_fd(listener, POLLIN);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static inline unsigned int open_files(pid_t pid)
{
	char path[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* A daemon, and no front-end yet. */
static inline struct guest *guest_new(void)
{
	struct guest *g = calloc(1, sizeof(*g));
	int out;

	strcpy(g->dir, "/tmp/vsockd-test-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->vhost_user, sizeof(g->vhost_user), "%s/vu", g->dir);
	snprintf(g->uds, sizeof(g->uds), "%s/v", g->dir);
	snprintf(g->log, sizeof(g->log), "%s/log", g->dir);
	g->front = -1;
	g->features = VHOST_USER_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES |
		      VRING_F_EVENT_IDX | VRING_F_INDIRECT_DESC;
	g->rx_parts = 1;
	g->rx_size = 3776;
	g->rx_slots = 64;
	for (int i = 0; i < 2; i++)
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
		struct vsockd_options options = {
			.cid = GUEST_CID, .vhost_user = g->vhost_user, .uds = g->uds};
		struct error err = {.text = ""};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, STDERR_FILENO);
		log_init("test", true);
		exit(vsockd_run(&options, &err) < 0 ? 1 : 0);
	}
	close(out);
	wait_until(access(g->vhost_user, F_OK) == 0 && log_has(g, "ready"));
	return g;
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

static inline void fake_ring_clear(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];

	r->num = index ? TX_NUM : RX_NUM;
	r->desc = guest_ptr(g, RING_AT(index));
	r->avail = guest_ptr(g, RING_AT(index) + 0x4000);
	r->used = guest_ptr(g, RING_AT(index) + 0x8000);
	r->next = 0;
	r->seen_used = 0;
	memset(r->desc, 0, 0x10000);
}

/* Sets one ring up and starts it where base says. */
static inline void guest_start_ring(struct guest *g, unsigned int index, uint16_t base)
{
	struct fake_ring *r = &g->ring[index];
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = {.index = index,
		  .desc = USER_A + RING_AT(index) - REGION_A,
		  .avail = USER_A + RING_AT(index) + 0x4000 - REGION_A,
		  .used = USER_A + RING_AT(index) + 0x8000 - REGION_A};

	if (r->kick < 0) {
		r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	front_ok_fd(g, VHOST_USER_SET_VRING_CALL, index, r->call);
	front_ok_fd(g, VHOST_USER_SET_VRING_ERR, index, r->err);
	front_ok_state(g, VHOST_USER_SET_VRING_NUM, index, r->num);
	front_ok_state(g, VHOST_USER_SET_VRING_BASE, index, base);
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
		0);
	front_ok_fd(g, VHOST_USER_SET_VRING_KICK, index, r->kick);
	front_ok_state(g, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static inline uint16_t guest_stop_ring(struct guest *g, unsigned int index)
{
	uint32_t state[2] = {index, 0};

	front_ok_state(g, VHOST_USER_SET_VRING_ENABLE, index, 0);
	front_message(g, VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, state,
		      sizeof(state), NULL, 0);
	front_reply(g, VHOST_USER_GET_VRING_BASE, state, sizeof(state));
	return state[1];
}

static inline void fake_kick(struct fake_ring *r)
{
	assert_int_equal(write(r->kick, &(uint64_t){1}, 8), 8);
}

/* Puts what begins at descriptor head into the ring; seen with fake_publish(). */
static inline void fake_put(struct guest *g, unsigned int index, uint16_t head)
{
	struct fake_ring *r = &g->ring[index];

	r->avail[2 + r->next % r->num] = head;
	r->next++;
}

/* Makes available what was put since; kicks if the device wants it. */
static inline void fake_publish(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];
	uint16_t old = r->avail[1], event;

	__atomic_store_n(&r->avail[1], r->next, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(g->features & VRING_F_EVENT_IDX)) {
		if (!(__atomic_load_n(&r->used[0], __ATOMIC_RELAXED) & 1))
			fake_kick(r);
		return;
	}
	event = __atomic_load_n(&r->used[2 + 4 * r->num], __ATOMIC_RELAXED);
	if ((uint16_t)(r->next - event - 1) < (uint16_t)(r->next - old))
		fake_kick(r);
}

static inline void fake_offer(struct guest *g, unsigned int index, uint16_t head)
{
	fake_put(g, index, head);
	fake_publish(g, index);
}

/* The next used element, if there is one: true, and its id and length. */
static inline bool fake_reap(struct guest *g, unsigned int index, uint32_t *id,
			     uint32_t *len)
{
	struct fake_ring *r = &g->ring[index];
	struct vring_used_elem *elem =
		(struct vring_used_elem *)(r->used + 2) + r->seen_used % r->num;

	if (__atomic_load_n(&r->used[1], __ATOMIC_ACQUIRE) == r->seen_used)
		return false;
	*id = elem->id;
	*len = elem->len;
	r->seen_used++;
	return true;
}

/* Sleeps until the device signals; to be called after fake_reap() found nothing. */
static inline void fake_wait(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];
	uint64_t count;

	r->avail[2 + r->num] = r->seen_used; /* used_event */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&r->used[1], __ATOMIC_ACQUIRE) != r->seen_used)
		return;
	wait_fd(r->call, POLLIN);
	assert_int_equal(read(r->call, &count, 8), 8);
}

/* Puts the receive buffer of a slot: rx_parts descriptors, the first ones small. */
static inline void guest_put_rx(struct guest *g, unsigned int slot)
{
	struct vring_desc *desc = g->ring[0].desc + (size_t)slot * g->rx_parts;
	uint64_t at = RX_AT + (uint64_t)slot * RX_STRIDE;
	uint32_t left = g->rx_size;

	for (unsigned int i = 0; i < g->rx_parts; i++) {
		bool last = i + 1 == g->rx_parts;
		uint32_t len = last ? left : 20 + i;

		desc[i] = (struct vring_desc){
			.addr = at,
			.len = len,
			.flags = VRING_DESC_WRITE | (last ? 0 : VRING_DESC_NEXT),
			.next = slot * g->rx_parts + i + 1,
		};
		at += len;
		left -= len;
	}
	fake_put(g, 0, slot * g->rx_parts);
}

static inline void guest_offer_rx(struct guest *g, unsigned int slot)
{
	guest_put_rx(g, slot);
	fake_publish(g, 0);
}

/* The guest's driver comes up: both rings from 0, receive buffers offered. */
static inline void guest_start(struct guest *g)
{
	if (g->front < 0)
		guest_connect(g);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
	guest_share_memory(g);
	for (unsigned int i = 0; i < 2; i++) {
		fake_ring_clear(g, i);
		guest_start_ring(g, i, 0);
	}
	for (unsigned int i = 0; i < g->rx_slots; i++)
		guest_offer_rx(g, i);
}

static inline void guest_free(struct guest *g)
{
	int status;

	if (g->front >= 0)
		close(g->front);
	kill(g->pid, SIGTERM);
	assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		char command[128];

		snprintf(command, sizeof(command), "tail -n 60 %s >&2", g->log);
		if (system(command))
			status = -1;
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* It removes both sockets at the end. */
	assert_int_not_equal(access(g->vhost_user, F_OK), 0);
	assert_int_not_equal(access(g->uds, F_OK), 0);
	for (int i = 0; i < 2; i++) {
		close(g->ring[i].kick);
		close(g->ring[i].call);
		close(g->ring[i].err);
	}
	munmap(g->mem, 2 * REGION_SIZE);
	close(g->memfd);
	{
		char command[128];

		snprintf(command, sizeof(command), "rm -rf %s", g->dir);
		assert_int_equal(system(command), 0);
	}
	free(g);
}

/* A packet from the guest's port to the host's. */
static inline struct packet guest_packet(enum packet_op op, uint32_t guest_port,
					 uint32_t host_port, uint32_t len)
{
	return (struct packet){
		.src_cid = GUEST_CID,
		.dst_cid = PACKET_HOST_CID,
		.src_port = guest_port,
		.dst_port = host_port,
		.len = len,
		.type = PACKET_STREAM,
		.op = op,
		.buf_alloc = GUEST_BUFALLOC,
	};
}

/* Puts bytes into a slot and offers them as a chain of that many descriptors. */
static inline void guest_offer_tx(struct guest *g, unsigned int slot,
				  const uint8_t *head, const void *payload,
				  uint32_t len, unsigned int parts)
{
	uint64_t at = TX_AT + (uint64_t)slot * TX_STRIDE,
		 table = INDIRECT_AT + (uint64_t)slot * 256;
	uint32_t total = PACKET_HEADER_SIZE + len, part = total / parts;
	struct vring_desc *desc = g->use_indirect ? guest_ptr(g, table)
						  : g->ring[1].desc + slot * TX_DESCS;
	uint16_t first = g->use_indirect ? 0 : slot * TX_DESCS;

	guest_copy_in(g, at, head, PACKET_HEADER_SIZE);
	guest_copy_in(g, at + PACKET_HEADER_SIZE, payload, len);
	for (unsigned int i = 0; i < parts; i++) {
		bool last = i + 1 == parts;

		desc[i] = (struct vring_desc){
			.addr = at,
			.len = last ? total : part,
			.flags = last ? 0 : VRING_DESC_NEXT,
			.next = first + i + 1,
		};
		at += part;
		total -= part;
	}
	if (g->use_indirect)
		g->ring[1].desc[slot * TX_DESCS] = (struct vring_desc){
			.addr = table, .len = parts * 16, .flags = VRING_DESC_INDIRECT};
	fake_offer(g, 1, slot * TX_DESCS);
}

/* Sends a packet in that many descriptors and waits until it was taken. */
static inline void guest_send_parts(struct guest *g, const struct packet *packet,
				    const void *payload, unsigned int parts)
{
	uint8_t head[PACKET_HEADER_SIZE];
	uint32_t id, len;

	packet_encode(packet, head);
	guest_offer_tx(g, g->ring[1].next % TX_SLOTS, head, payload, packet->len,
		       parts);
	while (!fake_reap(g, 1, &id, &len))
		fake_wait(g, 1);
	assert_int_equal(len, 0);
}

static inline void guest_send(struct guest *g, const struct packet *packet,
			      const void *payload)
{
	guest_send_parts(g, packet, payload, packet->len ? 2 : 1);
}

/* A packet that has come for the guest: false if there is none. 4096 bytes fit. */
static inline bool guest_try_receive(struct guest *g, struct packet *packet,
				     void *payload)
{
	uint8_t bytes[RX_STRIDE];
	uint32_t id, len;

	if (!fake_reap(g, 0, &id, &len))
		return false;
	assert_true(len >= PACKET_HEADER_SIZE && len <= g->rx_size);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = *(uint8_t *)guest_ptr(
			g, RX_AT + (uint64_t)(id / g->rx_parts) * RX_STRIDE + i);
	packet_decode(packet, bytes);
	assert_int_equal(packet->len, len - PACKET_HEADER_SIZE);
	assert_int_equal(packet->src_cid, PACKET_HOST_CID);
	assert_int_equal(packet->dst_cid, GUEST_CID);
	if (packet->len && payload)
		memcpy(payload, bytes + PACKET_HEADER_SIZE, packet->len);
	guest_offer_rx(g, id / g->rx_parts);
	return true;
}

static inline void guest_receive(struct guest *g, struct packet *packet, void *payload)
{
	while (!guest_try_receive(g, packet, payload))
		fake_wait(g, 0);
}

/* The next packet must be this operation on this pair of ports. */
static inline struct packet guest_expect(struct guest *g, enum packet_op op,
					 uint32_t guest_port, uint32_t host_port)
{
	static uint8_t ignored[RX_STRIDE];
	struct packet packet;

	guest_receive(g, &packet, ignored);
	assert_string_equal(packet_op_name(packet.op), packet_op_name(op));
	assert_int_equal(packet.dst_port, guest_port);
	assert_int_equal(packet.src_port, host_port);
	return packet;
}

/*
 * Shows that nothing is on its way to the guest: what an own question brings is
 * the very next thing to come.
 */
static inline void guest_expect_nothing(struct guest *g)
{
	struct packet probe = guest_packet(PACKET_CREDIT_REQUEST, 1, 0xfffffff0, 0);

	guest_send(g, &probe, NULL);
	guest_expect(g, PACKET_RST, 1, 0xfffffff0);
}

static inline void host_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next bytes at the host program must be these. */
static inline void host_expect(int fd, const char *text)
{
	char buf[4096];
	size_t have = 0, want = strlen(text);

	while (have < want) {
		ssize_t n;

		wait_fd(fd, POLLIN);
		n = recv(fd, buf + have, want - have, 0);
		assert_true(n > 0);
		have += n;
	}
	assert_memory_equal(buf, text, want);
}

static inline void host_expect_eof(int fd)
{
	char byte;

	wait_fd(fd, POLLIN);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Closed, whether or not something that was sent went unread. */
static inline void host_expect_closed(int fd)
{
	char byte;

	wait_fd(fd, POLLIN);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static inline unsigned int host_read_ok(int fd)
{
	char line[HYBRID_LINE_MAX] = "";
	uint32_t port = 0;
	size_t have = 0;

	while (!have || line[have - 1] != '\n') {
		assert_true(have < sizeof(line));
		wait_fd(fd, POLLIN);
		assert_int_equal(recv(fd, line + have, 1, 0), 1);
		have++;
	}
	assert_int_equal(hybrid_parse_ok(line, have, &port), have);
	return port;
}

/* A host program connects to the guest's port, which accepts. */
static inline int join_in(struct guest *g, uint32_t guest_port, uint32_t *host_port)
{
	int fd = connect_unix(g->uds);
	struct packet packet, answer;
	char line[HYBRID_LINE_MAX + 1] = "";

	assert_true(fd >= 0);
	hybrid_format_connect(line, guest_port);
	host_send(fd, line);
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.dst_port, guest_port);
	answer = guest_packet(PACKET_RESPONSE, guest_port, packet.src_port, 0);
	guest_send(g, &answer, NULL);
	*host_port = packet.src_port;
	assert_int_equal(host_read_ok(fd), packet.src_port);
	return fd;
}

/* The guest ends a connection; nothing more comes of it. */
static inline void part(struct guest *g, int fd, uint32_t guest_port,
			uint32_t host_port)
{
	struct packet rst = guest_packet(PACKET_RST, guest_port, host_port, 0);

	guest_send(g, &rst, NULL);
	host_expect_eof(fd);
	close(fd);
}

/* The guest connects to a port of the host; returns what the host program has. */
static inline int join_out(struct guest *g, uint32_t guest_port, uint32_t host_port)
{
	struct packet request = guest_packet(PACKET_REQUEST, guest_port, host_port, 0);
	int listener = listen_port(g, host_port), fd;

	guest_send(g, &request, NULL);
	fd = accept_port(listener);
	close(listener);
	guest_expect(g, PACKET_RESPONSE, guest_port, host_port);
	return fd;
}

static inline int setup_guest(void **state)
{
	struct guest *g = guest_new();

	alarm(PATIENCE * 3 / 1000);
	guest_start(g);
	*state = g;
	return 0;
}

static inline int setup_daemon(void **state)
{
	alarm(PATIENCE * 3 / 1000);
	*state = guest_new();
	return 0;
}

static inline int teardown_guest(void **state)
{
	guest_free(*state);
	return 0;
}

#define test_guest(name) \
	cmocka_unit_test_setup_teardown(name, setup_guest, teardown_guest)
#define test_daemon(name) \
	cmocka_unit_test_setup_teardown(name, setup_daemon, teardown_guest)

#endif
