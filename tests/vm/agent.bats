#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The agent in a real guest: what it says, whom it lets in, what it survives.

load common

setup_file() { boot --max-cpus 2; }
teardown_file() { halt; }
teardown() { vm check guest; }

@test "info is the guest's own view" {
	run vmctl info guest --json
	expect 0 "$status"
	echo "$output" | python3 -c '
import json, sys
info, release, version = json.load(sys.stdin), sys.argv[1], sys.argv[2]
text = json.dumps(info)
assert release in text, text
assert "\"guest\"" in text, text
assert text.count(version) >= 2, text  # agent and module
' "$(guest 'uname -r')" "$(cat "$here/../../VERSION")"
}

@test "a process in the guest is not let in, by loopback or by any local CID" {
	guest 'modprobe vsock_loopback'
	for cid in 1 2 3; do
		run guest "head -c 100 /dev/zero | socat -t 5 - VSOCK-CONNECT:$cid:220 | wc -c"
		expect_match '(^|[^0-9])0$' "$output"
	done
	vmctl ping guest
}

@test "the agent brings a CPU online that the guest's user took offline" {
	vmctl hotplug-cpu guest
	guest 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	expect '0 0-1' "$(cpus)"
	ttrpc-client "$(sock)" 220 online
	expect '0-1 0-1' "$(cpus)"
	vmctl unplug-cpu guest
}

@test "garbage closes its own connection, and the others go on" {
	mkfifo "$BATS_TEST_TMPDIR/in"
	hybrid connect "$(sock)" 220 <"$BATS_TEST_TMPDIR/in" >/dev/null 3>&- &
	other=$!
	exec 9>"$BATS_TEST_TMPDIR/in"
	ttrpc-client "$(sock)" 220 garbage
	kill -0 $other
	vmctl ping guest
	exec 9>&-
	wait $other
}

# The rest of ttrpc, over a real vsock: each case checks by itself what its name says.
calls() { ttrpc-client "$(sock)" 220 "$@"; }

@test "an unknown method is UNIMPLEMENTED, and the connection stays up" { calls unknown; }
@test "a request that cannot be decoded is refused, and the connection stays up" {
	calls undecodable
}
@test "an oversize message is refused, and the connection stays up" { calls oversize; }
@test "a message of almost 4 MiB comes back whole" { calls large; }
@test "a request that arrives byte by byte is answered" { calls split; }
@test "a thousand requests in flight are answered, each to its stream" { calls many; }
@test "wrong stream ids are refused" { calls streams; }
@test "a time-out that has passed is DEADLINE_EXCEEDED" { calls deadline; }
@test "who ends sending is answered all the same" { calls halfclose; }
@test "who never reads is held back, and the others are served" { calls noread; }
@test "clients that never read and then leave give their places back" { calls leavers; }

# Of the second agent: whether a child does a call's work, and what it has open.
agent_works() {
	guest 'pid=$(cat /tmp/agent.pid); [ -n "$(cat /proc/$pid/task/$pid/children)" ]'
}
agents_descriptors() { guest 'ls /proc/$(cat /tmp/agent.pid)/fd | wc -l'; }

@test "a call whose caller has gone is given up" {
	# An agent of its own, whose CPU 1 takes for ever to come online.
	guest 'cpu=/tmp/r/sys/devices/system/cpu
		mkdir -p /tmp/r/proc $cpu/cpu1
		for set in possible present; do echo 0-1 >$cpu/$set; done
		echo 0 >$cpu/online
		mkfifo $cpu/cpu1/online
		vmctl-agent --listen vsock:230 --root /tmp/r >/tmp/agent.log 2>&1 &
		echo $! >/tmp/agent.pid'
	eventually ttrpc-client "$(sock)" 230 ping hello
	before=$(agents_descriptors)
	mkfifo "$BATS_TEST_TMPDIR/go"
	ttrpc-client "$(sock)" 230 abandon <"$BATS_TEST_TMPDIR/go" 3>&- &
	caller=$!
	exec 9>"$BATS_TEST_TMPDIR/go"
	eventually agent_works
	echo >&9
	exec 9>&-
	wait $caller
	given_up() { ! agent_works && [ "$(agents_descriptors)" -le "$before" ]; }
	eventually given_up
	guest 'kill $(cat /tmp/agent.pid)'
}

@test "ping and info go on after the agent was killed and started again" {
	guest 'kill -9 $(pidof vmctl-agent)'
	eventually vmctl ping guest
	vmctl info guest
}
