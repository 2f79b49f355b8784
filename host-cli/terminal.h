/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's terminal on standard input while a program of the guest has it: raw, and
 * as it was again on every way out that a program can see.
 */
#ifndef HOST_CLI_TERMINAL_H
#define HOST_CLI_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Whether it is one. */
bool terminal_is(void);

/*
 * Makes it raw. From now on a signal that ends this process puts it back first.
 * Negative errno, and nothing has changed.
 */
int terminal_take(struct error *err);
/* Puts it back; nothing if it was not taken. */
void terminal_give_back(void);

/* Its size; 24 by 80 where there is none. */
void terminal_size(uint32_t *rows, uint32_t *columns);
/*
 * Holds SIGWINCH back but in a ppoll(2) with the mask that is filled, which it ends
 * with EINTR.
 */
void terminal_watch(sigset_t *mask);
/* Whether it came since this was asked last. */
bool terminal_resized(void);

/* Whether the user has typed ^] three times within a second, with these bytes. */
bool terminal_leaves(const uint8_t *bytes, size_t len);

#endif
