/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends joined: bytes go both ways until each way has ended. The end of one way is
 * passed on, and leaves the other as it is (half-close).
 */
#ifndef HOST_CLI_JOINT_H
#define HOST_CLI_JOINT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOINT_POLLS 3

/* One way. */
struct flow {
	int from, to;
	bool to_socket;
	size_t at_most; /* bytes in one write, so that it does not block */
	uint8_t *buf;
	size_t at, len;
	bool ended; /* nothing more comes */
	bool done;  /* all that came is delivered, and the end too */
	uint64_t bytes;
};

struct joint {
	struct flow up, down; /* to the guest, and from it */
};

/*
 * local_in and local_out may be the same socket, or be what standard input and output
 * are; guest is a socket. They stay the caller's. -ENOMEM.
 */
int joint_init(struct joint *j, int local_in, int local_out, int guest);
void joint_free(struct joint *j);

/* What to wait for. A descriptor of -1 is none. */
void joint_prepare(const struct joint *j, struct pollfd p[static JOINT_POLLS]);

/*
 * Moves what can be moved. 0 to go on, 1 when both ways are done, or -errno: the
 * connection broke. *local: it was at the local end.
 */
int joint_step(struct joint *j, const struct pollfd p[static JOINT_POLLS], bool *local);

#endif
