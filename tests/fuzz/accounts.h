/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device notes of its connections adds up, after each turn: credit, what is
 * held for the host programs, the lists, the counters.
 */
#ifndef ACCOUNTS_H
#define ACCOUNTS_H

#include "../../transport/device.h"

void accounts_check(struct device *dev);

#endif
