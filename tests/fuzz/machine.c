/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../transport/incoming.h"
#include "accounts.h"

enum {
	GUEST_AT = 0x100000, /* the memory's address there */
	USER_AT = 0x700000,
	RING_SIZE = 0x4000,
	AVAIL_AT = 0x2000,
	USED_AT = 0x3000,
	RX_AT = 2 * RING_SIZE,
	TX_AT = RX_AT + MACHINE_RX_SLOTS * MACHINE_RX_MAX,
	TX_STRIDE = PACKET_HEADER_SIZE + MACHINE_PAYLOAD_MAX + 20,
	SIZE = TX_AT + MACHINE_TX_SLOTS * TX_STRIDE,
	TURNS_MAX = 100000,
	/* STREAM, SEQPACKET. */
	FEATURES = 3,
};

static char dir[64], uds[80];
static int door_fd[MACHINE_DOORS];
static uint8_t *memory;

static const struct {
	const char *name;
	int type, backlog;
} doors[MACHINE_DOORS] = {
	[MACHINE_DOOR_STREAM] = {"v_1", SOCK_STREAM, 64},
	[MACHINE_DOOR_SEQPACKET] = {"v_2", SOCK_SEQPACKET, 64},
	[MACHINE_DOOR_BUSY] = {"v_3", SOCK_STREAM, 0},
	[MACHINE_DOOR_PEER] = {"7", SOCK_STREAM, 64},
	[MACHINE_DOOR_PEER_SEQPACKET] = {"7.seqpacket", SOCK_SEQPACKET, 64},
};

static void remove_files(void)
{
	char path[128];

	for (int i = 0; i < MACHINE_DOORS; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, doors[i].name);
		unlink(path);
	}
	rmdir(dir);
}

/* Once for all inputs. */
static void make_doors(void)
{
	const char *top = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/machine-XXXXXX", top ? top : "/tmp");
	CHECK(mkdtemp(dir));
	atexit(remove_files);
	snprintf(uds, sizeof(uds), "%s/v", dir);
	for (int i = 0; i < MACHINE_DOORS; i++) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};
		int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir,
				 doors[i].name);

		CHECK(n > 0 && (size_t)n < sizeof(addr.sun_path));
		door_fd[i] = socket(AF_UNIX,
				    doors[i].type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		CHECK(bind(door_fd[i], (struct sockaddr *)&addr, sizeof(addr)) == 0);
		CHECK(listen(door_fd[i], doors[i].backlog) == 0);
	}
	memory = malloc(SIZE);
	CHECK(memory);
}

