/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <stddef.h>

static const char *const names[] = {
	[STATUS_OK] = "ok",
	[STATUS_FAILURE] = "failure",
	[STATUS_USAGE] = "usage",
	[STATUS_UNKNOWN_VM] = "unknown-vm",
	[STATUS_NO_QMP] = "no-qmp",
	[STATUS_NO_TRANSPORT] = "no-transport",
	[STATUS_NO_MODULE] = "no-module",
	[STATUS_NO_AGENT] = "no-agent",
	[STATUS_NO_SLOT] = "no-slot",
	[STATUS_REFUSED] = "refused",
	[STATUS_NOT_STARTED] = "not-started",
	[STATUS_TIMEOUT] = "timeout",
	[STATUS_HALF_PLUGGED] = "half-plugged",
	[STATUS_QEMU_REFUSED] = "qemu-refused",
	[STATUS_NO_PORT] = "no-port",
	[STATUS_BROKEN] = "broken",
	[STATUS_INTERRUPTED] = "interrupted",
};

const char *status_name(enum status status)
{
	size_t i = (size_t)status;

	if (i >= sizeof(names) / sizeof(names[0]) || !names[i])
		return "failure";
	return names[i];
}
