/* SPDX-License-Identifier: Apache-2.0 */
#include "upcall_class.h"

#include "upcall_wire.h"

const char *upcall_class_name(uint32_t class_number)
{
	static const char *const names[] = {
		[UPCALL_CLASS_CPU] = "cpu",	  [UPCALL_CLASS_MMIO] = "mmio",
		[UPCALL_CLASS_PCI] = "pci",	  [UPCALL_CLASS_MEM] = "mem",
		[UPCALL_CLASS_VIOMMU] = "viommu", [UPCALL_CLASS_VIOMMU_RANGE] = "range",
	};

	if (class_number >= sizeof(names) / sizeof(names[0]) || !names[class_number])
		return "unknown";
	return names[class_number];
}
