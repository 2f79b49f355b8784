#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Much data through vsockd between a real guest kernel and Unix sockets, with checksums:
# in writes of all sizes, with halves that end, with ends that do not read, over a
# thousand connections, and with a guest that reboots in the middle.
#
# $STREAM_BYTES is how much each transfer has (make soak-vsock: 1 GiB).

load common
bats_require_minimum_version 1.5.0

bytes=${STREAM_BYTES:-$((16 << 20))}
endless=$((1 << 50))
nothing=$(sha256sum </dev/null)
# A transfer that stands still is given up by vsock-stream itself.
export VM_RUN_TIMEOUT=${VM_RUN_TIMEOUT:-7200}

setup_file() {
	boot
	# For the tests of what a reboot does: without that the end of the guest is QEMU's.
	qmp set-action '{"reboot": "reset"}'
	start_echo
}
teardown_file() { halt; }
teardown() {
	[ ! -e "$BATS_TEST_TMPDIR/pid" ] || kill -KILL "$(cat "$BATS_TEST_TMPDIR/pid")" || true
	vm check guest
}

# Runs vsock-stream in the background, in the guest or on the host. What it receives goes
# into a checksum, and so does its failure.
guest_begins() { begins_in guest "$@"; }
guest_sum() { sum_in guest; }
host_begins() { # host_begins ARGUMENT...
	rm -f "$BATS_TEST_TMPDIR/log"
	{
		vsock-stream "$@" 2>"$BATS_TEST_TMPDIR/log" &
		echo $! >"$BATS_TEST_TMPDIR/pid"
		wait $! || echo failed
	} 3>&- | sha256sum >"$BATS_TEST_TMPDIR/sum" 3>&- &
	begun=$!
	[ "$1" = connect ] || eventually grep listening "$BATS_TEST_TMPDIR/log"
}
host_sum() {
	wait "$begun"
	rm "$BATS_TEST_TMPDIR/pid"
	cat "$BATS_TEST_TMPDIR/log" >&2
	cat "$BATS_TEST_TMPDIR/sum"
}

# To the end; prints the checksum.
host_connects() { # host_connects PORT ACTION...
	(vsock-stream connect "$(sock):$1" "${@:2}" || echo failed) | sha256sum
}
guest_connects() { # guest_connects PORT ACTION...
	guest "(vsock-stream connect 2:$1 ${*:2} || echo failed) | sha256sum"
}

# Each sender closes as soon as it has sent all.
there_and_back() { # there_and_back SIZE
	local began=${EPOCHREALTIME/./} middle
	guest_begins listen 5000 receive
	expect "$nothing" "$(host_connects 5000 "send:$bytes:1:$1")"
	expect "$(sum_of "$bytes" 1)" "$(guest_sum)"
	middle=${EPOCHREALTIME/./}
	host_begins listen "$(sock)_6000" receive
	expect "$nothing" "$(guest_connects 6000 "send:$bytes:2:$1")"
	host_sum >"$BATS_TEST_TMPDIR/got"
	expect "$(sum_of "$bytes" 2)" "$(cat "$BATS_TEST_TMPDIR/got")"
	figures "$((bytes >> 20)) MiB and their checksum, in writes of $1: to the guest" \
		"$(((middle - began) / 1000)) ms, from it $(((${EPOCHREALTIME/./} - middle) / 1000)) ms"
}

@test "what is sent in writes of 64 KiB arrives whole, in the guest and on the host" {
	there_and_back 65536
}

@test "what is sent in writes of 4 KiB arrives whole, in the guest and on the host" {
	there_and_back 4096
}

@test "what is sent in writes of odd sizes arrives whole, in the guest and on the host" {
	there_and_back odd
}

@test "both ends send at the same time, on one connection" {
	guest_begins listen 5001 "both:$bytes:2:odd"
	expect "$(sum_of "$bytes" 2)" "$(host_connects 5001 "both:$bytes:1:65536")"
	expect "$(sum_of "$bytes" 1)" "$(guest_sum)"
}

@test "the host ends its half, and only then the guest sends" {
	guest_begins listen 5003 receive "send:$bytes:2:65536"
	expect "$(sum_of "$bytes" 2)" "$(host_connects 5003 "send:$bytes:1:65536" end receive)"
	expect "$(sum_of "$bytes" 1)" "$(guest_sum)"
}

