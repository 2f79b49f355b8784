/* SPDX-License-Identifier: Apache-2.0 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

void interrupt_block(void)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < SIGNALS; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

bool interrupt_pending(void)
{
	sigset_t set;
	size_t i;

	if (sigpending(&set))
		return false;
	for (i = 0; i < SIGNALS; i++)
		if (sigismember(&set, signals[i]) == 1)
			return true;
	return false;
}
