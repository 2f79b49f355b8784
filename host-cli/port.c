/* SPDX-License-Identifier: Apache-2.0 */
#include "port.h"

#include <errno.h>

#include "text.h"

int port_parse(const char *text, uint32_t *port, struct error *err)
{
	uint64_t number;

	/* The highest one stands for any. */
	if (text_number(text, 0, UINT32_MAX - 1, &number))
		return error_set(err, -EINVAL,
				 "PORT %s: give the number of a vsock port, such as 22",
				 text);
	*port = (uint32_t)number;
	return 0;
}

enum status port_fail(const struct vm *vm, uint32_t port, int ret,
		      const struct error *err, struct report *r)
{
	if (ret != -ECONNRESET)
		return vm_fail_dial(vm, ret, err, r);
	return report_fail(r, STATUS_NO_PORT,
			   "the guest refuses port %u; is a program listening on that "
			   "vsock port in the guest?",
			   port);
}
