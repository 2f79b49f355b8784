#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl hotplug-cpu and unplug-cpu on a guest that has no ACPI: 1 CPU of 4. All
# tests together may plug 15 times: see --slots of `vm up`.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot; }
teardown_file() { halt; }
teardown() { vm check guest; }

# Back to one CPU, whatever a test before has left.
one_cpu() {
	vmctl unplug-cpu guest --to 1
	expect '0 0' "$(cpus)"
	expect 1 "$(vcpus)"
}

@test "the guest has no ACPI, one CPU, and room for four" {
	run guest 'ls /sys/firmware/acpi 2>&1; cat /sys/devices/system/cpu/possible'
	expect_match '0-3$' "$output"
	expect_match 'No such file' "$output"
	expect '0 0' "$(cpus)"
}

@test "hotplug-cpu brings one CPU online, and QEMU and the guest agree" {
	run vmctl hotplug-cpu guest
	expect 0 "$status"
	expect '0-1 0-1' "$(cpus)"
	expect 2 "$(vcpus)"
}

@test "a plugged CPU runs code" {
	run guest 'taskset 2 sh -c "cat /proc/self/stat"'
	expect 0 "$status"
	expect 1 "$(echo "$output" | awk '{ print $39 }')"
}

@test "hotplug-cpu --to plugs up to a total, and is content when it is there" {
	vmctl hotplug-cpu guest --to 4
	expect '0-3 0-3' "$(cpus)"
	run vmctl hotplug-cpu guest --to 4
	expect 0 "$status"
	expect '0-3 0-3' "$(cpus)"
}

@test "unplug-cpu takes a CPU out of the guest and of QEMU" {
	one_cpu
	vmctl hotplug-cpu guest --count 2
	vmctl unplug-cpu guest
	expect '0-1 0-1' "$(cpus)"
	expect 2 "$(vcpus)"
}

@test "the same slot is plugged and unplugged three times" {
	one_cpu
	for _ in 1 2 3; do
		vmctl hotplug-cpu guest --apic-id 2
		expect 2 "$(vcpus)"
		vmctl unplug-cpu guest --apic-id 2
		expect 1 "$(vcpus)"
	done
	expect '0 0' "$(cpus)"
}

@test "unplug-cpu works while a process is bound to the CPU and busy" {
	one_cpu
	vmctl hotplug-cpu guest --count 1
	guest 'taskset 2 sh -c "while :; do :; done" & echo $! >/tmp/busy'
	vmctl unplug-cpu guest
	expect '0 0' "$(cpus)"
	guest 'kill $(cat /tmp/busy)'
}

@test "a CPU that the guest's user took offline can be unplugged" {
	one_cpu
	vmctl hotplug-cpu guest
	guest 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	vmctl unplug-cpu guest
	expect '0 0' "$(cpus)"
	expect 1 "$(vcpus)"
}

@test "the boot CPU is never unplugged" {
	one_cpu
	run vmctl unplug-cpu guest --apic-id 0
	[ "$status" -ne 0 ]
	run vmctl unplug-cpu guest --count 1
	[ "$status" -ne 0 ]
	expect '0 0' "$(cpus)"
	expect 1 "$(vcpus)"
}

@test "hotplug-cpu --json says what was before, what is after, and each step's time" {
	one_cpu
	run --separate-stderr vmctl hotplug-cpu guest --json
	expect 0 "$status"
	echo "$output" | python3 -c '
import json, sys
report = json.load(sys.stdin)
assert report["vm"] == "guest", report
assert report["before"]["online"] == "0" or report["before"]["online"] == [0], report
assert report["after"]["online"] in ("0-1", [0, 1]), report
assert all(step["ms"] >= 0 for step in report["steps"]), report
assert len(report["steps"]) >= 3, report
'
	one_cpu
}

@test "two hotplug-cpu at the same time both end well or say why" {
	one_cpu
	vmctl hotplug-cpu guest >"$BATS_TEST_TMPDIR/a" 2>&1 &
	a=$!
	vmctl hotplug-cpu guest >"$BATS_TEST_TMPDIR/b" 2>&1 &
	b=$!
	ended_well=0
	wait $a && ended_well=$((ended_well + 1))
	wait $b && ended_well=$((ended_well + 1))
	cat "$BATS_TEST_TMPDIR"/[ab]
	[ $ended_well -ge 1 ]
	# Whoever lost left nothing behind.
	expect $((1 + ended_well)) "$(vcpus)"
	expect "$((1 + ended_well))" "$(guest nproc)"
	one_cpu
}

@test "after unloading and loading the module, what it had plugged can be unplugged" {
	needs_module
	one_cpu
	vmctl hotplug-cpu guest
	guest 'modprobe -r upcall && modprobe upcall'
	vmctl unplug-cpu guest
	expect '0 0' "$(cpus)"
	expect 1 "$(vcpus)"
}

@test "memory for a machine that QEMU was started without room for" {
	run vmctl hotplug-mem guest 128M
	expect 13 "$status"
	expect_match 'guest: device_add: .*vmctl qemu-args --max-memory' "$output"
	run qmp qom-list '{"path": "/objects"}'
	[[ $output != *vmctl-mem* ]]
}
