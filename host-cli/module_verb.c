/* SPDX-License-Identifier: Apache-2.0 */
#include "module_verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "retry.h"

const char *bdf_format(uint64_t bdf, char buf[BDF_TEXT_MAX])
{
	snprintf(buf, BDF_TEXT_MAX, "%04llx:%02x:%02x.%x",
		 (unsigned long long)(bdf >> 16 & 0xffffffff),
		 (unsigned int)(bdf >> 8 & 0xff), (unsigned int)(bdf >> 3 & 0x1f),
		 (unsigned int)(bdf & 7));
	return buf;
}

static int take_hex(const char **s, size_t digits, unsigned int *value)
{
	size_t n = strspn(*s, "0123456789abcdefABCDEF");

	if (!n || n > digits || sscanf(*s, "%x", value) != 1)
		return -EINVAL;
	*s += n;
	return 0;
}

int bdf_parse(const char *text, uint64_t *bdf)
{
	const char *colon = strchr(text, ':');
	unsigned int segment = 0, bus, device, function;

	if (colon && strchr(colon + 1, ':') &&
	    (take_hex(&text, 4, &segment) || *text++ != ':'))
		return -EINVAL;
	if (take_hex(&text, 2, &bus) || *text++ != ':' || take_hex(&text, 2, &device) ||
	    *text++ != '.' || take_hex(&text, 1, &function) || *text || device > 31 ||
	    function > 7)
		return -EINVAL;
	*bdf = (uint64_t)segment << 16 | bus << 8 | device << 3 | function;
	return 0;
}

enum status module_open(const struct vm *vm, struct upcall *u, uint32_t feature,
			bool base, const char *what, deadline_t deadline,
			struct report *r)
{
	enum status status = vm_open_module(vm, u, deadline, r);

	if (status != STATUS_OK)
		return status;
	report_debug(r, "module %s, kernel %s, features 0x%x",
		     *u->module ? u->module : "(no extensions)",
		     *u->kernel ? u->kernel : "(not told)", u->features);
	if (u->features & feature || (base && !u->features))
		return STATUS_OK;
	if (!u->features)
		return report_fail(r, STATUS_REFUSED,
				   "the guest's device manager cannot %s: it is not "
				   "the upcall module; install upcall in the guest",
				   what);
	return report_fail(r, STATUS_REFUSED,
			   "the guest's module %s cannot %s: its kernel %s has no "
			   "driver for it, hides what the module needs, or has ACPI "
			   "on; the guest's kernel log says which",
			   u->module, what, u->kernel);
}

int module_verb_main(int argc, char **argv, const struct options_syntax *syntax,
		     enum status (*ask)(struct upcall *u, deadline_t deadline,
					struct report *r))
{
	struct upcall upcall = {.fd = -1};
	struct options options;
	deadline_t deadline;
	struct retry t;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax->verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK) {
		report_step(&r, "module");
		retry_begin(&t, deadline, &r);
		do {
			upcall_close(&upcall);
			if (module_open(&vm, &upcall, UPCALL_FEATURE_QUERY, false,
					"tell of itself", deadline, &r) == STATUS_OK)
				ask(&upcall, deadline, &r);
		} while (r.status != STATUS_OK && retry_again(&t));
	}
	upcall_close(&upcall);
	return report_finish(&r);
}
