/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages, one by one (QEMU's docs/interop/vhost-user.rst).
 */
#ifndef BENCH_FRONT_WIRE_H
#define BENCH_FRONT_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum request {
	GET_FEATURES = 1,
	SET_FEATURES,
	SET_OWNER,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR,
	SET_VRING_BASE,
	GET_VRING_BASE,
	SET_VRING_KICK,
	SET_VRING_CALL,
	SET_VRING_ERR,
	GET_PROTOCOL_FEATURES,
	SET_PROTOCOL_FEATURES,
	GET_QUEUE_NUM,
	SET_VRING_ENABLE,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
	GET_INFLIGHT_FD = 31,
	SET_INFLIGHT_FD,
	GET_MAX_MEM_SLOTS = 36,
	ADD_MEM_REG,
};

#define PROTOCOL_MQ		     (1ULL << 0)
#define PROTOCOL_LOG_SHMFD	     (1ULL << 1)
#define PROTOCOL_REPLY_ACK	     (1ULL << 3)
#define PROTOCOL_BACKEND_REQ	     (1ULL << 5)
#define PROTOCOL_CONFIG		     (1ULL << 9)
#define PROTOCOL_INFLIGHT_SHMFD	     (1ULL << 12)
#define PROTOCOL_RESET_DEVICE	     (1ULL << 13)
#define PROTOCOL_CONFIGURE_MEM_SLOTS (1ULL << 15)

struct memory_region {
	uint64_t guest, size, user, offset;
};

struct inflight {
	uint64_t mmap_size, mmap_offset;
	uint16_t queues, queue_size;
	uint32_t padding;
};

/*
 * One vhost-user connection. need_reply is set on every message, as some monitors
 * do once REPLY_ACK is agreed on.
 */
struct wire {
	int fd;
	bool reply_ack, need_reply;
};

/* Sends; waits for the acknowledgement if there is to be one. fd: -1: none. */
void wire_send(const struct wire *wire, enum request request, const void *payload,
	       uint32_t size, int fd);
/* The same, with an acknowledgement when the back-end can give one. */
void wire_send_acked(const struct wire *wire, enum request request, const void *payload,
		     uint32_t size, int fd);
void wire_send_u64(const struct wire *wire, enum request request, uint64_t value,
		   int fd);
void wire_send_state(const struct wire *wire, enum request request, uint32_t index,
		     uint32_t num);

/* Sends and receives the answer into payload; a descriptor with it goes to *fd. */
void wire_ask(const struct wire *wire, enum request request, const void *payload,
	      uint32_t size, void *answer, uint32_t answer_size, int *fd);
uint64_t wire_ask_u64(const struct wire *wire, enum request request);

#endif
