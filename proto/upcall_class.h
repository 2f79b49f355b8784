/* SPDX-License-Identifier: Apache-2.0 */
/* What users are told that the classes of upcall_wire.h are. */
#ifndef PROTO_UPCALL_CLASS_H
#define PROTO_UPCALL_CLASS_H

#include <stdint.h>

/* "cpu", "mmio", "pci", "mem", "viommu", "range"; "unknown" for another number. */
const char *upcall_class_name(uint32_t class_number);

#endif
