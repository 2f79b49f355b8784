/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of an option's argument. */
#ifndef TRANSPORT_AMOUNT_H
#define TRANSPORT_AMOUNT_H

#include <stdint.h>

/*
 * A whole number from min to max; K, M or G behind it multiply by 1024, 1024^2 or
 * 1024^3. 0, or -EINVAL.
 */
int amount_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value);

#endif
