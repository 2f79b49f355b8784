#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Other machines, and machines that go away and come back.

load common

teardown() { halt; }

@test "microvm boots without ACPI, and its agent and module answer" {
	needs_module
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
	eventually hybrid connect "$(sock)" 5002 </dev/null
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

@test "DEL_CPU that fails half way puts the CPUs back as they were" {
	boot --cpus 4
	# The kernel's own fault injection: taking CPU 2 down fails, once.
	guest 'cd /sys/devices/system/cpu
		echo 0 >cpu3/online
		sed -n "s/^ *\([0-9]*\): sched:active/\1/p" hotplug/states >cpu2/hotplug/fail'
	expect '0-2 0-3' "$(cpus)"
	run upcall-client "$(sock)" del 1 3 2
	expect_match '^ret=EAGAIN done=0 .*failed=2 rolled_back=2 stuck=0' "$output"
	expect '0-2 0-3' "$(cpus)"
	run upcall-client "$(sock)" del 1 3 2
	expect_match '^ret=0 done=3' "$output"
	expect '0 0' "$(cpus)"
}

@test "with ACPI on the module leaves the CPUs alone" {
	boot --cpus 2 --append acpi=force
	for verb in add del eject; do
		run upcall-client "$(sock)" $verb 1
		expect_match '^ret=EOPNOTSUPP done=0 .*ACPI' "$output"
	done
	run vmctl hotplug-cpu guest
	expect 9 "$status"
	expect_match 'ACPI on' "$output"
	expect '0-1 0-1' "$(cpus)"
	expect 2 "$(vcpus)"
}

@test "a kernel that hides what the module needs: one log line, and EOPNOTSUPP" {
	needs_module
	# No stock kernel is like that, so the module looks for what none has.
	mkdir -p "$BATS_TEST_TMPDIR/tree/tests"
	cp -r "$here/../../"{kmod-upcall,proto,VERSION} "$BATS_TEST_TMPDIR/tree"
	cp -r "$here" "$BATS_TEST_TMPDIR/tree/tests"
	sed -i 's/look_up(symbols\[i\].name)/look_up("no_such_function")/' \
		"$BATS_TEST_TMPDIR/tree/kmod-upcall/ksym.c"
	"$BATS_TEST_TMPDIR/tree/tests/vm/build-module" "$VM_KERNEL" "$BATS_TEST_TMPDIR/out"
	boot
	guest 'modprobe -r upcall
		socat -u VSOCK-LISTEN:5000 CREATE:/tmp/upcall.ko >/tmp/log 2>&1 &
		echo $! >/tmp/receiver'
	eventually hybrid connect "$(sock)" 5000 <"$BATS_TEST_TMPDIR/out/upcall.ko"
	eventually guest '! kill -0 $(cat /tmp/receiver)'
	guest 'insmod /tmp/upcall.ko'
	run upcall-client "$(sock)" add 1
	expect_match '^ret=EOPNOTSUPP done=0 ' "$output"
	run vmctl hotplug-cpu guest
	expect 9 "$status"
	expect_match 'guest: module: .*cannot plug CPUs' "$output"
	expect 1 "$(guest 'dmesg | grep -c "CPUs will be refused"')"
	expect 1 "$(vcpus)"
}
