/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of vsock-ring share: the options, and how it gives up.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CPU_DRIVER, /* where the guest's driver runs */
	CPU_BACKEND,
	CPU_HOST, /* where the host's program runs */
	CPUS,
	NOT_PINNED = -1,
};

enum sequence {
	SEQUENCE_QEMU,
	SEQUENCE_CLOUD_HYPERVISOR,
	SEQUENCE_CROSVM,
};

/* How the guest lays out a packet that it sends. */
enum tx_layout {
	TX_SPLIT, /* a descriptor for the header and one for the data, as Linux */
	TX_ONE,	  /* both in one */
	TX_PAGES, /* the data in pieces of 32 KiB, as Linux from 6.17 on */
};

struct options {
	const char *spawn, *spawn_busy, *peer; /* commands, see backend.h */
	const char *vhost_user, *uds;	       /* of a back-end that runs already */
	pid_t pid;			       /* of that; 0: as its socket says */
	uint32_t cid;
	const char *json, *only;
	unsigned int rounds;
	double seconds; /* of each round */
	bool quick;	/* short, and every byte is checked */
	unsigned int idle_max;
	int cpu[CPUS];
	enum sequence sequence;
	enum tx_layout tx_layout;
	unsigned int ring, rx_size;
	bool rx_split; /* a descriptor for the header, as Linux up to 6.1 */
	bool indirect, event_idx, packed;
	bool eager_credit;  /* told whenever a program has read, as Linux from 6.8 on */
	bool tx_interrupts; /* on every transmission's end, as Linux wants them */
};

extern struct options options;

/* What is measured now, for messages. */
void bench_doing(const char *what);

/* Says what is wrong, after what was being measured, and ends the program. */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...);

/* The same, and what errno says. */
__attribute__((format(printf, 1, 2), noreturn)) void die_errno(const char *fmt, ...);

#endif
