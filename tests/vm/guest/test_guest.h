/* SPDX-License-Identifier: Apache-2.0 */
/* Where a test program may open vsock sockets. */
#ifndef TEST_GUEST_H
#define TEST_GUEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Ends the program with status 2, unless the words are there that the test guests, and
 * they alone, are booted with.
 */
static inline void want_test_guest(void)
{
	char words[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (f && !fgets(words, sizeof(words), f))
		words[0] = '\0';
	if (f)
		fclose(f);
	if (strstr(words, "vmctl.name="))
		return;
	fputs("this opens vsock sockets, and runs in a test guest only\n", stderr);
	exit(2);
}

#endif
