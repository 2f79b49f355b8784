// SPDX-License-Identifier: Apache-2.0
#include "manager.h"

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

static void watchdog_fired(struct agent_timer *timer)
{
	struct agent_manager *manager =
		agent_container(timer, struct agent_manager, watchdog);

	sd_notify(0, "WATCHDOG=1");
	agent_loop_arm(manager->loop, timer, deadline_after_ms(manager->period_ms));
}

void agent_manager_ready(struct agent_manager *manager, struct agent_loop *loop)
{
	uint64_t usec = 0;

	manager->loop = loop;
	manager->watchdog.fire = watchdog_fired;
	sd_notify(0, "READY=1");
	if (sd_watchdog_enabled(0, &usec) > 0) {
		manager->period_ms = usec / 2000 + 1;
		watchdog_fired(&manager->watchdog);
	}
}

void agent_manager_status(const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sd_notifyf(0, "STATUS=%s", text);
}

void agent_manager_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
		   now.tv_sec * 1000000ll + now.tv_nsec / 1000);
}

void agent_manager_reloaded(void)
{
	sd_notify(0, "READY=1");
}

void agent_manager_stop(struct agent_manager *manager)
{
	if (!manager->loop)
		return;
	agent_loop_disarm(manager->loop, &manager->watchdog);
	sd_notify(0, "STOPPING=1");
}
