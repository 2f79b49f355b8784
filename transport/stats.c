/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

static const char *const names[RESET_REASONS] = {
	[RESET_GUEST] = "guest",
	[RESET_GUEST_REFUSED] = "guest_refused",
	[RESET_GUEST_SILENT] = "guest_silent",
	[RESET_PROTOCOL] = "protocol",
	[RESET_CREDIT] = "credit",
	[RESET_UNKNOWN] = "unknown",
	[RESET_HOST_REFUSED] = "host_refused",
	[RESET_HOST_LEFT] = "host_left",
	[RESET_HOST_SOCKET] = "host_socket",
	[RESET_MAX_CONNECTIONS] = "max_connections",
	[RESET_CONNECT_RATE] = "connect_rate",
	[RESET_BUFFER_TOTAL] = "buffer_total",
	[RESET_NO_MEMORY] = "no_memory",
	[RESET_MESSAGE] = "message",
	[RESET_RESTART] = "restart",
};

const char *reset_reason_name(enum reset_reason reason)
{
	return names[reason];
}
