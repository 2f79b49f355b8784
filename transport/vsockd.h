/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: listening sockets, one device, one loop.
 */
#ifndef TRANSPORT_VSOCKD_H
#define TRANSPORT_VSOCKD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "limits.h"
#include "sandbox.h"
#include "map.h"

struct vsockd_options {
	uint32_t cid;		/* of the guest */
	const char *vhost_user; /* where the front-end connects */
	const char *uds;	/* where host programs connect */
	const char *peers;	/* directory of the guests' sockets, or NULL */
	const char *control;	/* where those connect who ask how it goes, or NULL */
	struct maps listen, connect;
	uint32_t forward_cid;	/* or 0 */
	gid_t privileged_group; /* or PEER_NO_GROUP */
	struct limits limits;
	enum sandbox_mode sandbox;
	struct sandbox_user user;
	bool no_hold;	    /* main()'s: run without a holder */
	uint32_t busy_poll; /* µs to look for work before sleeping */
};

enum {
	VSOCKD_CID_MIN = 3, /* 0, 1, 2 and 2^32 - 1 have other meanings */
};

/*
 * Runs until SIGTERM or SIGINT: 0. Negative errno when it could not begin or go
 * on. Changes the process's signal mask and its limit of open files.
 */
int vsockd_run(const struct vsockd_options *options, struct error *err);

#endif
