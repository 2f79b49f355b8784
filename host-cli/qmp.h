/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of QMP, QEMU's control protocol (QEMU's docs/interop/qmp-spec): one
 * JSON object a line over a Unix socket; a greeting, then commands and their
 * replies with an id, and events between them at any time.
 *
 * QEMU serves one QMP client at a time, so holding a connection also keeps a
 * second vmctl away from the VM until the first is done.
 */
#ifndef HOST_CLI_QMP_H
#define HOST_CLI_QMP_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "io.h"

/* The longest line taken; 4096 CPUs in query-hotpluggable-cpus are below 1 MiB. */
#define QMP_LINE_MAX (4u << 20)

/* QEMU's reply was an error; the words are in err. */
#define QMP_REFUSED (-EREMOTEIO)

struct qmp {
	int fd;
	char *buf;
	size_t used;
	size_t taken; /* bytes at the front of buf that have been dealt with */
	size_t capacity;
	uint64_t next_id;
	uint64_t events; /* how many went by */
};

/*
 * Connects, reads the greeting and negotiates. Fills *q, to be closed with
 * qmp_close() also after a failure. Errors: -ENOENT or -ECONNREFUSED when nobody
 * serves the path, -ETIMEDOUT, -ECONNRESET, -EMSGSIZE for a line above
 * QMP_LINE_MAX, -EPROTO for what is no QMP, QMP_REFUSED.
 */
int qmp_open(struct qmp *q, const char *path, deadline_t deadline, struct error *err);
void qmp_close(struct qmp *q);

/*
 * Executes one command. The arguments (an object, or NULL) are taken over. *ret
 * (may be NULL) receives a new reference to the reply's "return". Events that
 * come before it are counted and dropped. Errors as above; after any but
 * QMP_REFUSED the connection is of no more use.
 */
int qmp_execute(struct qmp *q, const char *command, json_t *arguments,
		deadline_t deadline, json_t **ret, struct error *err);

#endif
