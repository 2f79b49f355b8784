/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's plugged memory, from query-memory-devices.
 */
#ifndef HOST_CLI_DIMM_H
#define HOST_CLI_DIMM_H

#include "qmp.h"

#define DIMM_ID_MAX 64
#define DIMM_PREFIX "vmctl-mem" /* and a number: the dimms that vmctl made */

struct dimm {
	char id[DIMM_ID_MAX];
	char backend[DIMM_ID_MAX]; /* id of the object behind it; "": not told */
	uint64_t base, size;	   /* guest physical address, bytes */
	int node;
};

/* The dimm with that id: 1 and *dimm, 0 when there is none, or -errno. */
int dimm_find(struct qmp *q, const char *id, struct dimm *dimm, deadline_t deadline,
	      struct error *err);
/*
 * The highest numbered of vmctl's dimms, of that size if it is not 0: as above.
 * *number (may be NULL) is then its number.
 */
int dimm_find_last(struct qmp *q, uint64_t size, struct dimm *dimm,
		   unsigned int *number, deadline_t deadline, struct error *err);

#define DIMMS_MAX 256

/*
 * Which of vmctl's dimms, the last plugged first, are `bytes` together. 1 and *count
 * of them; 0 when there is no such number of them: *nearest is then what can go
 * without going too far. Or -errno.
 */
int dimm_pick(struct qmp *q, uint64_t bytes, struct dimm picked[static DIMMS_MAX],
	      size_t *count, uint64_t *nearest, deadline_t deadline, struct error *err);

/* All the memory that the machine has, in bytes. */
int dimm_total(struct qmp *q, uint64_t *bytes, deadline_t deadline, struct error *err);

#endif
