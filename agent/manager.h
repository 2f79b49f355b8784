/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told, by sd_notify(3). Without one, nothing.
 */
#ifndef AGENT_MANAGER_H
#define AGENT_MANAGER_H

#include "loop.h"

struct agent_manager {
	struct agent_loop *loop;
	struct agent_timer watchdog;
	int64_t period_ms; /* between two signs of life */
};

/* It serves; from now on the manager gets signs of life, if it wants them. */
void agent_manager_ready(struct agent_manager *manager, struct agent_loop *loop);
/* A line for `systemctl status`. */
void agent_manager_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* It reads its configuration again, and has done so. */
void agent_manager_reloading(void);
void agent_manager_reloaded(void);
/* It ends; no more signs of life. */
void agent_manager_stop(struct agent_manager *manager);

#endif
