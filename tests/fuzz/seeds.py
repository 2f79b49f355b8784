#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Inputs to begin from: for fuzz_ring, rings with chains in them; for fuzz_front, what
# front-ends really send; for fuzz_packet, connections from their beginning to their
# end; for fuzz_line, lines; for fuzz_agent, calls of each method; for fuzz_parse, files.
#
#   tests/fuzz/seeds.py ring|front|packet|line|agent|parse FOLDER
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


# The steps of fuzz_packet.c.
(PACKET, RAW, CONNECT, WRITE, READ, SHUT, CLOSE, TIME, OFFER, RECEIVE, ANSWER, ACCEPT, PAUSE,
 RESTART) = range(14)
HOLD = 0x80
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(7)
EOM = 0x100
BUFFERS = (OFFER, 0, 64, 3731)


def packet_input(steps, head=(0, 0, 7, 0)):
    return bytes(head) + b"".join(struct.pack("<BBHI", *s) for s in steps)


def talk(flow, message, buffers):
    """Bytes both ways, more than what is passed on at once, and credit."""
    for size in (1, 3000, 60000, 60000, 60000):
        yield PACKET, flow, RW | message, size
        yield WRITE, flow, 0, size
        yield RECEIVE, flow, 63, 0
        yield OFFER, 0, buffers, 3731
    yield PACKET, flow, CREDIT_UPDATE, 0x40000000
    yield PACKET, flow, CREDIT_REQUEST, 0
    yield HOLD | PACKET, flow, RW, 100
    yield HOLD | PACKET, flow, RW, 200
    yield PACKET, flow, RW | message, 300
    for _ in range(4):
        yield READ, flow, 0, 100000
    yield RECEIVE, flow, 63, 0
    yield BUFFERS


def endings(flow):
    both = [(READ, flow, 0, 100000)] * 2 + [(RECEIVE, flow, 63, 0), (TIME, flow, 0, 9000)]
    yield [(PACKET, flow, SHUTDOWN, 2), (SHUT, flow, 0, 0)] + both
    yield [(PACKET, flow, SHUTDOWN, 3)] + both
    yield [(PACKET, flow, RST, 0)] + both
    yield [(CLOSE, flow, 0, 0), (PACKET, flow, RW | EOM, 10)] + both
    yield [(PACKET, flow, SHUTDOWN, 1), (WRITE, flow, 0, 10), (SHUT, flow, 1, 0)] + both
    yield [(PAUSE, flow, 0, 0), (PACKET, flow, RW | EOM, 10), (RESTART, flow, 0, 0)] + both


def packets():
    begin = [BUFFERS]
    greet = [(READ, 0, 0, 100), (WRITE, 0, 0, 0), (RECEIVE, 0, 9, 0)]
    opened = [(RECEIVE, 0, 9, 0)]
    # With a window of the guest's that is large, or small.
    for window in (0, 2, 3):
        openings = [[(CONNECT, 0, kind, window)] + opened for kind in (0, 1, 2, 3, 4, 5, 16, 17)]
        openings += [[(PACKET, 0, REQUEST, window << 8 | port)] + opened for port in (0, 1)]
        openings += [[(PACKET, 0, REQUEST | 0x200, window << 8 | port)] + greet
                     for port in (0, 1)]
        for number, opening in enumerate(openings):
            for ending in endings(0):
                buffers = 3 if number % 2 else 64
                steps = begin + opening + list(talk(0, EOM, buffers)) + ending
                for head in ((0, 0, 7, 0), (1, 1, 7, 0), (2, 1, 1, 3)):
                    yield packet_input(steps, head)
    # Nobody there, a queue that is full, a guest that says no, or nothing.
    yield packet_input(begin + [(PACKET, i, REQUEST, 2 + i % 3) for i in range(6)]
                       + [(TIME, 0, 0, 500), (ACCEPT, 0, 0, 0), (TIME, 0, 0, 900), *opened])
    for answer in (1, 2):
        yield packet_input(begin + [(ANSWER, 0, answer, 0), (CONNECT, 0, 0, 0), *opened,
                                    (WRITE, 0, 0, 10), (TIME, 0, 0, 11000), *opened])
    # Each field wrong by itself.
    for bit in range(12):
        for value in (0, 0x12345, 0xffffff05):
            yield packet_input(begin + [(CONNECT, 0, 0, 0), *opened, (RAW, 0, 1 << bit, value),
                                        *opened])


def line_input(kind, cut, line):
    return bytes([kind, cut]) + line


