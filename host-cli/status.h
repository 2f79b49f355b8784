/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a vmctl command can end. The numbers are its exit codes: documented in
 * vmctl(1), and never given another meaning.
 */
#ifndef HOST_CLI_STATUS_H
#define HOST_CLI_STATUS_H

enum status {
	STATUS_OK = 0,
	STATUS_FAILURE = 1,	  /* none of those below */
	STATUS_USAGE = 2,	  /* the command line is wrong */
	STATUS_UNKNOWN_VM = 3,	  /* the registry has no VM of that name */
	STATUS_NO_QMP = 4,	  /* nobody serves the QMP socket, or none is known */
	STATUS_NO_TRANSPORT = 5,  /* nobody serves the VM's vsock endpoint */
	STATUS_NO_MODULE = 6,	  /* port 219 refused, or no device manager there */
	STATUS_NO_AGENT = 7,	  /* port 220 refused, or no agent's answers there */
	STATUS_NO_SLOT = 8,	  /* more CPUs than slots, or not these */
	STATUS_REFUSED = 9,	  /* the guest said no */
	STATUS_NOT_STARTED = 10,  /* a vCPU was added and never started */
	STATUS_TIMEOUT = 11,	  /* --timeout passed */
	STATUS_HALF_PLUGGED = 12, /* it failed, and so did the cleaning up */
	STATUS_QEMU_REFUSED = 13, /* QEMU said no */
	STATUS_NO_PORT = 14,	  /* the guest refuses a port that the user named */
	STATUS_BROKEN = 15,	  /* a connection broke before its end */
	STATUS_INTERRUPTED = 130, /* SIGINT, SIGTERM or SIGHUP */
};

/* A word for programs ("no-slot"), never NULL. */
const char *status_name(enum status status);

#endif
