/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-mem and unplug-mem: what mem_verb.c (the command line, and totals) and
 * mem_steps.c (one dimm in, or out) share.
 */
#ifndef HOST_CLI_MEM_VERB_H
#define HOST_CLI_MEM_VERB_H

#include "change.h"
#include "dimm.h"

struct mem_verb {
	struct change c;    /* first: a step gets it */
	uint64_t mebibytes; /* wanted; 0: any */
	uint64_t to;	    /* MiB in all that are wanted; 0: that is not asked for */
	uint64_t excess;    /* bytes that have to go for that */
	int64_t node;	    /* -1: none */
	struct dimm dimm;
	char backend[DIMM_ID_MAX + 32];
	char again[DIMM_ID_MAX + 32];
	unsigned int next;	 /* no name from this number on is taken */
	char swept[DIMM_ID_MAX]; /* the memory whose backend was left, and is freed */
};

/* struct change's two functions for QEMU's half. */
int mem_in_qemu(struct change *c, deadline_t deadline, struct error *err);
int mem_after_qemu(struct change *c, deadline_t deadline, struct error *err);

/* Plug a dimm of so many mebibytes, or unplug the one that is meant. */
enum status mem_plug(struct mem_verb *v);
enum status mem_unplug(struct mem_verb *v);

#endif
