#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Memory that QEMU makes while the guest runs: online as movable, and out again.

load common

setup_file() { boot --max-memory 10G; }
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

MIB=$((1 << 20))

make_dimm() { # make_dimm ID MIB; sets $base
	qmp object-add "{\"qom-type\": \"memory-backend-memfd\", \"id\": \"ram-$1\", \"share\": true,
		\"size\": $(($2 * MIB))}"
	qmp device_add "{\"driver\": \"pc-dimm\", \"id\": \"$1\", \"memdev\": \"ram-$1\"}"
	base=$(qmp query-memory-devices | python3 -c '
import json, sys
print(next(d["data"]["addr"] for d in json.load(sys.stdin) if d["data"]["id"] == sys.argv[1]))' "$1")
}
dimms() { qmp query-memory-devices | grep -c '"pc-dimm"\|"dimm"'; }
no_dimm() { ! qmp query-memory-devices | grep -q "\"id\": \"$1\""; }

payload() { # payload BASE MIB NODE FLAGS
	python3 -c 'import struct, sys
print(struct.pack("<QQiI", *(int(v) for v in sys.argv[1:])).hex())' "$1" $(($2 * MIB)) "$3" "$4"
}
add() { client raw 0x102 24 "$(payload "$1" "$2" -1 0)"; }
del() { client raw 0x103 24 "$(payload "$1" "$2" -1 "${3:-0}")"; }

total_mib() { guest "awk '/MemTotal/ { print int(\$2 / 1024) }' /proc/meminfo"; }
# "state zone" of each block of a range.
blocks() { # blocks BASE MIB
	guest "cd /sys/devices/system/memory; for i in \$(seq $(($1 / (128 * MIB))) $((($1 + $2 * MIB - 1) / (128 * MIB)))); do
		[ -d memory\$i ] && echo \$(cat memory\$i/state memory\$i/valid_zones); done"
}

# Pages that are free in the zone of those that can be moved.
movable_free() {
	guest "sed -n '/zone *Movable/,/pages free/s/.*pages free *//p' /proc/zoneinfo" | tr -d '\r'
}

@test "one DIMM of one block and one of two: online as movable, used, and out again" {
	before=$(total_mib)
	make_dimm one 128
	first=$base
	run add "$first" 128
	expect_match '^ret=0 .* size=0 type=258 ' "$output"
	make_dimm two 256
	run add "$base" 256
	expect_match '^ret=0 ' "$output"
	expect $((before + 384)) "$(total_mib)"
	expect 'online Movable
online Movable
online Movable' "$(blocks "$first" 384)"
	# Pages that can be moved go to the zone of such pages first.
	free=$(movable_free)
	guest 'mkdir -p /tmp/big; mount -t tmpfs -o size=64m tmp /tmp/big
		head -c 24000000 /dev/urandom >/tmp/big/file; md5sum /tmp/big/file >/tmp/sum'
	[ "$(movable_free)" -lt $((free - 20000000 / 4096)) ]
	run del "$base" 256 1
	expect_match '^ret=0 ' "$output"
	run del "$first" 128 1
	expect_match '^ret=0 ' "$output"
	guest 'md5sum -c /tmp/sum; umount /tmp/big'
	expect "$before" "$(total_mib)"
	eventually no_dimm one
	eventually no_dimm two
	qmp object-del '{"id": "ram-one"}'
	qmp object-del '{"id": "ram-two"}'
}

@test "ranges that cannot be are refused" {
	make_dimm one 128
	run add 0 128
	expect_match '^ret=EADDRINUSE ' "$output"
	run add $((base + MIB)) 128
	expect_match '^ret=EINVAL .*blocks of 128 MiB' "$output"
	run add "$base" 64
	expect_match '^ret=EINVAL ' "$output"
	run add "$base" 256
	expect_match '^ret=ENODEV .*no DIMMs' "$output"
	# Beyond the CPU's addresses, and not beyond the kernel's mappings.
	run add $((1 << 47)) 128
	expect_match '^ret=EINVAL .*takes memory from' "$output"
	run add $((1 << 60)) 128
	expect_match '^ret=EINVAL ' "$output"
	run client raw 0x102 24 "$(payload "$base" 128 5 0)"
	expect_match '^ret=ENODEV .*node 5' "$output"
	run client raw 0x102 24 "$(payload "$base" 128 -2 0)"
	expect_match '^ret=EINVAL .*node -2' "$output"
	run client raw 0x102 24 "$(payload "$base" 0 -1 0)"
	expect_match '^ret=EINVAL .*empty' "$output"
	run del "$base" 128
	expect_match '^ret=ENODEV ' "$output"
	add "$base" 128
	run add "$base" 128
	expect_match '^ret=EEXIST ' "$output"
	run del "$base" 256
	expect_match '^ret=EINVAL ' "$output"
	del "$base" 128 1
	qmp object-del '{"id": "ram-one"}'
}

@test "memory that nobody made is refused, and memory that the guest never took is ejected" {
	make_dimm never 128
	run del "$base" 128 1
	expect_match "^ret=0 " "$output"
	eventually no_dimm never
	run add $((1 << 32)) 128
	expect_match '^ret=ENODEV ' "$output"
}

@test "a page that somebody holds: the removal ends with an error, and works when it is let go" {
	make_dimm one 128
	add "$base" 128
	guest 'mkfifo /tmp/hold; (hold-pages 100 </tmp/hold >/tmp/held 2>&1 & echo $! >/tmp/pid)
		sleep 1000 >/tmp/hold & echo $! >/tmp/sleep'
	eventually guest 'grep -q holding /tmp/held'
	block=$((base / (128 * MIB)))
	run del "$base" 128 1
	expect_match "^ret=EBUSY .*memory$block at .*pages that cannot move" "$output"
	expect 'online Movable' "$(blocks "$base" 128)"
	guest 'kill $(cat /tmp/pid) $(cat /tmp/sleep)'
	eventually del "$base" 128 1
	eventually no_dimm one
	qmp object-del '{"id": "ram-one"}'
}

@test "a block that cannot go is named, and all of it stays as it was, what was offline too" {
	make_dimm many 512
	add "$base" 512
	block=$((base / (128 * MIB)))
	# The kernel's own things, which do not move, go to the last one first; then another
	# block is made to be for those, and has none yet.
	guest "cd /sys/devices/system/memory
		echo offline >memory$((block + 2))/state
		cd memory$((block + 3)); echo offline >state; echo online_kernel >state
		mkdir /tmp/many; mount -t tmpfs -o nr_inodes=0 tmp /tmp/many; cd /tmp/many
		for d in 1 2 3 4; do mkdir \$d; (cd \$d; seq 10000 | xargs touch); done
		cd /sys/devices/system/memory/memory$block; echo offline >state; echo online_kernel >state"
	before=$(blocks "$base" 512)
	expect_match $'^online Normal\nonline Movable\noffline [A-Za-z ]*\nonline Normal$' "$before"
	run del "$base" 512 1
	expect_match "^ret=EBUSY .*rolled_back=2 .*memory$((block + 3)) at " "$output"
	expect "$before" "$(blocks "$base" 512)"
	guest 'umount /tmp/many; echo 3 >/proc/sys/vm/drop_caches'
	run no_dimm many
	[ "$status" -ne 0 ]
}

@test "memory that comes half way and cannot be taken back is listed, and can go later" {
	needs_module
	[ "$VM_KERNEL" != 6.12-module ] || skip "its module comes from the kernel's tree"
	make_dimm two 256
	# No kernel here fails like that: the module says that it did.
	variant 's/ret = ksym_device_online(&block->dev);/ret = walk->taken || !walk->blocks ? ksym_device_online(\&block->dev) : -ENOMEM;/
		s/report->stuck = remove_blocks(base, size, &later) != 0;/report->stuck = 1;/' mem.c
	run add "$base" 256
	expect_match '^ret=ENOMEM .*stuck=1 ' "$output"
	expect_match "class=mem key=$(printf '%#x' "$base") " "$(list)"
	expect $'online Movable\noffline' "$(blocks "$base" 256 | sed 's/^offline.*/offline/')"
	run del "$base" 256 1
	expect_match '^ret=0 ' "$output"
	eventually no_dimm two
	guest 'rmmod upcall && modprobe upcall'
}

@test "a reloaded module takes out what the one before it had plugged" {
	needs_module
	make_dimm one 128
	add "$base" 128
	guest 'modprobe -r upcall && modprobe upcall'
	run del "$base" 128 1
	expect_match '^ret=0 ' "$output"
	eventually no_dimm one
}

@test "a DIMM plugged in 45 pieces: LIST and the dump have them all, and they go one by one" {
	[ "$VM_KERNEL" != debug ] || skip "KASAN wants an eighth of it, which the guest has not"
	before=$(total_mib)
	had=$(list)
	make_dimm large 5760
	for i in {0..44}; do
		add $((base + i * 128 * MIB)) 128
	done
	expect $((before + 5760)) "$(total_mib)"
	# Five parts of the one, two messages of the other.
	run list
	expect $((45 + $(grep -c . <<<"$had"))) "${#lines[@]}"
	expect "$output" "$(guest 'upcall-events list')"
	run del "$base" 128 1
	expect_match '^ret=EINVAL .*a DIMM goes as a whole' "$output"
	for i in {44..0}; do
		del $((base + i * 128 * MIB)) 128
	done
	expect "$had" "$(list)"
	expect "$before" "$(total_mib)"
	del "$base" 5760 1
	eventually no_dimm large
}

# The last one: it is in a guest of two nodes.
@test "LIST, the events and the guest's own files say which node it was plugged into" {
	reboot --max-memory 1G --append numa=fake=2
	listen 4
	make_dimm one 128
	block=$((base / (128 * MIB)))
	for node in 1 0; do
		run client raw 0x102 24 "$(payload "$base" 128 $node 0)"
		expect_match '^ret=0 ' "$output"
		expect "size=0x8000000 node=$node block_mib=128" "$(listed mem "$base")"
		guest "ls -d /sys/devices/system/node/node$node/memory$block"
		entry=$(list)
		del "$base" 128 $((node == 0))
		run heard $((node ? 2 : 4))
		expect_event ADD_MEM2 plugged "$entry" "${lines[node ? 1 : 3]}"
		expect_event DEL_MEM2 unplugged "$entry" "${lines[node ? 2 : 4]}"
	done
	eventually no_dimm one
	qmp object-del '{"id": "ram-one"}'
}
