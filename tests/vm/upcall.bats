#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The module's own answers to bytes: good ones, wrong ones, half ones. Nothing
# here goes through vmctl.

load common

setup_file() { boot; }
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

# What a vCPU needs before the guest can start it.
create() { # create APIC-ID
	qmp device_add "{\"driver\": \"max-x86_64-cpu\", \"id\": \"test$1\",
		\"socket-id\": $1, \"core-id\": 0, \"thread-id\": 0}"
}
destroy() { # destroy APIC-ID
	qmp device_del "{\"id\": \"test$1\"}"
	client eject "$1"
}

# A request that must be refused in words, and change nothing.
refused() { # refused ERROR ARGUMENTS...
	local error=$1 before
	shift
	before=$(cpus)
	run client "$@"
	expect_match "^ret=($error) done=0 .*reason=\"[^\"]+\"" "$output"
	expect "$before" "$(cpus)"
}

@test "CONNECT announces the module's version and the kernel" {
	run client connect
	expect_match "module=$(cat "$here/../../VERSION") kernel=$(kernel_release | sed 's/+/\\+/g')" "$output"
}

@test "ADD_CPU and DEL_CPU work with Dragonball's bytes" {
	create 1
	create 2
	run client add 1 2
	expect_match '^ret=0 done=2 size=4 type=1 failed=-1 rolled_back=0 stuck=0 kernel_ns=[1-9]' "$output"
	expect '0-2 0-2' "$(cpus)"
	run client del 1 2
	expect_match '^ret=0 done=2 size=4 type=2' "$output"
	expect '0 0' "$(cpus)"
	destroy 1
	destroy 2
}

@test "count 0, and counts above what is there, are refused" {
	refused EINVAL raw 1 258 "0014$(printf '00%.0s' {1..256})"
	refused ENOSPC raw 1 258 "ff14$(printf '%02x' {1..255})00"
	refused EINVAL raw 2 258 "0014$(printf '00%.0s' {1..256})"
}

@test "an APIC id that stands twice in the list is refused" {
	refused EINVAL add 1 1
	expect_match ' size=4 type=1 ' "$output"
	refused EINVAL del 1 1
}

@test "an APIC id that is present already, or that nobody knows, is refused" {
	create 1
	client add 1
	refused EEXIST add 1
	refused EEXIST add 2 1
	refused ENODEV add 200
	refused ENODEV del 3
	refused ENODEV del 1 3
	refused ENODEV del 200
	client del 1
	destroy 1
}

@test "an APIC id that the kernel has no CPU number for is refused" {
	# QEMU has 16 slots, the kernel room for four CPUs. 6.1 gives its numbers out
	# as CPUs come, and an id keeps its own: use them up.
	for id in 1 2 3; do
		create $id
		client add $id
		client del $id
		destroy $id
	done
	create 5
	if on_6_1; then
		refused ENOSPC add 5
	else
		refused ENODEV add 5
	fi
	expect_match 'number|announced' "$output"
	destroy 5
}

@test "the boot CPU is refused" {
	refused EBUSY add 0
	refused EBUSY del 0
}

@test "a vCPU that QEMU has not made is refused before it costs ten seconds" {
	create 1
	refused ENODEV add 1 2
	destroy 1
}

@test "a payload size that does not fit is refused" {
	refused EINVAL raw 1 0 ''
	refused EINVAL raw 1 257 01
	refused EINVAL raw 1 1008 01
	refused EINVAL raw 1 0xffffffff 01
	refused EINVAL raw 0x101 8 0200000000000000
	refused EINVAL raw 0x101 8 ffffffff00000000
	refused EINVAL raw 0x101 20 02000000000000000100000001000000ffffffff
}

@test "unknown and reserved types are refused" {
	for type in 0 3 4 9 0x10f 0xffffffff; do
		refused EOPNOTSUPP raw "$type" 0 ''
	done
}

@test "an unknown flag of DEL_CPU2 is refused" {
	refused EINVAL raw 0x101 20 01000000feffffff0100000001000000ffffffff
}

