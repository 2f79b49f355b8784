/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the next process has to know beside the descriptors that it is given: a
 * memfd, in the store itself, that both map. Nothing in it is trusted by the one
 * that finds it: a record that does not add up is as good as none, and what it says
 * goes the way of the front-end's own messages.
 *
 * The record can be lost at no instruction: there are two places for it, written in
 * turn, and the newer one that adds up counts.
 *
 * A request of the front-end is carried out once and answered once, whenever this
 * process dies. It is read without being taken from the socket; carried out; noted
 * in the record with its answer; taken; answered; and crossed out. How far that came
 * is written by the kernel, as part of the very calls that take and answer it: to
 * msg_len of the headers that recvmmsg(2) and sendmmsg(2) are given, which lie here.
 */
#ifndef TRANSPORT_STATE_H
#define TRANSPORT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "memory.h"
#include "vring.h"

enum {
	STATE_RINGS = 3,
	STATE_REPLY_MAX = 12 + 512,
};

/* Stored descriptors go by numbers; 0 is none. */
struct state_ring {
	uint64_t desc, avail, used, log;
	uint32_t num, flags;
	uint32_t base, has_base; /* where it stands, unless it runs */
	uint32_t kick, call, err, reserved;
	uint32_t started, enabled;
};

struct state_region {
	struct memory_layout layout;
	uint32_t file, reserved;
};

struct state_record {
	uint32_t next_number;
	uint32_t front; /* its connection; 0: none is there, and the rest means nothing
			 */
	uint64_t features, protocol_features;
	uint64_t log_size, log_offset;
	uint64_t inflight_size, inflight_offset;
	uint32_t inflight_file, inflight_queues, inflight_num, reply_file;
	uint32_t log_file, log_call;
	struct state_ring ring[STATE_RINGS];
	/* The request in hand: its bytes in the socket, 0: none. */
	uint32_t request_size, reply_size;
	uint32_t reserved, region_count;
	uint8_t reply[STATE_REPLY_MAX + 4];
	struct state_region region[MEMORY_REGIONS_MAX]; /* region_count are written */
};

/* A connection of the guest's; see roll.h. */
struct state_conn {
	uint64_t peer_cid;
	uint32_t host_port, guest_port;
	uint16_t type;
	uint16_t used; /* written last, cleared first */
	uint32_t reserved;
};

struct state_file;

struct state {
	int fd; /* -1: none */
	struct state_file *file;
	size_t size;
	uint32_t conns_max;
	struct state_conn *conn; /* conns_max, in the file */
};

/*
 * Makes an empty one, with room for so many connections, or takes the one that fd
 * (owned) is. 0, or a negative errno; -EBADMSG when fd is not one.
 */
int state_create(struct state *state, uint32_t conns, struct error *err);
int state_open(struct state *state, int fd, uint32_t conns, struct error *err);
void state_close(struct state *state);

/* How many processes had it before this one. */
uint32_t state_age(const struct state *state);

/* The last host port below 1024 that was given out. */
uint32_t *state_privileged_port(struct state *state);

/*
 * How many of the places for connections, from the first on, were ever in use. The
 * others are not to be read either: what is read of the file takes memory.
 */
uint32_t state_conns_used(const struct state *state);
/* Before that place is used. */
void state_use_conn(struct state *state, uint32_t at);

/* Where a packed ring notes how far it is. */
struct vring_record *state_vring_record(struct state *state, unsigned int ring);

/* The newest record. False when there is none that adds up. */
bool state_load(const struct state *state, struct state_record *record);
void state_save(struct state *state, const struct state_record *record);

/*
 * Take the noted request from the front-end's socket, and answer it; each does what
 * is left to be done of it. Negative errno.
 */
int state_take_request(struct state *state, int fd, const struct state_record *record);
int state_send_reply(struct state *state, int fd, const struct state_record *record,
		     int reply_fd);
/* To be called once a record without a request was saved. */
void state_forget_request(struct state *state);

#endif
