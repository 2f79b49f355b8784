#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Inputs to begin from, for fuzz_ring and fuzz_front: rings with chains in them, and
# what front-ends really send.
#
#   tests/fuzz/seeds.py ring|front FOLDER
import struct
import sys

GUEST, USER = 0x1000, 0x100000
NEXT, WRITE, INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15
TAKE, GIVE, PUT_BACK, COMMIT, WAIT, QUIET, POKE, RESTART = range(8)


def ring_input(features, num, base, steps, image):
    head = struct.pack("<BBBBI", features, num, len(steps), 0, base)
    return head + b"".join(struct.pack("<BBH", *s) for s in steps) + image


def ring_steps(chains):
    steps = [(QUIET, 0, 0)]
    steps += [(TAKE, 0, 0)] * chains + [(PUT_BACK, 1, 0), (TAKE, 0, 0)]
    steps += [(GIVE, 0, 100)] * chains + [(COMMIT, 0, 0), (WAIT, 0, 0)]
    return steps + [(RESTART, 1, 0), (TAKE, 0, 0), (RESTART, 0, 0), (RESTART, 2, 0)]


def place(image, at, data):
    image[at:at + len(data)] = data


def rings():
    table = 0x1000
    chains = [[(GUEST + 0x800, 44, NEXT), (GUEST + 0x1ff0, 32, 0)],
              [(GUEST + 0x900, 100, WRITE)],
              [(GUEST + table, 32, INDIRECT)]]
    for features in (0, 2, 4, 6, 8, 14, 16, 22, 30):
        image = bytearray(0x1100)
        index = 0
        place(image, 0x400, struct.pack("<HH", 0, len(chains)))
        for n, chain in enumerate(chains):
            place(image, 0x404 + 2 * n, struct.pack("<H", index))
            for addr, size, flags in chain:
                place(image, 16 * index, struct.pack("<QIHH", addr, size, flags, index + 1))
                index += 1
        place(image, table, struct.pack("<QIHH", GUEST + 0xa00, 8, NEXT, 1)
              + struct.pack("<QIHH", GUEST + 0xb00, 8, WRITE, 0))
        yield ring_input(features, 3, 0, ring_steps(len(chains)), bytes(image))
        image = bytearray(0x1100)
        index = 0
        for n, chain in enumerate(chains):
            for addr, size, flags in chain:
                place(image, 16 * index, struct.pack("<QIHH", addr, size, n, flags | AVAIL))
                index += 1
        place(image, table, struct.pack("<QIHH", GUEST + 0xa00, 8, 0, 0)
              + struct.pack("<QIHH", GUEST + 0xb00, 8, 0, WRITE))
        yield ring_input(features | 1, 5, 0x8000, ring_steps(len(chains)), bytes(image))


def message(request, payload=b"", fds=0, first=0, flags=9):
    return bytes([fds, first]) + struct.pack("<III", request, flags, len(payload)) + payload


def u64(value):
    return struct.pack("<Q", value)


def front(features, slots=False, log=False, three=False):
    protocol = 1 | 2 | 8 | 0x200 | 0x1000 | 0x2000 | (0x8000 if slots else 0)
    regions = [(0x10000, 0x80000, 0x7f0000000000, 0), (0x90000, 0x80000, 0x7f0000100000, 0x80000)]
    out = message(1, flags=1) + message(15, flags=1) + message(16, u64(protocol), flags=1)
    out += message(17, flags=1) + message(3, flags=1) + message(2, u64(features | 1 << 30 | 1 << 32))
    out += message(24, struct.pack("<III", 0, 8, 0) + bytes(8), flags=1)
    if slots:
        out += message(36, flags=1)
        for r in regions:
            out += message(37, u64(0) + struct.pack("<QQQQ", *r), 1)
    else:
        out += message(5, struct.pack("<II", 2, 0) + b"".join(struct.pack("<QQQQ", *r) for r in regions), 2)
    if log:
        out += message(6, struct.pack("<QQ", 0x1000, 16), 1, flags=1) + message(7, b"", 1, 3)
        out += message(2, u64(features | 1 << 26 | 1 << 30 | 1 << 32))
    inflight = struct.pack("<QQHHI", 0, 0, 3, 16, 0)
    out += message(31, inflight, flags=1)
    out += message(32, struct.pack("<QQHHI", 0x4000, 0x1000, 3, 16, 0), 1)
    packed = features >> 34 & 1
    for i in range(3 if three else 2):
        at = 0x7f0000000000 + i * 0x4000
        out += message(8, struct.pack("<II", i, 16))
        out += message(10, struct.pack("<II", i, 0x80008000 if packed else 0))
        out += message(9, struct.pack("<IIQQQQ", i, log, at, at + 0x2000, at + 0x1000, 0x12000))
        out += message(13, u64(i), 1, 4) + message(14, u64(0x100 | i)) + message(12, u64(i), 1, 3)
        out += message(18, struct.pack("<II", i, 1))
    if slots:
        out += message(38, u64(0) + struct.pack("<QQQQ", *regions[0]))
        out += message(37, u64(0) + struct.pack("<QQQQ", *regions[0]), 1)
    for i in range(2):
        out += message(18, struct.pack("<II", i, 0)) + message(11, struct.pack("<II", i, 0), flags=1)
    return out + message(34) + message(4) + message(25, struct.pack("<III", 0, 8, 0) + bytes(8))


def fronts():
    for features in (0, 3 << 28, 1 << 34, 1 << 34 | 3 << 28):
        for slots in (False, True):
            yield front(features, slots, log=slots, three=not slots)
            yield front(features, slots, log=not slots)


def main():
    inputs = {"ring": rings, "front": fronts}[sys.argv[1]]
    for number, data in enumerate(inputs()):
        with open(f"{sys.argv[2]}/seed-{number}", "wb") as file:
            file.write(data)


main()
