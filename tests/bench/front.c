/* SPDX-License-Identifier: Apache-2.0 */
#include "front.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "front_wire.h"

#define GUEST_BASE 0x100000ULL /* of the guest's memory, in its own eyes */

enum {
	CONNECT_TRIES = 1000,
	CONNECT_PAUSE_NS = 10 * 1000 * 1000,
	CONFIG_SIZE = 8,
	CONFIG_WRITABLE = 1,
};

static struct wire wire_of(const struct front *front)
{
	/* Cloud Hypervisor wants every message acknowledged; QEMU the memory only. */
	return (struct wire){.fd = front->fd,
			     .reply_ack = front->protocol & PROTOCOL_REPLY_ACK,
			     .need_reply =
				     front->sequence == SEQUENCE_CLOUD_HYPERVISOR};
}

static uint32_t get_config(const struct wire *wire, uint32_t offset, uint32_t size,
			   uint32_t flags, void *to)
{
	struct {
		uint32_t offset, size, flags;
		uint8_t bytes[CONFIG_SIZE];
	} config = {offset, size, flags, {0}};

	wire_ask(wire, GET_CONFIG, &config, 12 + size, &config, 12 + size, NULL);
	memcpy(to, config.bytes, size);
	return size;
}

static void ask_qemu(struct front *front)
{
	struct wire wire = wire_of(front);
	uint64_t cid = 0;

	front->offered = wire_ask_u64(&wire, GET_FEATURES);
	front->protocol = wire_ask_u64(&wire, GET_PROTOCOL_FEATURES) &
			  (PROTOCOL_MQ | PROTOCOL_LOG_SHMFD | PROTOCOL_REPLY_ACK |
			   PROTOCOL_CONFIG | PROTOCOL_INFLIGHT_SHMFD |
			   PROTOCOL_RESET_DEVICE | PROTOCOL_CONFIGURE_MEM_SLOTS);
	wire_send_u64(&wire, SET_PROTOCOL_FEATURES, front->protocol, -1);
	if (front->protocol & PROTOCOL_MQ)
		wire_ask_u64(&wire, GET_QUEUE_NUM);
	if (front->protocol & PROTOCOL_CONFIGURE_MEM_SLOTS)
		wire_ask_u64(&wire, GET_MAX_MEM_SLOTS);
	wire_send(&wire, SET_OWNER, NULL, 0, -1);
	wire_ask_u64(&wire, GET_FEATURES);
	for (unsigned int i = 0; i < front->rings; i++)
		wire_send_u64(&wire, SET_VRING_CALL, i, front->ring[i].call);
	get_config(&wire, 0, CONFIG_SIZE, 0, &cid);
	front->guest_cid = le64toh(cid);
}

static void ask_cloud_hypervisor(struct front *front)
{
	struct wire wire = wire_of(front);
	uint32_t cid[2];

	wire_send(&wire, SET_OWNER, NULL, 0, -1);
	front->offered = wire_ask_u64(&wire, GET_FEATURES);
	front->protocol = wire_ask_u64(&wire, GET_PROTOCOL_FEATURES) &
			  (PROTOCOL_CONFIG | PROTOCOL_MQ | PROTOCOL_REPLY_ACK |
			   PROTOCOL_CONFIGURE_MEM_SLOTS | PROTOCOL_INFLIGHT_SHMFD |
			   PROTOCOL_LOG_SHMFD);
	wire_send_u64(&wire, SET_PROTOCOL_FEATURES, front->protocol, -1);
	wire = wire_of(front);
	if (front->protocol & PROTOCOL_MQ &&
	    wire_ask_u64(&wire, GET_QUEUE_NUM) < front->rings)
		die("the back-end has too few rings for Cloud Hypervisor");
	/* The guest reads the configuration in halves. */
	get_config(&wire, 0, 4, 0, &cid[0]);
	get_config(&wire, 4, 4, 0, &cid[1]);
	front->guest_cid = le32toh(cid[0]) | (uint64_t)le32toh(cid[1]) << 32;
}

static void ask_crosvm(struct front *front)
{
	struct wire wire = wire_of(front);
	uint32_t cid[2];

	wire_send(&wire, SET_OWNER, NULL, 0, -1);
	front->offered = wire_ask_u64(&wire, GET_FEATURES);
	front->protocol = wire_ask_u64(&wire, GET_PROTOCOL_FEATURES) &
			  (PROTOCOL_CONFIG | PROTOCOL_MQ | PROTOCOL_REPLY_ACK);
	wire_send_u64(&wire, SET_PROTOCOL_FEATURES, front->protocol, -1);
	if (front->protocol & PROTOCOL_MQ &&
	    wire_ask_u64(&wire, GET_QUEUE_NUM) < front->rings)
		die("the back-end has too few rings for crosvm");
	get_config(&wire, 0, 4, CONFIG_WRITABLE, &cid[0]);
	get_config(&wire, 4, 4, CONFIG_WRITABLE, &cid[1]);
	front->guest_cid = le32toh(cid[0]) | (uint64_t)le32toh(cid[1]) << 32;
}

