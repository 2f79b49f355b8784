/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "joint.h"
#include "port.h"
#include "verbs.h"

static const struct options_syntax syntax = {
	.verb = "nc",
	.operands = "VM PORT",
	.about = "Joins standard input and output to a vsock port of the guest, until "
		 "both ends\n"
		 "have ended. With --json the object goes to standard error.",
	.min_args = 2,
	.max_args = 2,
	.timeout_help = "for the connection to come about (30)",
	.one_vm = true,
};

static enum status fail(int ret, bool local, struct report *r)
{
	if (local)
		return report_fail(r, STATUS_FAILURE, "standard input or output: %s",
				   strerror(-ret));
	return report_fail(
		r, STATUS_BROKEN,
		"the connection broke (%s), and what was on its way is lost; "
		"it cannot be taken up again",
		strerror(-ret));
}

static enum status pass(int guest, struct report *r)
{
	struct pollfd p[JOINT_POLLS];
	struct joint j;
	bool local = true;
	int ret = joint_init(&j, STDIN_FILENO, STDOUT_FILENO, guest);

	while (!ret) {
		joint_prepare(&j, p);
		ret = poll(p, JOINT_POLLS, -1) < 0 ? -errno : 0;
		if (!ret)
			ret = joint_step(&j, p, &local);
		else if (ret == -EINTR)
			ret = 0;
	}
	joint_free(&j);
	report_set(r, "sent_bytes", json_integer((json_int_t)j.up.bytes));
	report_set(r, "received_bytes", json_integer((json_int_t)j.down.bytes));
	report_debug(r, "%llu bytes sent, %llu received",
		     (unsigned long long)j.up.bytes, (unsigned long long)j.down.bytes);
	return ret < 0 ? fail(ret, local, r) : STATUS_OK;
}

static enum status run(const struct vm *vm, uint32_t port, struct report *r)
{
	deadline_t deadline = deadline_after_ms(r->options->timeout_ms);
	cleanup_close int guest = -1;
	struct error err = {0};

	report_step(r, "connect");
	guest = endpoint_dial(&vm->endpoint, port, deadline, &err);
	if (guest < 0)
		return port_fail(vm, port, guest, &err, r);
	report_step_end(r);
	return pass(guest, r);
}

int nc_main(int argc, char **argv)
{
	struct options options;
	struct error err = {0};
	uint32_t port;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	r.json_to = stderr;
	if (port_parse(options.args[1], &port, &err))
		report_fail(&r, STATUS_USAGE, "%s", err.text);
	else if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&vm, port, &r);
	return report_finish(&r);
}
