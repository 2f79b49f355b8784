/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the table: each measures in rounds, by turns with its ceiling and
 * with the peer.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

/* All whose names begin with one of those in only, which may be NULL for all. */
void rows_run(const char *only);

/* The names, for --help. */
const char *rows_name(unsigned int i);

#endif