@test "a wrong magic is answered with an error, and the connection goes on" {
	run client hostile wrong-magic
	expect_match "^ret=EPROTO " "$output"
}

@test "a wrong service byte closes the connection" { client hostile wrong-service; }
@test "no service byte closes the connection in time" { client hostile no-service; }
@test "a request that arrives byte by byte is whole" { client hostile byte-by-byte; }
@test "two requests sent at once get two answers" { client hostile two-at-once; }
@test "half a message, and the client leaves" { client hostile half-message-and-leave; }
@test "half a message, and the client stays: closed in time" {
	client hostile half-message-and-stay
}

@test "replies to a client that is slow to read all arrive" { client hostile slow-reader; }
@test "a client that never reads its replies is closed in time" {
	guest 'dmesg -c >/dev/null'
	upcall-client "$(sock)" clog >/dev/null 2>&1 3>&- &
	clogger=$!
	eventually guest 'dmesg | grep "stood still"'
	kill $clogger
	run client connect
	expect 0 "$status"
}

@test "slow clients and a dead one delay nobody" {
	# So that they are there until the end, however slow this machine is.
	guest 'echo 600000 >/sys/module/upcall/parameters/timeout_ms'
	client hostile slow-and-dead
	guest 'echo 10000 >/sys/module/upcall/parameters/timeout_ms'
}

@test "one connection more than max_connections is closed, and let in when there is room" {
	guest 'echo 1 >/sys/module/upcall/parameters/max_connections'
	upcall-client "$(sock)" hold 1 "$BATS_TEST_TMPDIR/held" 3>&- &
	holder=$!
	eventually test -e "$BATS_TEST_TMPDIR/held"
	run client connect
	expect 3 "$status"
	run guest 'dmesg | grep "closed a connection: there are"'
	expect_match 'there are 1 already' "$output"
	guest 'echo 2 >/sys/module/upcall/parameters/max_connections'
	run client status
	expect 0 "$status"
	expect_match '"connections": 2, *"connections_max": 2,' "$(tr -d '\n' <<<"$output")"
	guest 'echo 1 >/sys/module/upcall/parameters/max_connections'
	kill $holder
	eventually client connect
	guest 'echo 64 >/sys/module/upcall/parameters/max_connections'
}

@test "one hundred connections at once: each is served or closed" {
	client hostile hundred
	client hostile hundred
}

@test "the module unloads with a client connected, a request half sent, and many waiting" {
	needs_module
	upcall-client "$(sock)" hold 30 "$BATS_TEST_TMPDIR/held" &
	holder=$!
	eventually test -e "$BATS_TEST_TMPDIR/held"
	guest 'modprobe -r upcall'
	wait $holder
	guest 'modprobe upcall'
	run client connect
	expect 0 "$status"
}

@test "the module unloads while a request is being carried out" {
	needs_module
	# Nobody created vCPU 2, and starting it takes the kernel ten seconds.
	guest 'modprobe -r upcall && modprobe upcall eject_port=0'
	client add 2 >"$BATS_TEST_TMPDIR/reply" 2>&1 &
	adder=$!
	eventually guest '[ "$(cat /sys/devices/system/cpu/present)" != 0 ]'
	# One waits behind it, which the guest could do.
	create 1
	client add 1 >"$BATS_TEST_TMPDIR/waiting" 2>&1 &
	waiting=$!
	client connect
	guest 'modprobe -r upcall'
	wait $adder || true
	wait $waiting || true
	expect_match '^ret=EIO ' "$(cat "$BATS_TEST_TMPDIR/reply")"
	expect_match '^ret=ECANCELED |closed' "$(cat "$BATS_TEST_TMPDIR/waiting")"
	expect '0 0' "$(cpus)"
	guest 'modprobe upcall'
	run client connect
	expect 0 "$status"
	destroy 1
}

@test "a request whose client has left before its turn is not begun" {
	needs_module
	guest 'modprobe -r upcall && modprobe upcall eject_port=0'
	create 1
	client add 2 >"$BATS_TEST_TMPDIR/reply" 2>&1 &
	adder=$!
	eventually guest '[ "$(cat /sys/devices/system/cpu/present)" != 0 ]'
	client abandon 1
	# Its turn comes after theirs.
	run client raw 0x7777 0 ''
	wait $adder || true
	expect '0 0' "$(cpus)"
	guest 'modprobe -r upcall && modprobe upcall'
	destroy 1
}