int machine_accept(enum machine_door door)
{
	int fd = accept4(door_fd[door], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	CHECK(fd >= 0 || errno == EAGAIN);
	return fd;
}

void machine_leave(enum machine_door door)
{
	for (int fd; (fd = machine_accept(door)) >= 0;)
		close(fd);
}

int machine_connect(struct machine *m, enum conn_origin origin, uint16_t type,
		    uint32_t port, int buffer)
{
	int kind = type == PACKET_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM, pair[2];

	CHECK(socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	for (int i = 0; buffer && i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	incoming_accept(&m->device, pair[0], origin, type, port);
	return pair[1];
}

static void start_ring(struct machine *m, enum device_ring index,
		       struct machine_ring *r)
{
	struct vring *ring = &m->device.front.ring[index];
	size_t at = (size_t)index * RING_SIZE;
	struct error err;

	*r = (struct machine_ring){.desc = (void *)(memory + at),
				   .avail = (void *)(memory + at + AVAIL_AT),
				   .used = (void *)(memory + at + USED_AT)};
	memset(memory + at, 0, RING_SIZE);
	ring->num = index == DEVICE_RX ? MACHINE_RX_SLOTS : MACHINE_TX_SLOTS;
	ring->desc_user = USER_AT + at;
	ring->avail_user = USER_AT + at + AVAIL_AT;
	ring->used_user = USER_AT + at + USED_AT;
	ring->base = 0;
	ring->has_base = true;
	ring->enabled = true;
	CHECK(vring_start(ring, &m->device.front.memory, m->device.front.features,
			  &err) == 0);
}

static void start_rings(struct machine *m)
{
	start_ring(m, DEVICE_RX, &m->rx);
	start_ring(m, DEVICE_TX, &m->tx);
	m->spares = MACHINE_RX_SLOTS;
	for (uint16_t i = 0; i < MACHINE_RX_SLOTS; i++)
		m->spare[i] = i;
	m->device.front.ops->changed(&m->device);
	CHECK(m->device.running && !m->device.broken);
}

static void stop_rings(struct machine *m)
{
	vring_stop(&m->device.front.ring[DEVICE_RX]);
	vring_stop(&m->device.front.ring[DEVICE_TX]);
	m->device.front.ops->changed(&m->device);
}

void machine_start(struct machine *m, const struct limits *limits)
{
	if (!memory)
		make_doors();
	memset(m, 0, sizeof(*m));
	CHECK(loop_init(&m->loop) == 0);
	m->routes = (struct routes){
		.guest_cid = MACHINE_CID,
		.uds = uds,
		.peers = dir,
	};
	memset(&m->device, 0, sizeof(m->device));
	CHECK(device_init(&m->device, &m->routes, (gid_t)-1, limits, &m->loop) == 0);
	m->device.front.features =
		VHOST_USER_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES | FEATURES;
	m->device.front.memory.region[0] = (struct memory_region){
		.guest = GUEST_AT, .size = SIZE, .user = USER_AT, .host = memory};
	m->device.front.memory.count = 1;
	start_rings(m);
}

void machine_free(struct machine *m)
{
	stop_rings(m);
	m->device.front.memory.count = 0;
	device_free(&m->device);
	loop_free(&m->loop);
	for (int i = 0; i < MACHINE_DOORS; i++)
		machine_leave(i);
}

void machine_restart(struct machine *m)
{
	stop_rings(m);
	/* Not where it was, so that this is no resumption. */
	m->device.suspended = false;
	start_rings(m);
}

void machine_pause(struct machine *m)
{
	struct vring *ring = m->device.front.ring;

	ring[DEVICE_RX].enabled = false;
	m->device.front.ops->changed(&m->device);
	machine_run(m);
	ring[DEVICE_RX].enabled = true;
	m->device.front.ops->changed(&m->device);
}

/* Makes a chain of one descriptor available; kicks if the device wants that. */
static void publish(struct machine *m, enum device_ring index, uint16_t head)
{
	struct machine_ring *r = index == DEVICE_RX ? &m->rx : &m->tx;
	uint16_t num = index == DEVICE_RX ? MACHINE_RX_SLOTS : MACHINE_TX_SLOTS;

	r->avail[2 + r->next % num] = head;
	r->avail[1] = ++r->next;
	if (!(r->used[0] & 1))
		device_on_kick(&m->device, index, EPOLLIN);
}

bool machine_send(struct machine *m, const struct packet *packet, const void *payload,
		  uint32_t len, uint32_t cut)
{
	struct machine_ring *r = &m->tx;
	uint16_t slot = r->next % MACHINE_TX_SLOTS;
	uint8_t *to = memory + TX_AT + (size_t)slot * TX_STRIDE;
	const struct vring_used_elem *elem =
		(struct vring_used_elem *)(r->used + 2) + slot;

	CHECK((uint16_t)(r->next - r->used[1]) <= MACHINE_TX_SLOTS);
	CHECK(len <= MACHINE_PAYLOAD_MAX && cut <= PACKET_HEADER_SIZE);
	if ((uint16_t)(r->next - r->used[1]) == MACHINE_TX_SLOTS)
		return false;
	/* Chains come back in the order in which they went. */
	if (r->next >= MACHINE_TX_SLOTS)
		CHECK(elem->id == slot && !elem->len);
	packet_encode(packet, to);
	if (len)
		memcpy(to + PACKET_HEADER_SIZE, payload, len);
	r->desc[slot] = (struct vring_desc){
		.addr = GUEST_AT + (uint64_t)(to - memory),
		.len = cut ? cut : PACKET_HEADER_SIZE + len,
	};
	publish(m, DEVICE_TX, slot);
	return true;
}

bool machine_is_idle(const struct machine *m)
{
	return m->tx.next == m->tx.used[1];
}

void machine_offer(struct machine *m, size_t count, uint32_t size)
{
	CHECK(size <= MACHINE_RX_MAX);
	while (count-- && m->spares) {
		uint16_t slot = m->spare[--m->spares];

		m->rx_size[slot] = size;
		m->rx.desc[slot] = (struct vring_desc){
			.addr = GUEST_AT + RX_AT + (uint64_t)slot * MACHINE_RX_MAX,
			.len = size,
			.flags = VRING_DESC_WRITE,
		};
		publish(m, DEVICE_RX, slot);
	}
}

bool machine_receive(struct machine *m, struct packet *packet, uint8_t *payload)
{
	struct machine_ring *r = &m->rx;
	struct vring_used_elem *elem =
		(struct vring_used_elem *)(r->used + 2) + r->seen % MACHINE_RX_SLOTS;
	const uint8_t *from;

	if (r->seen == r->used[1])
		return false;
	r->seen++;
	CHECK(elem->id < MACHINE_RX_SLOTS && m->spares < MACHINE_RX_SLOTS);
	CHECK(elem->len >= PACKET_HEADER_SIZE && elem->len <= m->rx_size[elem->id]);
	from = memory + RX_AT + (size_t)elem->id * MACHINE_RX_MAX;
	packet_decode(packet, from);
	CHECK(packet->len == elem->len - PACKET_HEADER_SIZE);
	memcpy(payload, from + PACKET_HEADER_SIZE, packet->len);
	m->spare[m->spares++] = (uint16_t)elem->id;
	return true;
}

void machine_run(struct machine *m)
{
	struct loop_event events[LOOP_EVENTS_MAX];
	bool more = true;
	int turns = 0, n;

	do {
		/* A daemon that never sleeps again has nothing to do it for. */
		CHECK(turns++ < TURNS_MAX);
		n = loop_wait(&m->loop, events, 0);
		CHECK(n >= 0);
		for (int i = 0; i < n; i++) {
			CHECK(events[i].type == LOOP_CONN);
			device_on_conn(&m->device, events[i].id, events[i].events);
		}
		more = device_run(&m->device) || device_arm(&m->device);
	} while (more || n);
	accounts_check(&m->device);
}

void machine_wait(struct machine *m, uint64_t ms)
{
	uint64_t end = m->device.now + ms;

	for (;;) {
		int left;

		machine_run(m);
		left = device_timeout(&m->device);
		if (left < 0 || m->device.now + (uint64_t)left >= end)
			break;
		m->device.now += left ? left : 1;
	}
	m->device.now = end;
	machine_run(m);
}
