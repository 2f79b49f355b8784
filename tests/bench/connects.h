/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections a second can be opened and closed again.
 */
#ifndef BENCH_CONNECTS_H
#define BENCH_CONNECTS_H

#include "instance.h"

/* The guest connects, many at a time; the guest closes. */
double connects_of_guest(struct instance *inst);
/* A host program connects, one after the other, and closes. */
double connects_of_host(struct instance *inst);

#endif