def lines():
    """Of a host program, a sibling, and the answer of one; all for both socket types."""
    right = [b"CONNECT 5000\n", b"connect 1\r\nhello", b"CONNECT 4294967295\n",
             b"CONNECT 5000 FROM 7:1025\n", b"connect 1 from 7:2\r\nbytes behind",
             b"OK 77\n", b"ok 1\r\nand more"]
    wrong = [b"CONNECT 4294967296\n", b"CONNECT 00000000001\n", b"CONNECT -1\n", b"CONNECT \n",
             b"CONNECT  1\n", b"CONNECT 1 \n", b"CONNECT 1 FROM 8:1\n", b"CONNECT 1\0\n",
             b"CONNECT 1 FROM 42:1\n", b"GET / HTTP/1.0\r\n", b"OK\n", b"OK 1", b"",
             b"CONNECT 1", b"CONNECT 1 FROM 7:4294967296\n", b"C" * 200]
    for line in right + wrong:
        for kind in (k for k in range(16) if k & 3 != 3):
            for cut in (0, 1, 5):
                yield line_input(kind, cut, line)


# The steps of fuzz_agent.c.
CALL, DATA, BYTES, RELEASE, TURNS, READ_ANSWERS = range(6)
CLOSED, OPEN, NO_DATA = 1, 2, 4
METHODS = 100  # more than there are


def call(stream, method, payload=b"", flags=0, timeout=0):
    return bytes([CALL, stream, method, flags, timeout]) + struct.pack(">H", len(payload)) + payload


def frame(stream, payload=b"", flags=0):
    return bytes([DATA, stream, flags]) + struct.pack(">H", len(payload)) + payload


def raw(payload):
    return bytes([BYTES]) + struct.pack(">H", len(payload)) + payload


def header(length, stream, kind, flags=0):
    return struct.pack(">IIBB", length, stream, kind, flags)


def connections():
    # A message with a number, with bytes that are a message or text, with a list.
    payloads = [b"", b"\x08\x01", b"\x0a\x02\x08\x01", b"\x0a\x03/ab\x12\x01x\x18\x05",
                b"\x08\x01\x10\x02\x1a\x04name\x22\x00\x28\x01"]
    turns = bytes([TURNS, 4])
    for method in range(METHODS):
        for number, payload in enumerate(payloads):
            head = bytes([0xf0 | number, method & 1])
            unary = call(0, method, payload) + turns + bytes([RELEASE])
            stream = call(1, method, payload, OPEN) + frame(1, payload) * 9 + turns
            stream += bytes([RELEASE]) * 2 + frame(1, payload, CLOSED) + turns
            given_up = call(2, method, b"", OPEN, 1) + frame(2, b"", NO_DATA)
            ended = call(3, method, payload, CLOSED) + frame(3, b"", CLOSED | NO_DATA)
            yield head + unary + stream + given_up + ended + bytes([READ_ANSWERS, 200])
    good = header(2, 1, 1) + b"\x0a\x00"
    for data in (good, header(2, 2, 1) + b"\x0a\x00", header(5 << 20, 1, 1) + bytes(100),
                 header(0xffffffff, 1, 1), header(4, 3, 3, 5), header(0, 1, 7), good[:7]):
        for chunk in (0, 0x20, 0xf0):
            yield bytes([chunk, 0]) + raw(data) + turns + raw(good)
    # More than it lets wait, and a client that does not read.
    yield b"\xf3\0" + b"".join(call(i, 1) + turns for i in range(100))
    yield b"\xf0\0" + call(0, 9, b"", OPEN) + b"".join(frame(0, bytes(3000)) for _ in range(100))


def files():
    """What fuzz_parse.c reads: frames, a table of mounts, keys, a policy."""
    yield b"\0\1" + header(3, 1, 1) + b"abc" + header(0, 3, 3, 5) + header(5 << 20, 5, 1) + b"x"
    mounts = (b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
              b"23 22 0:21 / /proc rw - proc proc rw\n"
              b"24 22 8:1 /srv /mnt/a\\040b ro master:2 propagate_from:1 - ext4 /dev/sda1 ro\n"
              b"25 22 0:30 / /run/x rw - fuse.s\\134x  rw\n")
    kinds = b"nodev\tproc\n\text4\n\tvfat\n"
    yield b"\1" + mounts + b"\0" + kinds
    yield b"\1" + mounts[:50] + b"\0" + kinds
    for line in (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@host",
                 b'command="echo \\"ssh-rsa x\\"",no-pty ecdsa-sha2-nistp256 AAAA= x',
                 b"# ssh-rsa AAAA", b"sk-ssh-ed25519@openssh.com\tAAAA", b'from="*" ssh-rsa'):
        yield b"\2" + line
    yield b"\3allow vmctl.agent.v1.GuestAgent/Get*  # so\n\ndeny *\n"
    yield b"\3deny [a-z]*/?x[!e]c\nallow */\\*\n# none\n deny\tx/y\r\n"
    yield b"\3permit all\n"


def main():
    inputs = {"ring": rings, "front": fronts, "packet": packets, "line": lines,
              "agent": connections, "parse": files}[sys.argv[1]]
    for number, data in enumerate(inputs()):
        with open(f"{sys.argv[2]}/seed-{number}", "wb") as file:
            file.write(data)


main()
