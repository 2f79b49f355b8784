// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/module.h>

#include "compat.h"
#include "conn.h"
#include "devmgr.h"
#include "qemu_cpu.h"
#include "events.h"
#include "ksym.h"
#include "mmio.h"
#include "server.h"
#include "upcall_wire.h"

module_param_named(timeout_ms, conn_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "Milliseconds a client has to finish a message it began, "
			     "0 for any time (default 10000)");

module_param_named(request_timeout_ms, conn_request_timeout_ms, uint, 0644);
MODULE_PARM_DESC(request_timeout_ms,
		 "Milliseconds after which a request is taken to hang: its connection "
		 "is closed and those that wait are refused, 0 for never "
		 "(default 300000)");

module_param_named(max_connections, conn_max, uint, 0644);
MODULE_PARM_DESC(max_connections, "Connections at the same time (default 64)");

module_param_named(port, server_port, uint, 0444);
MODULE_PARM_DESC(port, "vsock port to listen on (default 219)");

module_param_named(require_privileged_peer, server_privileged_only, bool, 0644);
MODULE_PARM_DESC(require_privileged_peer,
		 "Let the host in from ports below 1024 only, which it gives to "
		 "privileged programs (default no)");

module_param(eject_port, int, 0444);
MODULE_PARM_DESC(eject_port,
		 "I/O port of QEMU's CPU hotplug registers, 0 to leave them "
		 "alone, -1 to go by DMI (default)");

static int __init upcall_init(void)
{
	int ret;

	ksym_init();
	ret = devmgr_init();
	if (ret)
		return ret;
	ret = events_init();
	if (ret)
		goto exit_devmgr;
	ret = conn_init();
	if (ret)
		goto exit_events;
	ret = server_start();
	if (ret)
		goto exit_conn;
	mmio_announce();
	pr_info("version %s, listening on vsock port %u\n", UPCALL_VERSION,
		server_port);
	return 0;

exit_conn:
	conn_exit();
exit_events:
	events_exit();
exit_devmgr:
	devmgr_exit();
	return ret;
}

static void __exit upcall_exit(void)
{
	server_stop();
	conn_exit();
	events_exit();
	devmgr_exit();
}

/* Built in, the module comes before AF_VSOCK in the order of links. */
late_initcall(upcall_init);
module_exit(upcall_exit);

MODULE_DESCRIPTION("Plugs and unplugs hardware at the request of the host, over vsock, "
		   "without ACPI");
MODULE_LICENSE("GPL");
MODULE_VERSION(UPCALL_VERSION);
/* Not needed to load, but without a transport nobody can call. */
MODULE_SOFTDEP("pre: vmw_vsock_virtio_transport");