@test "the guest ends its half, and only then the host sends" {
	host_begins listen "$(sock)_6003" receive "send:$bytes:1:65536"
	expect "$(sum_of "$bytes" 1)" "$(guest_connects 6003 "send:$bytes:2:65536" end receive)"
	host_sum >"$BATS_TEST_TMPDIR/got"
	expect "$(sum_of "$bytes" 2)" "$(cat "$BATS_TEST_TMPDIR/got")"
}

@test "a half that ends early leaves the other in its flow" {
	guest_begins listen 5003 "both:$bytes:2:odd"
	expect "$(sum_of "$bytes" 2)" "$(host_connects 5003 both:100000:3:odd)"
	expect "$(sum_of 100000 3)" "$(guest_sum)"
	host_begins listen "$(sock)_6003" "both:$bytes:1:odd"
	expect "$(sum_of "$bytes" 1)" "$(guest_connects 6003 both:100000:4:odd)"
	host_sum >"$BATS_TEST_TMPDIR/got"
	expect "$(sum_of 100000 4)" "$(cat "$BATS_TEST_TMPDIR/got")"
}

guest_sockets() { guest 'sed -n "s/^sockets: used //p" /proc/net/sockstat'; }

none_left() {
	[ "$(stat_of connections)" = 0 ] && ! vmctl vsock list guest --json | grep '"state"'
}

# What there was before a thousand connections, and that it is all there is after them.
count_before() {
	eventually none_left
	descriptors_before=$(descriptors) sockets_before=$(guest_sockets)
}
as_before() {
	none_left && [ "$(descriptors)" -le "$descriptors_before" ] &&
		[ "$(guest_sockets)" -le "$sockets_before" ]
}

@test "the host has 1000 connections open at once, and closes them at once" {
	guest 'vsock-stream echo 5020 >/dev/null 2>/tmp/log & echo $! >/tmp/echo'
	eventually guest 'grep listening /tmp/log'
	count_before
	vsock-stream many "$(sock):5020" 1000 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	many=$!
	echo $many >"$BATS_TEST_TMPDIR/pid"
	eventually test -s "$BATS_TEST_TMPDIR/out"
	expect open "$(cat "$BATS_TEST_TMPDIR/out")"
	expect 1000 "$(stat_of connections)"
	expect 1000 "$(column_of guest_port=5020 state | grep -c open)"
	kill $many
	wait $many || true
	rm "$BATS_TEST_TMPDIR/pid"
	eventually as_before
	guest 'kill $(cat /tmp/echo)'
}

@test "the guest has 1000 connections open at once, and closes them at once" {
	vsock-stream echo "$(sock)_6020" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	echo=$!
	echo $echo >"$BATS_TEST_TMPDIR/pid"
	eventually grep listening "$BATS_TEST_TMPDIR/err"
	count_before
	guest 'vsock-stream many 2:6020 1000 >/tmp/out 2>&1 & echo $! >/tmp/many'
	eventually guest 'test -s /tmp/out'
	expect open "$(guest 'cat /tmp/out')"
	expect 1000 "$(stat_of connections)"
	expect 1000 "$(column_of peer_port=6020 state | grep -c open)"
	guest 'kill $(cat /tmp/many)'
	eventually as_before
	kill $echo
	wait $echo || true
	rm "$BATS_TEST_TMPDIR/pid" "$(sock)_6020"
}

# A connection that moves no byte while others move many: held up, not slow.
stands_still() { # stands_still PORT COLUMN
	local before
	before=$(column_of "$1" "$2")
	hybrid echo "$(sock)" 5002 1000000
	[ "$(column_of "$1" "$2")" = "$before" ]
}

# The sender is held back, with no more on its way than a window has; the daemon is small.
is_held_back() { # is_held_back PORT COLUMN-OF-ALL-BYTES COLUMN-OF-THOSE-THAT-WAIT
	eventually stands_still "$1" "$2"
	moved=$(column_of "$1" "$2") waits=$(column_of "$1" "$3")
	echo "$moved bytes have moved, $waits wait"
	[ "$moved" -gt 1000000 ]
	[ "$moved" -lt "$bytes" ]
	[ "$waits" -gt 0 ]
	[ "$waits" -le $((256 << 10)) ]
	[ "$(awk '/^RssAnon/ { print $2 }' "/proc/$(vsockd_worker)/status")" -lt 16384 ]
}

