/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the device manager in the guest's kernel: vsock port 219,
 * proto/upcall_wire.h. Works with upcall.ko and with Dragonball's guest kernel,
 * which speaks the same bytes without our extensions.
 */
#ifndef HOST_CLI_UPCALL_H
#define HOST_CLI_UPCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "upcall_wire.h"

struct upcall {
	int fd;
	uint32_t features; /* UPCALL_FEATURE_*; 0 without extensions */
	char module[33];   /* the server's version, "" without extensions */
	char kernel[65];
	/* A request is under way: its reply has `got` bytes so far. */
	bool pending;
	uint32_t type;
	size_t count; /* CPUs in its list; 0: a request that has none */
	size_t got;
	uint8_t in[UPCALL_MSG_SIZE];
};

struct upcall_result {
	int ret;	      /* 0, or the guest's negative errno */
	uint32_t done;	      /* CPUs of the list that are done */
	bool detailed;	      /* those below are from the guest */
	uint32_t failed;      /* index in the list; UINT32_MAX: none */
	uint32_t rolled_back; /* entries taken back */
	uint32_t stuck;	      /* entries that could not be taken back */
	uint64_t kernel_ns;
	uint64_t request;  /* its number in the module's events and in LIST */
	uint64_t total_ns; /* the whole request, in the guest */
	char reason[129];  /* printable; "" when there is none */
};

/*
 * Connects, names the service and checks the server's CONNECT message. Errors:
 * those of endpoint_dial(); -ECONNRESET when the server goes, -EPROTO when it is
 * no device manager. Close with upcall_close(), also after a failure.
 */
int upcall_open(struct upcall *u, const struct endpoint *ep, deadline_t deadline,
		struct error *err);
/* The same on a connected socket, which is taken over. */
int upcall_greet(struct upcall *u, int fd, deadline_t deadline, struct error *err);
void upcall_close(struct upcall *u);

/*
 * Sends a request of any type; a payload is at most UPCALL_PAYLOAD_MAX bytes.
 * `count` is that of the CPUs which it names, 0 where it names none.
 */
int upcall_send(struct upcall *u, enum upcall_type type, const void *payload,
		size_t len, size_t count, deadline_t deadline, struct error *err);

/* Both requests take 1 to their wire format's maximum of entries, or -E2BIG. */
int upcall_send_cpu(struct upcall *u, enum upcall_type type, const uint8_t *apic_ids,
		    size_t count, deadline_t deadline, struct error *err);
int upcall_send_cpu2(struct upcall *u, uint32_t flags,
		     const struct upcall_cpu2_entry *entries, size_t count,
		     deadline_t deadline, struct error *err);

/*
 * Waits for the reply to the request under way. After -ETIMEDOUT it may be called
 * again with a later deadline; any other error ends the connection. A guest that
 * says no is no error here: see result->ret.
 */
int upcall_receive(struct upcall *u, struct upcall_result *result, deadline_t deadline,
		   struct error *err);

/*
 * Asks LIST or STATUS from entry `start` on and waits for the answer, `size` bytes
 * of it as they came. A guest that says no gives -EREMOTEIO; else as above.
 */
int upcall_query(struct upcall *u, enum upcall_type type, uint32_t start, void *data,
		 size_t size, deadline_t deadline, struct error *err);

/* Words for a result's ret, which the guest may set to anything. */
const char *upcall_strerror(int32_t ret);

#endif
