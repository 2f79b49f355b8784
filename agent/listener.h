/* SPDX-License-Identifier: Apache-2.0 */
/* Where the agent listens, and whom it lets in. */
#ifndef AGENT_LISTENER_H
#define AGENT_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "error.h"
#include "log.h"
#include "loop.h"

#define AGENT_PORT	   220
#define AGENT_SESSIONS_MAX 256

struct agent;

enum agent_address_kind {
	AGENT_ADDRESS_VSOCK,
	AGENT_ADDRESS_UNIX, /* for tests and debugging: the file's mode decides who may
			     */
};

struct agent_address {
	enum agent_address_kind kind;
	uint32_t port; /* AGENT_ADDRESS_VSOCK */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* AGENT_ADDRESS_UNIX */
};

/* "vsock:PORT" or "unix:PATH"; -EINVAL, -ENAMETOOLONG. */
int agent_address_parse(const char *text, struct agent_address *address,
			struct error *err);

/*
 * Whether accept(2)'s address is that of a vsock peer on the host (CID 2). A
 * process of the guest itself comes from CID 1 or from the guest's own CID,
 * another guest from that one's.
 */
bool agent_peer_is_host(const struct sockaddr_storage *peer, socklen_t len);

struct agent_listener {
	struct agent *agent;
	const struct agent_address *address;
	struct agent_source source; /* fd -1: not listening (yet) */
	struct agent_timer retry;   /* the next try to listen, or the end of a pause */
	bool said_waiting;
	bool bound_unix; /* the socket file is ours to remove */
	bool failed;	 /* gave up after the loop began; error says why */
	struct error error;
	struct agent_log_limit refused; /* log lines on peers that are not the host */
	struct agent_log_limit full;
	struct agent_log_limit broken;
};

/* The address must outlive the listener. */
void agent_listener_init(struct agent_listener *listener, struct agent *agent,
			 const struct agent_address *address);
/*
 * Listens at its address. A kernel that has no vsock (yet) is no error:
 * it is asked again each second. An error that time does not mend is returned, or
 * ends the loop with listener->failed.
 */
int agent_listener_start(struct agent_listener *listener, struct error *err);
/* Stops listening, and removes the socket file. */
void agent_listener_stop(struct agent_listener *listener);

#endif
