/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file names, beside them, the system calls that it makes while the daemon
 * serves; sandbox.c allows those and no others. The names that are collected are
 * those of the files that were linked in.
 *
 * SANDBOX_CALLS("recvmsg", "sendmsg");
 *
 * They are the kernel's names, not the C library's: recv(2) is "recvfrom" there. Some
 * differ between architectures; name all.
 */
#ifndef TRANSPORT_SANDBOX_CALLS_H
#define TRANSPORT_SANDBOX_CALLS_H

#define SANDBOX_CALLS(...)                                       \
	static const char *const sandbox_calls[] __attribute__(( \
		used, section("system_calls"), aligned(8))) = {__VA_ARGS__}

#endif
