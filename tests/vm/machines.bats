#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Other machines, and machines that go away and come back.

load common

teardown() { halt; }

@test "microvm boots without ACPI, and its agent and module answer" {
	boot --machine microvm
	run guest 'ls /sys/firmware/acpi; cat /sys/module/upcall/parameters/mmio_device'
	expect_match 'No such file.*512@0xfeb00e00:12:0' "$output"
	vmctl ping guest
	# The device stays when the module goes, and is not announced a second time.
	guest 'modprobe -r upcall && modprobe upcall'
	vmctl ping guest
	run vmctl info guest
	expect 0 "$status"
	run upcall-client "$(sock)" connect
	expect 0 "$status"
}

@test "hotplug-cpu on a machine that has no CPU slots says so" {
	boot --machine microvm
	run vmctl hotplug-cpu guest
	[ "$status" -ne 0 ]
	expect_match 'guest: .*(slot|hotplug|microvm)' "$output"
}

@test "a guest that is reset drops its connections and answers again" {
	boot --qemu -action --qemu reboot=reset
	guest 'socat VSOCK-LISTEN:5002,fork EXEC:cat >/dev/null 2>&1 &'
	mkfifo "$BATS_TEST_TMPDIR/in"
	hybrid connect "$(sock)" 5002 <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" &
	client=$!
	exec 9>"$BATS_TEST_TMPDIR/in"
	echo hello >&9
	eventually grep -q hello "$BATS_TEST_TMPDIR/out"
	qmp system_reset
	# The client ends although nobody closed its input: its connection did.
	exec 9>&-
	wait $client || true
	eventually vmctl ping guest
	vmctl hotplug-cpu guest
	expect '0-1 0-1' "$(cpus)"
}

@test "a guest that panics fails whatever ran it, and its console is shown" {
	boot
	guest 'echo c >/proc/sysrq-trigger' || true
	run vm check guest
	expect 1 "$status"
	expect_match 'sysrq' "$output"
	run vm down guest
	expect 1 "$status"
}
