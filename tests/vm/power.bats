#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A guest's power, time, name, entropy and ssh keys. The test guest's init is a script,
# so it is the kernel that reboots, and QEMU ends with it.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot; }
# The last test ends the guest.
teardown_file() {
	vm down guest
	rm -rf "$VMCTL_RUN_DIR"
}
setup() { export NO_COLOR=1; }

@test "time: shown, set and brought to the host's" {
	vmctl time guest --set @1000000000
	expect_match '^2001-09-09T0' "$(guest 'date -u +%Y-%m-%dT%H')"
	vmctl time guest --sync --json | python3 -c '
import json, sys
time = json.load(sys.stdin)
assert abs(time["offset_s"]) < 1 + time["round_trip_s"], time
'
	vm check guest
}

@test "hostname: shown and set, for now and for later" {
	before=$(vmctl hostname guest)
	expect "$before" "$(guest hostname)"
	vmctl hostname guest other.example --persistent
	expect "other.example other.example" "$(guest 'hostname; cat /etc/hostname' | xargs)"
	run vmctl hostname guest 'no name'
	expect 9 "$status"
	vmctl hostname guest "$before"
	vm check guest
}

@test "ssh-keys: added, listed, removed, with the mode that sshd wants" {
	echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA test" >"$BATS_TEST_TMPDIR/key"
	vmctl ssh-keys guest --add "$BATS_TEST_TMPDIR/key"
	expect "$(cat "$BATS_TEST_TMPDIR/key")" "$(vmctl ssh-keys guest)"
	expect "700 600" "$(guest 'cd /root && stat -c %a .ssh .ssh/authorized_keys' | xargs)"
	vmctl ssh-keys guest --remove "$BATS_TEST_TMPDIR/key"
	expect "" "$(vmctl ssh-keys guest)"
	vm check guest
}

@test "entropy: the guest's generator takes it, and not more than it says" {
	ttrpc-client "$(sock)" 220 call vmctl.agent.v1.GuestAgent AddEntropy 0a0401020304
	run ttrpc-client "$(sock)" 220 call vmctl.agent.v1.GuestAgent AddEntropy 0a00
	[ "$status" -ne 0 ]
	expect_match 'status 3' "$output"
}

# Without ACPI no clock can wake a guest. The kernel's own test of a suspend, which puts
# the devices to sleep, ends by itself (Documentation/power/basic-pm-debugging.rst).
@test "suspend: the guest sleeps, its devices too, and answers when it is awake" {
	guest 'echo devices >/sys/power/pm_test'
	vmctl suspend guest
	slept() { grep -q 'PM: suspend exit' "$VMCTL_RUN_DIR/guest/console.log"; }
	eventually slept
	vmctl wait guest --timeout 120
	vm check guest
}

@test "reboot: dry, it changes nothing, and the kernel would do it" {
	vmctl reboot guest --dry-run --json | grep -q '"way":"kernel"'
	vmctl ping guest
}

gone() { ! kill -0 "$1" 2>/dev/null; }

@test "reboot: answered, and then done" {
	[ "$VM_KERNEL" != debug ] || vm leaks guest
	vm check guest
	pid=$(cat "$VMCTL_RUN_DIR/guest/qemu.pid")
	expect "guest: reboots (kernel)" "$(vmctl reboot guest)"
	eventually gone "$pid"
	# It has ended by itself, as it should.
	rm "$VMCTL_RUN_DIR/guest/qemu.pid"
}

@test "shutdown: answered, and then done" {
	vm up guest --kernel "$VM_KERNEL"
	expect "guest: shuts down (kernel)" "$(vmctl shutdown guest)"
	# Without ACPI nobody can switch the machine off.
	halted() { grep -q 'System halted' "$VMCTL_RUN_DIR/guest/console.log"; }
	eventually halted
	run vmctl ping guest --timeout 2
	[ "$status" -ne 0 ]
}