@test "a guest that stops reading holds up its own connection only, and can go on" {
	guest_begins listen 5004 receive:1000000 stop receive
	host_begins connect "$(sock):5004" "send:$bytes:1:65536"
	eventually guest 'grep "^State:.T" /proc/$(cat /tmp/pid)/status'
	is_held_back guest_port=5004 to_guest_bytes in_flight_bytes
	guest 'kill -CONT $(cat /tmp/pid)'
	host_sum >"$BATS_TEST_TMPDIR/got"
	expect "$nothing" "$(cat "$BATS_TEST_TMPDIR/got")"
	expect "$(sum_of "$bytes" 1)" "$(guest_sum)"
}

@test "a host that stops reading holds up its own connection only, and can go on" {
	host_begins listen "$(sock)_6004" receive:1000000 stop receive
	guest_begins connect 2:6004 "send:$bytes:2:65536"
	eventually grep '^State:.T' "/proc/$(cat "$BATS_TEST_TMPDIR/pid")/status"
	is_held_back peer_port=6004 from_guest_bytes backlog_bytes
	kill -CONT "$(cat "$BATS_TEST_TMPDIR/pid")"
	host_sum >"$BATS_TEST_TMPDIR/got"
	expect "$(sum_of "$bytes" 2)" "$(cat "$BATS_TEST_TMPDIR/got")"
	expect "$nothing" "$(guest_sum)"
}

boot_id() { VM_RUN_TIMEOUT=5 guest 'cat /proc/sys/kernel/random/boot_id'; }

# Bytes flow both ways and a third connection only waits; then the guest reboots.
reboots() { # reboots COMMAND
	local before worker restarts to from waiting pid status
	before=$(boot_id) worker=$(vsockd_worker) restarts=$(stat_of restarts)
	guest 'rm -f /tmp/log; vsock-stream listen 5005 receive >/dev/null 2>/tmp/log &'
	eventually guest 'grep listening /tmp/log'
	vsock-stream connect "$(sock):5005" "send:$endless:1:65536" 3>&- &
	to=$!
	vsock-stream listen "$(sock)_6005" receive >/dev/null 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	from=$!
	eventually grep listening "$BATS_TEST_TMPDIR/err"
	guest "vsock-stream connect 2:6005 send:$endless:2:65536 >/dev/null 2>&1 &"
	vsock-stream connect "$(sock):5002" receive >"$BATS_TEST_TMPDIR/received" 3>&- &
	waiting=$!
	flows() {
		[ "$(column_of guest_port=5005 to_guest_bytes)" -gt 1000000 ] &&
			[ "$(column_of peer_port=6005 from_guest_bytes)" -gt 1000000 ] &&
			[ "$(column_of guest_port=5002 state)" = open ]
	}
	eventually flows

	"$1"
	ended() { ! kill -0 "$1"; }
	for pid in $to $from $waiting; do
		eventually ended "$pid"
	done
	status=0
	wait "$to" || status=$?
	expect 1 "$status"
	[ ! -s "$BATS_TEST_TMPDIR/received" ] # it only waited
	eventually none_left
	rebooted() {
		local id
		id=$(boot_id)
		[[ $id =~ ^[0-9a-f-]{36}$ && $id != "$before" ]]
	}
	eventually rebooted
	start_echo
	hybrid echo "$(sock)" 5002 1000000
	eventually vmctl ping guest
	expect "$worker $restarts 1 1" "$(vsockd_worker) $(stat_of restarts) \
$(stat_of front_end_connected) $(stat_of driver_up)"
	expect 0 "$(stat_of backlog_bytes)"
}

@test "the guest is reset in mid-transfer" {
	by_reset() { qmp system_reset; }
	reboots by_reset
}

@test "the guest reboots itself in mid-transfer" {
	reboots_said() { grep -c 'Restarting system' "$VMCTL_RUN_DIR/guest/console.log" || true; }
	# The shell has no answer to give: it is not waited for.
	by_itself() {
		local before shell
		before=$(reboots_said)
		guest-shell "$VMCTL_RUN_DIR/guest/shell.sock" 600 'reboot -f' 3>&- &
		shell=$!
		has_begun() { [ "$(reboots_said)" -gt "$before" ]; }
		eventually has_begun
		kill $shell
		wait $shell || true
	}
	reboots by_itself
}
