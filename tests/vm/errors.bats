#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What vmctl says and leaves behind when something is wrong: one line that names
# the VM, the step and the remedy; an exit code of its own; nothing half plugged.
# QEMU has slots for four CPUs here, and the guest's kernel takes two. In all, three
# vCPUs may be made: see --slots of `vm up`.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot --slots 4 --append possible_cpus=2; }
teardown_file() { halt; }
teardown() {
	if [ -s "$BATS_TEST_TMPDIR/proxy.pid" ]; then
		kill "$(cat "$BATS_TEST_TMPDIR/proxy.pid")"
		mv "$VMCTL_RUN_DIR/guest/qmp.real" "$VMCTL_RUN_DIR/guest/qmp.sock"
	fi
	vm check guest
	expect '0 0' "$(cpus)"
	expect 1 "$(vcpus)"
}

# Puts a broken QEMU in front of the real one.
proxy() {
	mv "$VMCTL_RUN_DIR/guest/qmp.sock" "$VMCTL_RUN_DIR/guest/qmp.real"
	qmp-proxy "$VMCTL_RUN_DIR/guest/qmp.sock" "$VMCTL_RUN_DIR/guest/qmp.real" "$@" \
		>"$BATS_TEST_TMPDIR/proxy.log" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/proxy.pid"
	eventually test -S "$VMCTL_RUN_DIR/guest/qmp.sock"
}

# Runs vmctl; wants this exit code, and one line on stderr that matches.
fails() { # fails STATUS PATTERN ARGUMENTS...
	local wanted=$1 pattern=$2
	shift 2
	run --separate-stderr vmctl "$@"
	echo "$stderr"
	expect "$wanted" "$status"
	expect_match "$pattern" "$stderr"
	expect '' "$output"
	expect 1 "$(echo "$stderr" | wc -l)"
}

@test "an unknown VM" {
	for verb in hotplug-cpu unplug-cpu ping info; do
		fails 3 '^vmctl: nosuch: .*no VM' "$verb" nosuch
	done
}

@test "no QMP socket" {
	mv "$VMCTL_RUN_DIR/guest/qmp.sock" "$VMCTL_RUN_DIR/guest/qmp.away"
	fails 4 'guest: .*QMP' hotplug-cpu guest
	fails 4 'guest: .*QMP' unplug-cpu guest
	mv "$VMCTL_RUN_DIR/guest/qmp.away" "$VMCTL_RUN_DIR/guest/qmp.sock"
}

@test "no transport" {
	mv "$VMCTL_RUN_DIR/guest/vsock.sock" "$VMCTL_RUN_DIR/guest/vsock.away"
	fails 5 'guest: .*vsockd' hotplug-cpu guest
	fails 5 'guest: .*vsockd' ping guest
	mv "$VMCTL_RUN_DIR/guest/vsock.away" "$VMCTL_RUN_DIR/guest/vsock.sock"
}

@test "a guest without the module" {
	needs_module
	guest 'modprobe -r upcall'
	fails 6 'guest: .*module.*install' hotplug-cpu guest
	guest 'modprobe upcall'
}

@test "a guest without the agent" {
	guest 'mv /bin/vmctl-agent /bin/away; kill $(pidof vmctl-agent)'
	gone() { ! vmctl ping guest --timeout 5 2>/dev/null; }
	eventually gone
	fails 7 'guest: .*agent' hotplug-cpu guest
	fails 7 'guest: .*agent' ping guest
	guest 'mv /bin/away /bin/vmctl-agent'
	eventually vmctl ping guest
}

@test "more CPUs than slots" {
	fails 8 'guest: .*slot' hotplug-cpu guest --count 4
	fails 8 'guest: .*slot' hotplug-cpu guest --to 5
	fails 8 'guest: .*9' hotplug-cpu guest --apic-id 9
}

@test "more CPUs than the guest's kernel takes: refused, and QEMU has its vCPUs back" {
	fails 9 'guest: .*' hotplug-cpu guest --count 2
}

@test "a vCPU that never starts" {
	proxy swallow device_add device_del
	fails 10 'guest: .*start' hotplug-cpu guest --timeout 60
	expect_match 'device_add' "$(cat "$BATS_TEST_TMPDIR/proxy.log")"
}

@test "a QEMU that does not answer, and --timeout" {
	proxy silent query-hotpluggable-cpus
	fails 11 'guest: .*time' hotplug-cpu guest --timeout 2
}

@test "a command line that is wrong" {
	run vmctl hotplug-cpu
	expect 2 "$status"
	run vmctl hotplug-cpu guest --count 0
	expect 2 "$status"
	run vmctl hotplug-cpu guest --count 1 --to 2
	expect 2 "$status"
	run vmctl hotplug-cpu guest --count x
	expect 2 "$status"
	run vmctl hotplug-cpu guest --apic-id 1,,2
	expect 2 "$status"
	run vmctl no-such-verb
	expect 2 "$status"
	run vmctl
	expect 2 "$status"
}
