# SPDX-License-Identifier: Apache-2.0
"""Good requests of every type, as docs/protocol.md describes them, for the fuzzers
to begin from."""
import struct

SIZE = 0x400
MAGIC = 0x444D0100

ADD_CPU, DEL_CPU, ADD_MEM, DEL_MEM = 1, 2, 3, 4
ADD_MMIO, DEL_MMIO, ADD_PCI, DEL_PCI = 5, 6, 7, 8
ADD_CPU2, DEL_CPU2, ADD_MEM2, DEL_MEM2 = 0x100, 0x101, 0x102, 0x103
ADD_VIOMMU, DEL_VIOMMU, ADD_PCI2, DEL_PCI2 = 0x104, 0x105, 0x106, 0x107
LIST, STATUS = 0x110, 0x111
TYPES = [*range(1, 9), *range(0x100, 0x108), LIST, STATUS]

NONE = 0xFFFFFFFF
EJECT = 1


def message(kind, payload=b"", size=None, magic=MAGIC, flags=0):
    size = len(payload) if size is None else size
    head = struct.pack("<IIII", magic, size & NONE, kind & NONE, flags & NONE)
    return (head + payload).ljust(SIZE, b"\0")


def cpu(kind, ids):
    return message(kind, struct.pack("BB256s", len(ids), 0x14, bytes(ids)))


def cpu2(kind, entries, flags=0):
    """Entries are (APIC id, ACPI id, node)."""
    body = b"".join(struct.pack("<IIi", *entry) for entry in entries)
    return message(kind, struct.pack("<II", len(entries), flags) + body)


def mmio(kind, base, size, irq):
    return message(kind, struct.pack("<QQII", base, size, irq, 0))


def pci(kind, bus, devfn):
    return message(kind, bytes([bus, devfn]))


def pci2(kind, segment, bus, devfn, flags=0):
    return message(kind, struct.pack("<IBBH", segment, bus, devfn, flags))


def mem2(kind, base, size, node=-1, flags=0):
    return message(kind, struct.pack("<QQiI", base, size, node, flags))


def viommu(kind, window=None, bdf=(0, 0, 0), ranges=()):
    """At a window of (base, size, IRQ), or at a BDF of (segment, bus, devfn). Ranges
    are (kind, endpoint, segment, first, last, base)."""
    body = b"".join(struct.pack("<IIIHHQ", *entry) for entry in ranges)
    head = struct.pack("<IIQQIHBB", not window, len(ranges), *(window or (0, 0, 0)), *bdf)
    return message(kind, head + body)


def query(kind, start=0):
    return message(kind, struct.pack("<II", start, 0))


WINDOW = (0xFEB00000, 0x200, 5)


def good():
    """One or more of each type; what a guest says to them is another matter."""
    for kind in (ADD_CPU, DEL_CPU):
        yield cpu(kind, [1])
        yield cpu(kind, range(1, 256))
    for kind in (ADD_CPU2, DEL_CPU2):
        yield cpu2(kind, [(1, 1, 0)])
        yield cpu2(kind, [(300 + i, NONE, -1) for i in range(80)])
    yield cpu2(DEL_CPU2, [(2, NONE, -1)], EJECT)
    for kind in (ADD_MMIO, DEL_MMIO):
        yield mmio(kind, *WINDOW)
    for kind in (ADD_PCI, DEL_PCI):
        yield pci(kind, 0, 0x10)
    for kind in (ADD_PCI2, DEL_PCI2):
        yield pci2(kind, 0, 1, 0)
    yield pci2(DEL_PCI2, 0, 1, 0, EJECT)
    for kind in (ADD_MEM2, DEL_MEM2):
        yield mem2(kind, 0x100000000, 0x8000000)
    yield mem2(DEL_MEM2, 0x100000000, 0x8000000, 0, EJECT)
    ranges = [(0, 16 * i, 0, 16 * i, 16 * i + 15, 0) for i in range(23)]
    ranges.append((1, 0x10000, 0, 0, 0, 0xFEB00200))
    yield viommu(ADD_VIOMMU, WINDOW, ranges=ranges[-1:])
    yield viommu(ADD_VIOMMU, WINDOW, ranges=ranges)
    yield viommu(ADD_VIOMMU, None, (0, 0, 8), ranges[:1])
    yield viommu(DEL_VIOMMU, WINDOW)
    yield viommu(DEL_VIOMMU, None, (0, 0, 8))
    yield query(LIST)
    yield query(STATUS, 1)
