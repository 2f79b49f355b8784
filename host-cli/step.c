/* SPDX-License-Identifier: Apache-2.0 */
#include "step.h"

#include "interrupt.h"

enum status step_begin(struct report *r, const char *name, bool changes)
{
	report_step(r, name);
	if (changes)
		interrupt_block();
	if (interrupt_pending())
		return report_fail(r, STATUS_INTERRUPTED,
				   "interrupted before this step");
	return STATUS_OK;
}
