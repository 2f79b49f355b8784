// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/module.h>

#include "compat.h"
#include "conn.h"
#include "eject.h"
#include "ksym.h"
#include "mmio.h"
#include "server.h"
#include "upcall_wire.h"

module_param_named(timeout_ms, conn_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "Milliseconds a client has to finish a message it began, "
			     "0 for any time (default 10000)");

module_param_named(max_connections, conn_max, uint, 0644);
MODULE_PARM_DESC(max_connections, "Connections at the same time (default 64)");

module_param(eject_port, int, 0444);
MODULE_PARM_DESC(eject_port,
		 "I/O port of QEMU's CPU hotplug registers, 0 to leave them "
		 "alone, -1 to go by DMI (default)");

static int __init upcall_init(void)
{
	int ret;

	ksym_init();
	eject_init();
	ret = conn_init();
	if (ret)
		goto exit_eject;
	ret = server_start();
	if (ret)
		goto exit_conn;
	mmio_announce();
	pr_info("version %s, listening on vsock port %u%s\n", UPCALL_VERSION,
		UPCALL_PORT, eject_available() ? ", vCPUs can be ejected" : "");
	return 0;

exit_conn:
	conn_exit();
exit_eject:
	eject_exit();
	return ret;
}

static void __exit upcall_exit(void)
{
	server_stop();
	conn_exit();
	eject_exit();
}

module_init(upcall_init);
module_exit(upcall_exit);

MODULE_DESCRIPTION("Plugs CPUs at the request of the host, over vsock, without ACPI");
MODULE_LICENSE("GPL");
MODULE_VERSION(UPCALL_VERSION);
/* Not needed to load, but without a transport nobody can call. */
MODULE_SOFTDEP("pre: vmw_vsock_virtio_transport");
