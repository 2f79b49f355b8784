/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a virtio-mmio device is: --base, --size and --irq.
 */
#ifndef HOST_CLI_WINDOW_H
#define HOST_CLI_WINDOW_H

#include "report.h"

/* First in the struct that the options set. */
struct window {
	uint64_t base; /* guest physical address */
	uint64_t size; /* bytes */
	uint64_t irq;  /* GSI */
};

#define WINDOW_OPTIONS                                                            \
	{"base", "ADDRESS", "where its registers begin: 0xfeb00c00", 0,           \
	 window_set_base},                                                        \
		{"size", "BYTES", "of its registers: 0x200", 0, window_set_size}, \
	{                                                                         \
		"irq", "N",                                                       \
			"its interrupt, as the guest's interrupt controllers "    \
			"count",                                                  \
			0, window_set_irq                                         \
	}

int window_set_base(void *into, const char *value, struct error *err);
int window_set_size(void *into, const char *value, struct error *err);
int window_set_irq(void *into, const char *value, struct error *err);

/* A number from 0x or decimal digits, nothing behind it; 0 or -EINVAL. */
int window_number(const char *text, uint64_t max, uint64_t *value);

/* All three given? Reports what is not. What makes sense is the guest's to say. */
enum status window_check(const struct window *w, struct report *r);
void window_json(const struct window *w, struct report *r);

#endif
