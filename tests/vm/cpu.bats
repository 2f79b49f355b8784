#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# CPUs, in lists and with all that ADD_CPU2 can say of them.

load common

setup_file() { boot --max-cpus 8 --append numa=fake=2; }
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

create() { # create APIC-ID...
	local id
	for id in "$@"; do
		qmp device_add "{\"driver\": \"max-x86_64-cpu\", \"id\": \"test$id\",
			\"socket-id\": $id, \"core-id\": 0, \"thread-id\": 0}"
	done
}

# One word of a reply: `word kernel_ns "$output"`.
word() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<" $2"; }

@test "1 -> 8 -> 1 CPUs in batches, with Dragonball's bytes" {
	create 1 2 3 4 5 6 7
	run client add 1
	expect_match '^ret=0 done=1 ' "$output"
	run client add 2 3 4 5
	expect_match '^ret=0 done=4 ' "$output"
	expect '0-5 0-5' "$(cpus)"
	run client add 6 7
	expect_match '^ret=0 done=2 ' "$output"
	expect '0-7 0-7' "$(cpus)"
	run client del 7 5 3
	expect_match '^ret=0 done=3 ' "$output"
	expect '0-2,4,6 0-2,4,6' "$(cpus)"
	run client del 1 2 4 6
	expect_match '^ret=0 done=4 ' "$output"
	expect '0 0' "$(cpus)"
	run client eject 1 2 3 4 5 6 7
	expect_match '^ret=0 done=7 ' "$output"
	eventually test "$(vcpus)" = 1
}

# What the module adds to the kernel's own add_cpu, and the way to it and back to that, has
# 250 ms in all. A busy machine may stretch a round, but a module that takes its time
# does so in each: one round of ten has to be within it.
@test "a batch of one is answered within 250 ms of what the kernel itself takes" {
	create 1
	good=0
	for round in {1..10}; do
		run client add 1
		expect_match '^ret=0 done=1 ' "$output"
		kernel=$(($(word kernel_ns "$output") / 1000))
		total=$(($(word total_ns "$output") / 1000))
		reply=$(word reply_us "$output")
		figures "one CPU, round $round: the kernel's add_cpu $kernel us," \
			"the module with it $total us, the client's reply $reply us"
		[ "$kernel" -gt 0 ]
		[ "$total" -ge "$kernel" ]
		client del 1
		[ $((reply - kernel)) -gt 250000 ] || {
			good=1
			break
		}
	done
	client eject 1
	[ $good = 1 ]
}

@test "docs/protocol.md: the example, byte by byte, plugs a CPU" {
	create 1
	play-example "$here/../../docs/protocol.md" "$(sock)"
	expect '0-1 0-1' "$(cpus)"
	client eject 1
}

@test "a CPU goes to the node that ADD_CPU2 names, and its slot can be used again" {
	for node in 1 0; do
		create 1
		run client add2 1:77:$node
		expect_match '^ret=0 done=1 size=4 type=256 ' "$output"
		expect '0-1 0-1' "$(cpus)"
		run guest 'ls -d /sys/devices/system/cpu/cpu1/node*'
		expect "/sys/devices/system/cpu/cpu1/node$node" "$output"
		expect "acpi_id=0x4d node=$node cpu=1" "$(listed cpu 1)"
		run client eject 1
		expect_match '^ret=0 done=1 ' "$output"
		expect 1 "$(vcpus)"
	done
}

@test "a node that is not there is refused" {
	create 1
	for node in 2 63 64 2147483647; do
		run client add2 1:1:$node
		expect_match "^ret=ENODEV .*node $node " "$output"
	done
	run client add2 1:1:-2
	expect_match '^ret=EINVAL .*failed=0 .*node -2 ' "$output"
	expect '0 0' "$(cpus)"
	client eject 1
}

# A guest without ACPI finds its CPUs in the MP table, whose ids have 8 bits, and uses
# no x2APIC (docs/protocol.md): what can be shown is that all 32 bits arrive. The low 8,
# 16 and 24 bits of these ids are those of a vCPU that could be plugged, or unplugged.
@test "ids of 32 bits are read whole" {
	create 1
	for id in 0x101 0x10001 0x1000001 0xffffff01; do
		run client add2 $id
		expect_match "^ret=EINVAL .*no APIC of this guest can have the id $((id))\"" "$output"
		expect '0 0' "$(cpus)"
	done
	client add2 1
	expect 'acpi_id=0xffffffff node=-1 cpu=1' "$(listed cpu 1)"
	for id in 0x101 0x10001 0x1000001 0xffffff01; do
		run client del2 $id
		expect_match "^ret=ENODEV .*APIC id $((id)) " "$output"
		run client eject $id
		expect_match "^ret=ENODEV .*APIC id $((id))\"" "$output"
		expect '0-1 0-1' "$(cpus)"
	done
	run client add2 255 # everyone's
	expect_match '^ret=EINVAL .*no APIC of this guest can have the id 255' "$output"
	client eject 1
}

@test "a CPU that is offline is there, and goes; the boot CPU stays" {
	create 1
	client add2 1
	guest 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	run client add2 1
	expect_match '^ret=EEXIST ' "$output"
	run client del2 1
	expect_match '^ret=0 ' "$output"
	client eject 1
	run client del2 0
	expect_match '^ret=EBUSY .*boot CPU' "$output"
}

@test "a reloaded module knows what the one before it had plugged" {
	needs_module
	create 1
	client add2 1:9:1
	guest 'modprobe -r upcall && modprobe upcall'
	run guest 'ls /sys/bus/platform/devices'
	expect_match 'upcall-plugged' "$output"
	run client del 1
	expect_match '^ret=0 done=1 ' "$output"
	expect '0 0' "$(cpus)"
	run guest 'ls /sys/bus/platform/devices'
	[[ $output != *upcall-plugged* ]]
	client eject 1
}
