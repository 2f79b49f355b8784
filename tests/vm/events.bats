#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl events: what the module plugs, whether it is there, pressure, kills.

load common

setup_file() { boot --max-cpus 4; }
teardown_file() { halt; }
setup() { out=$BATS_TEST_TMPDIR/events; }
teardown() {
	[ ! -e "$BATS_TEST_TMPDIR/pid" ] || kill "$(cat "$BATS_TEST_TMPDIR/pid")" || true
	vm check guest
}

# Follows events into $out, from the first on.
follow() { # follow OPTIONS...
	vmctl events guest --json "$@" >"$out" 2>"$out.err" 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/pid"
	eventually grep -q '"kind":"agent_start"' "$out"
}

@test "a plugged CPU is an event that names it, and so is its going" {
	follow --kinds hotplug
	vmctl hotplug-cpu guest
	eventually grep -q '"type_name":"ADD_CPU' "$out"
	line=$(grep '"type_name":"ADD_CPU' "$out")
	expect_match '"ret":0' "$line"
	expect_match '"plugged":\[\{"class":"cpu","key":1\}\]' "$line"
	vmctl unplug-cpu guest
	eventually grep -q '"unplugged":\[{"class":"cpu","key":1}\]' "$out"
}

@test "a refusal is an event with the module's reason" {
	follow --kinds hotplug
	run upcall-client "$(sock)" del 3
	[ "$status" -ne 0 ]
	eventually grep -q '"ret":-[0-9]' "$out"
	expect_match '"reason":"[^"]+"' "$(grep '"ret":-' "$out")"
}

@test "the module's coming and going are events, and its events are heard again" {
	needs_module
	follow --kinds module,hotplug
	guest 'modprobe -r upcall'
	eventually grep -q '"text":"unloaded"' "$out"
	guest 'modprobe upcall'
	eventually grep -q '"text":"loaded"' "$out"
	vmctl hotplug-cpu guest
	eventually grep -q '"type_name":"ADD_CPU' "$out"
	vmctl unplug-cpu guest
}

@test "lack of CPU is an event" {
	guest '[ -e /proc/pressure/cpu ]' || skip "this kernel tells no pressure"
	follow --kinds pressure
	guest 'for i in 1 2 3 4; do while :; do :; done & echo $!; done >/tmp/spinners'
	eventually grep -q '"resource":"cpu"' "$out"
	guest 'kill $(cat /tmp/spinners)'
}

@test "a kill for want of memory is an event" {
	follow --kinds oom
	# The kernel's report has a call trace, which is no complaint here: not to the console.
	guest 'dmesg -n 1; echo 1000 >/proc/self/oom_score_adj; tail /dev/zero || true'
	eventually grep -q '"kind":"oom_kill"' "$out"
	guest 'dmesg -n 7'
	eventually vmctl ping guest
}

@test "an agent that is started again is followed again, from its start on" {
	follow
	guest 'kill $(pidof vmctl-agent)'
	again() { [ "$(grep -c '"kind":"agent_start"' "$out")" -eq 2 ]; }
	eventually again
	expect_match 'what happens meanwhile is not shown: trying again' "$(cat "$out.err")"
}

@test "without a subscriber the agent has no source open" {
	descriptors() { guest 'ls /proc/$(pidof vmctl-agent)/fd | wc -l'; }
	before=$(descriptors)
	follow
	[ "$(descriptors)" -gt "$before" ]
	kill "$(cat "$BATS_TEST_TMPDIR/pid")"
	rm "$BATS_TEST_TMPDIR/pid"
	closed() { [ "$(descriptors)" -le "$before" ]; }
	eventually closed
}
