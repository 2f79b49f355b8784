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
	reload
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
	start_echo
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

@test "ADD_CPU of a vCPU that never starts is taken back, with the ones before it" {
	# Without QEMU's registers the module cannot know, as on another VMM.
	boot --append upcall.eject_port=0
	qmp device_add '{"driver": "max-x86_64-cpu", "id": "test1", "socket-id": 1, "core-id": 0,
		"thread-id": 0}'
	run upcall-client "$(sock)" add 1 3
	expect_match '^ret=EIO done=0 .*failed=1 rolled_back=1 stuck=0 ' "$output"
	expect '0 0' "$(cpus)"
	expect '' "$(list)"
	# The one that was there works at once.
	run upcall-client "$(sock)" add 1
	expect_match '^ret=0 done=1' "$output"
	run upcall-client "$(sock)" eject 1
	expect_match '^ret=EOPNOTSUPP done=0 ' "$output"
	run upcall-client "$(sock)" del 1
	expect_match '^ret=0 done=1' "$output"
	expect '0 0' "$(cpus)"
}

@test "CPUs that cannot be taken back are listed, and told of, whichever way it was" {
	needs_module
	boot
	for id in 1 2; do
		qmp device_add "{\"driver\": \"max-x86_64-cpu\", \"id\": \"test$id\",
			\"socket-id\": $id, \"core-id\": 0, \"thread-id\": 0}"
	done
	# No kernel here fails like that: the module says that it did.
	variant 's/ret = plug_one(&targets\[i\], true, report);/& ret = ret ?: (i ? -EIO : 0);/
		s/&& unplug_one(&targets\[i\], report)/\&\& true/
		s/if (!unplug_one(&targets\[count\], report)) {/if (false) {/
		s/ret = unplug_one(&targets\[i\], report);/ret = i ? -EIO : unplug_one(\&targets[i], report);/
		s/if (!plug_one(&targets\[i\], targets\[i\].online, report)) {/if (false) {/' cpu.c
	listen 3
	ids() { list | sed -n 's/^class=cpu key=0x\([0-9]*\) .*/\1/p' | sort | xargs; }
	# Of two the second is plugged, and called a failure; none goes out again.
	run upcall-client "$(sock)" add 1 2
	expect_match '^ret=EIO done=0 .*failed=1 rolled_back=0 stuck=2 ' "$output"
	expect '0-2 0-2' "$(cpus)"
	expect '1 2' "$(ids)"
	run heard 1
	expect_match 'name=ADD_CPU ret=-5 .* plugged=\[.*key=0x1 .*\]$' "${lines[1]}"
	expect_match 'name=ADD_CPU ret=-5 .* plugged=\[.*key=0x2 .*\]$' "${lines[1]}"
	# Of two the second stays, and the first does not come back.
	run upcall-client "$(sock)" del 1 2
	expect_match '^ret=EIO done=0 .*failed=1 rolled_back=0 stuck=1 ' "$output"
	expect '0,2 0,2' "$(cpus)"
	expect 2 "$(ids)"
	run heard 2
	expect_match 'name=DEL_CPU ret=-5 .* unplugged=\[[{]class=cpu key=0x1 [^{]*\]$' "${lines[2]}"
	run upcall-client "$(sock)" del 2
	expect_match '^ret=0 done=1 ' "$output"
	expect '' "$(list)"
}

# Without ACPI no kernel lets its boot CPU go offline (IRQ 2 is the PIC's), so that the
# one that is online when all others are not is always it, and refused as such. Behind
# that check is another, which is seen when the first is taken away.
@test "the only CPU that is online stays, were it not the boot CPU" {
	needs_module
	boot --cpus 2
	guest 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	run upcall-client "$(sock)" del 0
	expect_match '^ret=EBUSY done=0 .*boot CPU' "$output"
	variant 's/if (targets\[i\].cpu == 0)/if (false)/' cpu.c
	for cpus in 0 '0 1'; do
		# shellcheck disable=SC2086 # words
		run upcall-client "$(sock)" del $cpus
		expect_match '^ret=EBUSY done=0 .*reason="no CPU would stay online"' "$output"
		expect '0 0-1' "$(cpus)"
	done
	run upcall-client "$(sock)" del 1
	expect_match '^ret=0 done=1 ' "$output"
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
	boot
	# No stock kernel is like that, so the module looks for what none has.
	variant 's/look_up(symbols\[i\].name)/look_up("no_such_function")/' ksym.c
	run upcall-client "$(sock)" add 1
	expect_match '^ret=EOPNOTSUPP done=0 ' "$output"
	run vmctl hotplug-cpu guest
	expect 9 "$status"
	expect_match 'guest: module: .*cannot plug CPUs' "$output"
	expect 1 "$(guest 'dmesg | grep -c "CPUs will be refused"')"
	expect 1 "$(vcpus)"
}