@test "a reset of the transport ends the connections" {
	needs_module
	guest 'modprobe -r upcall && modprobe upcall max_connections=1'
	upcall-client "$(sock)" hold 1 "$BATS_TEST_TMPDIR/held" &
	holder=$!
	eventually test -e "$BATS_TEST_TMPDIR/held"
	guest 'cd /sys/bus/virtio/drivers/vmw_vsock_virtio_transport
		for d in virtio*; do echo $d >unbind; echo $d >bind; done'
	wait $holder || true
	eventually client connect
	guest 'modprobe -r upcall && modprobe upcall'
}

@test "fifty times loaded and unloaded" {
	needs_module
	guest 'for i in $(seq 50); do modprobe -r upcall && modprobe upcall || exit 1; done'
	run client connect
	expect 0 "$status"
}

@test "a process in the guest is not let in, by loopback or by any local CID" {
	guest 'modprobe vsock_loopback'
	for cid in 1 2 3; do
		run guest "printf d | socat -t 5 - VSOCK-CONNECT:$cid:219 | wc -c"
		expect_match '(^|[^0-9])0$' "$output"
	done
	run guest 'dmesg | grep upcall'
	expect_match 'CID 1' "$output"
	run client connect
	expect 0 "$status"
}

turned_away() { guest 'dmesg | grep -c "closed a connection from CID 1 "'; }

@test "processes of the guest that connect again and again do not shut the host out" {
	before=$(turned_away || true)
	guest 'modprobe vsock_loopback
		for i in 1 2 3 4; do
			while :; do socat -u OPEN:/dev/null VSOCK-CONNECT:1:219; done >/dev/null 2>&1 & echo $!
		done >/tmp/flooding'
	floods() { [ "$(turned_away)" -gt "$before" ]; }
	eventually floods
	for _ in {1..10}; do
		run client connect
		expect 0 "$status"
	done
	guest 'kill $(cat /tmp/flooding)'
}

@test "with require_privileged_peer only ports below 1024 are let in" {
	guest 'echo Y >/sys/module/upcall/parameters/require_privileged_peer'
	run client connect
	expect 0 "$status"
	# Somebody who may not read this tree, nor what else root has for itself.
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env PATH=/usr/bin:/bin "$@"; }
	chmod 711 "$VMCTL_RUN_DIR" "$VMCTL_RUN_DIR/guest"
	chmod 666 "$(sock)"
	run as_nobody python3 - "$(sock)" connect <"$here/upcall-client"
	expect 3 "$status"
	guest 'echo N >/sys/module/upcall/parameters/require_privileged_peer'
	run as_nobody python3 - "$(sock)" connect <"$here/upcall-client"
	expect 0 "$status"
	run guest 'dmesg | grep "require_privileged_peer"'
	expect 0 "$status"
}

@test "the port is a parameter, and all parameters are documented and readable" {
	needs_module
	guest 'modprobe -r upcall && modprobe upcall port=1219'
	run client connect
	expect 3 "$status"
	expect 1219 "$(guest 'cat /sys/module/upcall/parameters/port')"
	guest 'modprobe -r upcall && modprobe upcall'
	run client connect
	expect 0 "$status"
	run /sbin/modinfo -p "$O/kmod/$VM_KERNEL/upcall.ko"
	# The document has the same ones.
	expect "$(cut -d: -f1 <<<"$output" | sort)" \
		"$(sed -n "/^The module's parameters/,/^A request/s/^| \`\([a-z_]*\)\` .*/\1/p" "$here/../../docs/architecture.md" | sort)"
	for name in port timeout_ms request_timeout_ms max_connections require_privileged_peer mmio_device eject_port; do
		expect_match "$name:" "$output"
		guest "cat /sys/module/upcall/parameters/$name >/dev/null"
	done
}
