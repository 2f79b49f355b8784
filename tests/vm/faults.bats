#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What goes wrong while an operator works: a guest that is paused, a transport that
# dies, a command that prints without end. $PAUSE_SECONDS and $OUTPUT_BYTES say how long
# and how much (make soak-agent: a minute, and 1 GiB).

load common
bats_require_minimum_version 1.5.0

setup_file() {
	boot
	export SECONDS_PAUSED=${PAUSE_SECONDS:-10} BYTES=${OUTPUT_BYTES:-$((16 << 20))}
}
teardown_file() { halt; }
teardown() {
	qmp cont >/dev/null # whatever has failed
	vm check guest
}
setup() { cd "$BATS_TEST_TMPDIR" || return; }

# KiB of memory that the agent had at most.
most() { guest 'sed -n "s/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p" /proc/$(pidof vmctl-agent)/status' | tr -d '\r'; }

@test "a guest that is paused: who asks is told, who was being served goes on afterwards" {
	vmctl ping guest --count 1000000 --timeout 600 --json >out 2>err 3>&- &
	pinging=$!
	vmctl exec guest -- sh -c 'echo begun; read line; echo "$line"' < <(eventually test -e go; echo later) >said 3>&- &
	waiting=$!
	eventually grep -q begun said
	qmp stop
	run vmctl ping guest --timeout 1
	expect 7 "$status"
	expect_match 'the machine does not run .QEMU: paused.' "$output"
	run vmctl exec guest -- true </dev/null
	expect 125 "$status"
	expect_match 'the machine does not run' "$output"
	vmctl wait guest --timeout 600 3>&- &
	third=$!
	sleep "$SECONDS_PAUSED" # it is what this is about
	kill -0 $pinging $waiting $third
	qmp cont
	touch go
	wait $third
	wait $waiting
	expect 'begun later' "$(xargs <said)"
	vmctl ping guest
	kill -0 $pinging # it has not failed
	kill $pinging
	wait $pinging || true
}

@test "the transport dies under a command and a copy: both say so, and nothing is left" {
	head -c 256M /dev/zero >big
	vmctl exec guest -- sh -c 'echo begun; sleep 100000' </dev/null >out 2>err 3>&- &
	command=$!
	eventually grep -q begun out
	guest 'mkdir -p /tmp/f'
	vmctl cp big guest:/tmp/f/big 2>copied 3>&- &
	copy=$!
	copies() { guest 'ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q "/tmp/f/"'; }
	eventually copies
	kill -KILL "$(vsockd_worker)"
	status=0
	wait $command || status=$?
	expect 125 "$status"
	expect_match 'the connection broke' "$(cat err)"
	status=0
	wait $copy || status=$?
	expect 15 "$status"
	expect_match 'big.*--resume' "$(cat copied)"
	eventually vmctl ping guest
	empty() { [ -z "$(guest 'ls -A /tmp/f')" ]; }
	eventually empty
	ended() { ! guest 'grep -q "[s]leep.100000" /proc/[0-9]*/cmdline'; }
	eventually ended
}

@test "a command that prints very much: all of it comes, and the agent stays small" {
	most_before=$(most)
	expect "$BYTES" "$(timeout 1200 vmctl exec guest -- head -c "$BYTES" /dev/zero </dev/null | wc -c)"
	after=$(most)
	figures "an exec of $BYTES bytes: the agent had at most $most_before KiB before, $after KiB after"
	[ "$after" -lt $((most_before + 2048)) ]
}

@test "the agent is small when nobody asks it, and answers soon after its start" {
	# In the guest, by its own clock: a request of the bytes of GetGuestInfo.
	figures "agent: $(guest 'up() { sed "s/\([0-9]*\)[.]\([0-9]*\) .*/\1\2/" /proc/uptime; }
		began=$(up)
		vmctl-agent --listen unix:/tmp/second >/tmp/log 2>&1 &
		until [ "$(up)" -gt $((began + 6000)) ] || printf "\000\000\000)\000\000\000\001\001\000\012\031vmctl.agent.v1.GuestAgent\022\014GetGuestInfo" |
			socat -t 10 - UNIX-CONNECT:/tmp/second 2>/dev/null | grep -q guest; do :; done
		echo "$((($(up) - began) * 10)) ms from exec to the first answer"; kill $!')"
	guest 'kill $(pidof vmctl-agent)'
	vmctl wait guest --for agent
	vmctl ping guest
	pss=$(guest 'sed -n "s/^Pss:[^0-9]*\([0-9]*\) kB/\1/p" /proc/$(pidof vmctl-agent)/smaps_rollup' | tr -d '\r')
	figures "agent: $pss KiB (PSS) idle"
	[ "$VM_KERNEL" = debug ] || [ "$pss" -lt 3072 ]
}
