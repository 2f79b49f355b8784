// SPDX-License-Identifier: Apache-2.0
/*
 * libsystemd is loaded where there is somebody to tell only: with what it needs itself
 * it is a third of the agent in memory, in guests without systemd for nothing.
 */
#include "manager.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define LIBRARY "libsystemd.so.0"

/* As <systemd/sd-daemon.h> declares them. */
static struct {
	bool tried;
	int (*notify)(int unset_environment, const char *state);
	int (*watchdog_enabled)(int unset_environment, uint64_t *usec);
} sd;

static void load(void)
{
	void *library;

	if (sd.tried || !getenv("NOTIFY_SOCKET"))
		return;
	sd.tried = true;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library) {
		*(void **)&sd.watchdog_enabled = dlsym(library, "sd_watchdog_enabled");
		*(void **)&sd.notify = dlsym(library, "sd_notify");
	}
	if (!sd.notify || !sd.watchdog_enabled) {
		agent_log(AGENT_LOG_WARNING,
			  "the service manager cannot be told that the agent serves: "
			  "%s",
			  library ? LIBRARY " is not what it was" : dlerror());
		sd.notify = NULL;
	}
}

static void tell(const char *state)
{
	load();
	if (sd.notify)
		sd.notify(0, state);
}

static void watchdog_fired(struct agent_timer *timer)
{
	struct agent_manager *manager =
		agent_container(timer, struct agent_manager, watchdog);

	tell("WATCHDOG=1");
	agent_loop_arm(manager->loop, timer, deadline_after_ms(manager->period_ms));
}

void agent_manager_ready(struct agent_manager *manager, struct agent_loop *loop)
{
	uint64_t usec = 0;

	manager->loop = loop;
	manager->watchdog.fire = watchdog_fired;
	tell("READY=1");
	if (sd.notify && sd.watchdog_enabled(0, &usec) > 0) {
		manager->period_ms = usec / 2000 + 1;
		watchdog_fired(&manager->watchdog);
	}
}

void agent_manager_status(const char *fmt, ...)
{
	static const char name[] = "STATUS=";
	char text[256];
	va_list args;

	strcpy(text, name);
	va_start(args, fmt);
	vsnprintf(text + strlen(name), sizeof(text) - strlen(name), fmt, args);
	va_end(args);
	tell(text);
}

void agent_manager_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 now.tv_sec * 1000000ll + now.tv_nsec / 1000);
	tell(text);
}

void agent_manager_reloaded(void)
{
	tell("READY=1");
}

void agent_manager_stop(struct agent_manager *manager)
{
	if (!manager->loop)
		return;
	agent_loop_disarm(manager->loop, &manager->watchdog);
	tell("STOPPING=1");
}
