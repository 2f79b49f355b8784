/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT, SIGTERM and SIGHUP while a VM is between two states: they wait until a
 * step is done, and are then answered with the way back, not with sudden death.
 */
#ifndef HOST_CLI_INTERRUPT_H
#define HOST_CLI_INTERRUPT_H

#include <stdbool.h>

/* Holds the signals back from now on. */
void interrupt_block(void);
/* Whether one is waiting. */
bool interrupt_pending(void);

#endif
