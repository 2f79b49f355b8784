/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back-end's side of the vhost-user protocol (QEMU's
 * docs/interop/vhost-user.rst): messages from a front-end that need not be well
 * meant, and the memory and rings they set up. What the rings are for is the
 * owner's, who is called when something about them changes.
 */
#ifndef TRANSPORT_VHOST_USER_H
#define TRANSPORT_VHOST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dirty_log.h"
#include "error.h"
#include "memory.h"
#include "vring.h"

enum {
	VHOST_USER_RINGS = 3,
	VHOST_USER_HEADER_SIZE = 12,
	VHOST_USER_PAYLOAD_MAX = 512, /* the largest known needs 268 */
	VHOST_USER_FDS_MAX = MEMORY_TABLE_MAX,
	VHOST_USER_CONFIG_MAX = 256,
};

/* Header flags. */
enum {
	VHOST_USER_VERSION = 1,
	VHOST_USER_VERSION_MASK = 3,
	VHOST_USER_REPLY = 4,
	VHOST_USER_NEED_REPLY = 8,
};

enum vhost_user_request {
	VHOST_USER_NONE,
	VHOST_USER_GET_FEATURES,
	VHOST_USER_SET_FEATURES,
	VHOST_USER_SET_OWNER,
	VHOST_USER_RESET_OWNER,
	VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_LOG_BASE,
	VHOST_USER_SET_LOG_FD,
	VHOST_USER_SET_VRING_NUM,
	VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_BASE,
	VHOST_USER_GET_VRING_BASE,
	VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_ERR,
	VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_SET_PROTOCOL_FEATURES,
	VHOST_USER_GET_QUEUE_NUM,
	VHOST_USER_SET_VRING_ENABLE,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG,
	VHOST_USER_REM_MEM_REG,
	VHOST_USER_REQUESTS,
};

#define VHOST_USER_F_VERSION_1	       (1ULL << 32) /* virtio's */
#define VHOST_USER_F_PROTOCOL_FEATURES (1ULL << 30)
#define VHOST_USER_F_LOG_ALL	       (1ULL << 26)
/* Protocol features. */
#define VHOST_USER_P_MQ		  (1ULL << 0)
#define VHOST_USER_P_LOG_SHMFD	  (1ULL << 1)
#define VHOST_USER_P_REPLY_ACK	  (1ULL << 3)
#define VHOST_USER_P_CONFIG	  (1ULL << 9)
#define VHOST_USER_P_INFLIGHT	  (1ULL << 12)
#define VHOST_USER_P_RESET_DEVICE (1ULL << 13)
#define VHOST_USER_P_MEM_SLOTS	  (1ULL << 15)

struct keeper;

struct vhost_user_message {
	uint32_t request, flags, size;
	_Alignas(8) uint8_t payload[VHOST_USER_PAYLOAD_MAX];
	int fds[VHOST_USER_FDS_MAX]; /* owned; -1 once taken */
	size_t fd_count;
	int reply_fd; /* goes along with the answer; owned, -1: none */
};

/* Called with owner; none may destroy the vhost_user. */
struct vhost_user_ops {
	/* A ring has a kick descriptor: to be watched. Negative errno refuses it. */
	int (*watch)(void *owner, unsigned int index, int kick_fd);
	/* It is about to be closed. */
	void (*unwatch)(void *owner, unsigned int index, int kick_fd);
	/* A ring was started, stopped, enabled or disabled. */
	void (*changed)(void *owner);
	/* The virtual machine was reset. */
	void (*reset)(void *owner);
};

struct vhost_user {
	int fd; /* the front-end's connection, -1: none */
	uint64_t device_features;
	const uint8_t *config;
	size_t config_size;
	const struct vhost_user_ops *ops;
	void *owner;

	struct keeper *keeper; /* the owner's; NULL: nothing outlives this process */
	bool resuming;	       /* rings go on where an earlier process was */

	uint64_t features, protocol_features; /* as the front-end accepted them */
	struct memory memory;
	struct dirty_log log;
	struct inflight inflight;
	struct vring ring[VHOST_USER_RINGS];

	struct vhost_user_message message;
};

/*
 * device_features: those offered besides the protocol's own. config stays the
 * caller's and is what GET_CONFIG reads.
 */
void vhost_user_init(struct vhost_user *vu, uint64_t device_features,
		     const uint8_t *config, size_t config_size,
		     const struct vhost_user_ops *ops, void *owner);

/* A front-end has connected; fd (non-blocking) becomes the vhost_user's. */
void vhost_user_attach(struct vhost_user *vu, int fd);

/*
 * The same for the front-end of an earlier process, whose keeper has what it set
 * up. After an error it is to be detached.
 */
int vhost_user_resume(struct vhost_user *vu, int fd, struct error *err);

/* Ends the front-end's connection and everything it set up. */
void vhost_user_detach(struct vhost_user *vu);

/*
 * Acts on what has come: 1 when there may be more, 0 when there is none yet (half a
 * message stays in the socket: only an edge-triggered event tells that more of it
 * is there), or a negative errno when the connection is to be ended: -ECONNRESET
 * when the front-end has closed it, any other when it misbehaved (err says how).
 */
int vhost_user_read(struct vhost_user *vu, struct error *err);

/*
 * Whether the ring may be worked on. No chain of it may be held across
 * vhost_user_read(), which may take away the memory that it is in.
 */
bool vhost_user_ring_runs(const struct vhost_user *vu, unsigned int index);

#endif
