/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what a front-end has set up where the next process finds it: descriptors in
 * the store, all else in the state. The next one is told by the front-end's own
 * messages, made anew from what was kept, so that they are checked as ever.
 *
 * A struct vhost_user without a keeper works too; its front-end does not survive it.
 */
#ifndef TRANSPORT_KEEPER_H
#define TRANSPORT_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "state.h"

/* What the names of its descriptors begin with. */
#define KEEPER_PREFIX "vm-"

struct vhost_user;
struct vhost_user_message;

/* A descriptor in the store. */
struct kept {
	uint32_t number;
	int fd;	   /* the same file here, or -1 when it was closed */
	dev_t dev; /* of a regular file */
	ino_t ino;
	bool regular, used;
};

struct keeper {
	struct state *state;
	struct state_record record;
	struct kept *kept;
	size_t count, max;
	bool failed; /* something could not be kept; it was logged */
};

void keeper_init(struct keeper *keeper, struct state *state);
void keeper_free(struct keeper *keeper);

/* The front-end's descriptor if there was one, now the caller's; -1. */
int keeper_take_front(struct keeper *keeper);

/*
 * Sets vu, which is attached to that descriptor, up as it was, and does what is
 * left to be done of the request in hand. Negative errno.
 */
int keeper_resume(struct keeper *keeper, struct vhost_user *vu, struct error *err);

/* A front-end has come, or is gone. */
void keeper_attach(struct keeper *keeper, int fd);
void keeper_detach(struct keeper *keeper);

/* Descriptors have come with a message that is about to be carried out. */
void keeper_offer(struct keeper *keeper, const struct vhost_user_message *msg);

/*
 * The request of so many bytes at the front of the socket was carried out: notes
 * what vu is now, takes it from the socket and sends the answer, which is reply
 * unless that is NULL. Negative errno.
 */
int keeper_commit(struct keeper *keeper, const struct vhost_user *vu, uint32_t size,
		  const struct vhost_user_message *reply, struct error *err);

/* For keeper_resume.c. */

/* The name of a descriptor in the store; returns it. */
const char *keeper_name(uint32_t number, char *name);
/* Notes a descriptor that is in the store. NULL: no memory. */
struct kept *keeper_add(struct keeper *keeper, uint32_t number, int fd);
/* Puts what vu is now into the record, and marks what it uses. */
void keeper_note(struct keeper *keeper, const struct vhost_user *vu);
/* Does what is left to be done of the request in hand. */
int keeper_finish(struct keeper *keeper, int fd, int reply_fd, struct error *err);

#endif
