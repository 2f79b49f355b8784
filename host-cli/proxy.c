/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "forward.h"
#include "interrupt.h"
#include "verbs.h"

static const struct options_syntax syntax = {
	.verb = "proxy",
	.operands = "VM LOCAL=PORT...",
	.about = "Joins each connection to a socket of the host to a vsock port of the "
		 "guest,\n"
		 "until SIGINT or SIGTERM. LOCAL is tcp:HOST:PORT or unix:PATH. With "
		 "--json\n"
		 "there is also an object on standard error for each event.",
	.min_args = 2,
	.max_args = 1 + FORWARDS_MAX,
	.timeout_help = "for a connection to the guest to come about (30)",
	.one_vm = true,
};

static enum status run(const struct vm *vm, char **texts, size_t n, struct report *r)
{
	struct forward forwards[FORWARDS_MAX];
	struct addrinfo *addresses = NULL;
	struct error err = {0};
	enum status status = STATUS_OK;
	size_t i, parsed;

	for (parsed = 0; parsed < n && status == STATUS_OK; parsed++)
		if (forward_parse(texts[parsed], &forwards[parsed], &err))
			status = report_fail(r, STATUS_USAGE, "%s", err.text);
	/* Once: the loop does not wait for name servers. */
	if (status == STATUS_OK && endpoint_look_up(&vm->endpoint, &addresses, &err))
		status = report_fail(r, STATUS_NO_TRANSPORT, "%s", err.text);
	/* From here on there may be files to remove. */
	interrupt_block();
	for (i = 0; i < n && status == STATUS_OK; i++)
		if (forward_listen(&forwards[i], r, &err))
			status = report_fail(r, STATUS_FAILURE, "%s", err.text);
	if (status == STATUS_OK)
		status = forward_serve(forwards, n, vm, addresses, r);
	for (i = 0; i < parsed; i++)
		forward_close(&forwards[i]);
	if (addresses)
		freeaddrinfo(addresses);
	return status;
}

int proxy_main(int argc, char **argv)
{
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&vm, options.args + 1, (size_t)options.nargs - 1, &r);
	return report_finish(&r);
}
