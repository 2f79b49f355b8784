/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-iommu and unplug-iommu: a virtio-iommu that the VMM has, over MMIO or PCI,
 * and which devices are behind it. As with hotplug-mmio there is no QEMU's half.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "verbs.h"
#include "window.h"

struct iommu_options {
	struct window window; /* first: window_set_*() set it */
	bool at_pci;
	uint64_t bdf;
	struct upcall_viommu_range range[UPCALL_VIOMMU_RANGES];
	uint32_t count;
};

static int set_pci(void *into, const char *value, struct error *err)
{
	struct iommu_options *o = into;

	o->at_pci = true;
	if (bdf_parse(value, &o->bdf))
		return error_set(err, -EINVAL, "--pci %s: give an address as 00:04.0",
				 value);
	return 0;
}

/* "mmio:ADDRESS", "BDF" or "BDF-BDF" of one segment. */
static int take_devices(char *text, struct upcall_viommu_range *range)
{
	char *dash = strchr(text, '-');
	uint64_t first, last, base;

	if (!strncmp(text, "mmio:", 5)) {
		range->kind = htole32(UPCALL_RANGE_MMIO);
		if (window_number(text + 5, UINT64_MAX, &base))
			return -EINVAL;
		range->base = htole64(base);
		return 0;
	}
	if (dash)
		*dash++ = '\0';
	if (bdf_parse(text, &first) || bdf_parse(dash ? dash : text, &last) ||
	    first >> 16 != last >> 16 || last < first)
		return -EINVAL;
	range->kind = htole32(UPCALL_RANGE_PCI);
	range->segment = htole32((uint32_t)(first >> 16));
	range->first = htole16(first & 0xffff);
	range->last = htole16(last & 0xffff);
	return 0;
}

static int set_endpoint(void *into, const char *value, struct error *err)
{
	struct iommu_options *o = into;
	struct upcall_viommu_range range = {0};
	const char *equals = strchr(value, '=');
	uint64_t endpoint;
	char devices[64];

	if (o->count == UPCALL_VIOMMU_RANGES)
		return error_set(err, -EINVAL, "--endpoint: %d of them at most",
				 UPCALL_VIOMMU_RANGES);
	if (!equals || (size_t)(equals - value) >= sizeof(devices))
		goto wrong;
	memcpy(devices, value, equals - value);
	devices[equals - value] = '\0';
	if (take_devices(devices, &range) ||
	    window_number(equals + 1, UINT32_MAX, &endpoint))
		goto wrong;
	range.endpoint = htole32((uint32_t)endpoint);
	o->range[o->count++] = range;
	return 0;
wrong:
	return error_set(err, -EINVAL,
			 "--endpoint %s: give 0000:00:02.0-0000:00:02.7=16, 00:03.0=24 "
			 "or mmio:0xfeb00c00=5",
			 value);
}

static const struct change_step steps[] = {
	{"module", change_greet, false},
	{"upcall", change_ask, true},
};

static enum status check(const struct iommu_options *o, bool adds, struct report *r)
{
	if (o->at_pci && (o->window.base || o->window.size || o->window.irq))
		return report_fail(r, STATUS_USAGE,
				   "a virtio-iommu is at --pci, or at --base, --size "
				   "and --irq");
	if (adds && !o->count)
		return report_fail(r, STATUS_USAGE,
				   "name at least one --endpoint behind it");
	return o->at_pci ? STATUS_OK : window_check(&o->window, r);
}

static void fill(struct change *c, const struct iommu_options *o)
{
	struct upcall_viommu *wire = &c->del.payload.viommu;
	char bdf[BDF_TEXT_MAX];

	c->key = o->at_pci ? o->bdf : o->window.base;
	wire->at = htole32(o->at_pci ? UPCALL_VIOMMU_AT_PCI : UPCALL_VIOMMU_AT_MMIO);
	wire->base = htole64(o->window.base);
	wire->size = htole64(o->window.size);
	wire->irq = htole32((uint32_t)o->window.irq);
	wire->segment = htole16((uint16_t)(o->bdf >> 16));
	wire->bus = (uint8_t)(o->bdf >> 8);
	wire->devfn = (uint8_t)o->bdf;
	c->del.type = UPCALL_DEL_VIOMMU;
	c->del.len = offsetof(struct upcall_viommu, range);
	c->add = c->del;
	c->add.type = UPCALL_ADD_VIOMMU;
	c->add.len += o->count * sizeof(o->range[0]);
	c->add.payload.viommu.count = htole32(o->count);
	memcpy(c->add.payload.viommu.range, o->range, o->count * sizeof(o->range[0]));
	if (o->at_pci)
		snprintf(c->what, sizeof(c->what), "virtio-iommu at %s",
			 bdf_format(o->bdf, bdf));
	else
		snprintf(c->what, sizeof(c->what), "virtio-iommu at %#llx",
			 (unsigned long long)o->window.base);
}

static void set_json(const struct iommu_options *o, struct report *r)
{
	char bdf[BDF_TEXT_MAX];

	if (o->at_pci)
		report_set(r, "address", json_string(bdf_format(o->bdf, bdf)));
	else
		window_json(&o->window, r);
}

static int iommu_main(int argc, char **argv, bool adds,
		      const struct options_syntax *syntax)
{
	struct iommu_options own = {0};
	struct change c = {.adds = adds,
			   .feature = UPCALL_FEATURE_VIOMMU,
			   .verb_phrase = "plug a virtio-iommu",
			   .class_number = UPCALL_CLASS_VIOMMU};
	int ret = options_parse(argc, argv, syntax, &c.options, &own);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	change_begin(&c, syntax->verb);
	if (check(&own, adds, &c.report) == STATUS_OK) {
		fill(&c, &own);
		if (change_run(&c, steps, sizeof(steps) / sizeof(steps[0])) ==
		    STATUS_OK) {
			change_print(&c);
			set_json(&own, &c.report);
		}
	}
	return change_end(&c);
}

int hotplug_iommu_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {
		WINDOW_OPTIONS,
		{"pci", "BDF", "or its PCI address: 00:04.0", 0, set_pci},
		{"endpoint", "DEVICES=ID",
		 "what is behind it: 00:02.0-00:02.7=16, mmio:0xfeb00c00=5", 0,
		 set_endpoint},
		{NULL, NULL, NULL, 0, NULL},
	};
	static const struct options_syntax syntax = {
		.verb = "hotplug-iommu",
		.operands = "VM",
		.about =
			"Tells the guest of a virtio-iommu that the VMM has, and which "
			"devices\n"
			"are behind it. Those that the guest has are taken out and "
			"come "
			"back behind it.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return iommu_main(argc, argv, true, &syntax);
}

int unplug_iommu_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {
		WINDOW_OPTIONS,
		{"pci", "BDF", "or its PCI address: 00:04.0", 0, set_pci},
		{NULL, NULL, NULL, 0, NULL},
	};
	static const struct options_syntax syntax = {
		.verb = "unplug-iommu",
		.operands = "VM",
		.about = "Takes a virtio-iommu from the guest; where it is must be "
			 "given "
			 "as it\n"
			 "was when it was plugged.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return iommu_main(argc, argv, false, &syntax);
}