static void (*const ask[])(struct front *) = {
	[SEQUENCE_QEMU] = ask_qemu,
	[SEQUENCE_CLOUD_HYPERVISOR] = ask_cloud_hypervisor,
	[SEQUENCE_CROSVM] = ask_crosvm,
};

static int connect_patiently(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timespec pause = {0, CONNECT_PAUSE_NS};

	if (strlen(path) >= sizeof(addr.sun_path))
		die("%s is too long for a socket's path", path);
	strcpy(addr.sun_path, path);
	for (int i = 0; i < CONNECT_TRIES; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return fd;
		close(fd);
		nanosleep(&pause, NULL);
	}
	die_errno("cannot connect to %s", path);
}

static void make_memory(struct front *front, uint64_t size)
{
	front->memory_size = size;
	front->memory_used = 0;
	front->memfd = memfd_create("vsock-ring-guest", MFD_CLOEXEC);
	if (front->memfd < 0 || ftruncate(front->memfd, (off_t)size) < 0)
		die_errno("cannot make %llu bytes of memory for the guest",
			  (unsigned long long)size);
	front->memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_POPULATE, front->memfd, 0);
	if (front->memory == MAP_FAILED)
		die_errno("cannot map the guest's memory");
}

void front_connect(struct front *front, const char *path, uint64_t memory_size)
{
	struct ucred cred = {.pid = 0};
	socklen_t len = sizeof(cred);

	make_memory(front, memory_size);
	front->rings = front->sequence == SEQUENCE_QEMU ? RING_EVENT : RINGS;
	for (unsigned int i = 0; i < RINGS; i++) {
		front->ring[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		/* One for all rings: the driver waits for any of them in one read. */
		front->ring[i].call =
			i ? dup(front->ring[0].call) : eventfd(0, EFD_CLOEXEC);
		if (front->ring[i].kick < 0 || front->ring[i].call < 0)
			die_errno("cannot make an eventfd");
	}
	front->fd = connect_patiently(path);
	getsockopt(front->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	front->peer = cred.pid;
	ask[front->sequence](front);
	if (!(front->protocol & PROTOCOL_CONFIG))
		die("the back-end does not offer its configuration, as monitors want");
}

void *front_alloc(struct front *front, uint64_t size, uint64_t *addr)
{
	uint64_t at = (front->memory_used + 63) & ~63ULL;

	if (at + size > front->memory_size)
		die("the guest's memory is too small");
	front->memory_used = at + size;
	*addr = GUEST_BASE + at;
	return front->memory + at;
}

void front_make_ring(struct front *front, unsigned int index)
{
	struct ring *ring = &front->ring[index];
	uint32_t size[3];

	ring_sizes(ring, size);
	for (int i = 0; i < 3; i++)
		ring->at[i] = front_alloc(front, size[i], &ring->addr[i]);
	if (ring->indirect)
		ring->indirect_at =
			front_alloc(front, (uint64_t)ring->num * RING_PARTS_MAX * 16,
				    &ring->indirect_addr);
	ring->added_wrap = ring->taken_wrap = true;
	if (ring->packed) {
		ring->lengths = calloc(ring->num, sizeof(*ring->lengths));
		if (!ring->lengths)
			die("out of memory");
	}
}

static struct memory_region region_of(const struct front *front)
{
	return (struct memory_region){.guest = GUEST_BASE,
				      .size = front->memory_size,
				      .user = (uintptr_t)front->memory};
}

static void set_mem_table(const struct front *front, const struct wire *wire)
{
	struct {
		uint32_t count, padding;
		struct memory_region region;
	} table = {.count = 1, .region = region_of(front)};

	if (front->sequence == SEQUENCE_QEMU)
		wire_send_acked(wire, SET_MEM_TABLE, &table, sizeof(table),
				front->memfd);
	else
		wire_send(wire, SET_MEM_TABLE, &table, sizeof(table), front->memfd);
}

static void add_mem_region(const struct front *front, const struct wire *wire)
{
	struct {
		uint64_t padding;
		struct memory_region region;
	} add = {.region = region_of(front)};

	wire_send_acked(wire, ADD_MEM_REG, &add, sizeof(add), front->memfd);
}

static void set_vring_addr(const struct front *front, const struct wire *wire,
			   unsigned int index)
{
	const struct ring *ring = &front->ring[index];
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = {.index = index,
		  .desc = (uintptr_t)ring->at[0],
		  .avail = (uintptr_t)ring->at[1],
		  .used = (uintptr_t)ring->at[2]};

	wire_send(wire, SET_VRING_ADDR, &addr, sizeof(addr), -1);
}

static uint32_t first_base(const struct ring *ring)
{
	/* Two 15-bit places and their wrap counters, which begin with 1. */
	return ring->packed ? 0x80008000U : 0;
}

static void start_qemu(struct front *front, const struct wire *wire)
{
	for (unsigned int i = 0; i < front->rings; i++)
		wire_send_u64(wire, SET_VRING_CALL, i, front->ring[i].call);
	wire_send_u64(wire, SET_FEATURES, front->features, -1);
	if (front->protocol & PROTOCOL_CONFIGURE_MEM_SLOTS)
		add_mem_region(front, wire);
	else
		set_mem_table(front, wire);
	for (unsigned int i = 0; i < front->rings; i++) {
		wire_send_state(wire, SET_VRING_NUM, i, front->ring[i].num);
		wire_send_state(wire, SET_VRING_BASE, i, first_base(&front->ring[i]));
		set_vring_addr(front, wire, i);
		wire_send_u64(wire, SET_VRING_KICK, i, front->ring[i].kick);
	}
	for (unsigned int i = 0; i < front->rings; i++)
		wire_send_state(wire, SET_VRING_ENABLE, i, 1);
	for (unsigned int i = 0; i < front->rings; i++)
		wire_send_u64(wire, SET_VRING_CALL, i, front->ring[i].call);
}

static void exchange_inflight(const struct front *front, const struct wire *wire)
{
	struct inflight inflight = {.queues = (uint16_t)front->rings,
				    .queue_size = (uint16_t)front->ring[0].num};
	int fd = -1;

	wire_ask(wire, GET_INFLIGHT_FD, &inflight, sizeof(inflight), &inflight,
		 sizeof(inflight), &fd);
	if (fd < 0)
		die("GET_INFLIGHT_FD was answered without a descriptor");
	wire_send(wire, SET_INFLIGHT_FD, &inflight, sizeof(inflight), fd);
	close(fd);
}

static void start_cloud_hypervisor(struct front *front, const struct wire *wire)
{
	wire_send_u64(wire, SET_FEATURES, front->features, -1);
	set_mem_table(front, wire);
	for (unsigned int i = 0; i < front->rings; i++)
		wire_send_state(wire, SET_VRING_NUM, i, front->ring[i].num);
	if (front->protocol & PROTOCOL_INFLIGHT_SHMFD)
		exchange_inflight(front, wire);
	for (unsigned int i = 0; i < front->rings; i++) {
		set_vring_addr(front, wire, i);
		wire_send_state(wire, SET_VRING_BASE, i, first_base(&front->ring[i]));
		wire_send_u64(wire, SET_VRING_CALL, i, front->ring[i].call);
		wire_send_u64(wire, SET_VRING_KICK, i, front->ring[i].kick);
	}
	for (unsigned int i = 0; i < front->rings; i++)
		wire_send_state(wire, SET_VRING_ENABLE, i, 1);
}

static void start_crosvm(struct front *front, const struct wire *wire)
{
	/* The guest accepts the two halves of the features one after the other. */
	wire_send_u64(wire, SET_FEATURES, front->features & UINT32_MAX, -1);
	wire_send_u64(wire, SET_FEATURES, front->features, -1);
	set_mem_table(front, wire);
	for (unsigned int i = 0; i < front->rings; i++) {
		wire_send_state(wire, SET_VRING_NUM, i, front->ring[i].num);
		set_vring_addr(front, wire, i);
		wire_send_state(wire, SET_VRING_BASE, i, first_base(&front->ring[i]));
		wire_send_u64(wire, SET_VRING_CALL, i, front->ring[i].call);
		wire_send_u64(wire, SET_VRING_KICK, i, front->ring[i].kick);
		wire_send_state(wire, SET_VRING_ENABLE, i, 1);
	}
}

static void (*const start[])(struct front *, const struct wire *) = {
	[SEQUENCE_QEMU] = start_qemu,
	[SEQUENCE_CLOUD_HYPERVISOR] = start_cloud_hypervisor,
	[SEQUENCE_CROSVM] = start_crosvm,
};

void front_start(struct front *front)
{
	struct wire wire = wire_of(front);

	start[front->sequence](front, &wire);
}

static void stop_ring(const struct wire *wire, unsigned int index)
{
	uint32_t state[2] = {index, 0};

	wire_ask(wire, GET_VRING_BASE, state, sizeof(state), state, sizeof(state),
		 NULL);
	if (state[0] != index)
		die("GET_VRING_BASE of ring %u was answered for ring %u", index,
		    state[0]);
}

void front_stop(struct front *front)
{
	struct wire wire = wire_of(front);

	if (front->sequence == SEQUENCE_QEMU) {
		for (unsigned int i = 0; i < front->rings; i++)
			wire_send_state(&wire, SET_VRING_ENABLE, i, 0);
		for (unsigned int i = 0; i < front->rings; i++)
			stop_ring(&wire, i);
		return;
	}
	for (unsigned int i = 0; i < front->rings; i++) {
		wire_send_state(&wire, SET_VRING_ENABLE, i, 0);
		stop_ring(&wire, i);
	}
}

void front_disconnect(struct front *front)
{
	close(front->fd);
	for (unsigned int i = 0; i < RINGS; i++) {
		close(front->ring[i].kick);
		close(front->ring[i].call);
		free(front->ring[i].lengths);
	}
	munmap(front->memory, front->memory_size);
	close(front->memfd);
}
