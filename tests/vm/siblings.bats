#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Two guests that talk to each other: two vsockd with one directory of --peers.
#
#   guest one (CID 3) - vsockd - DIR/3, DIR/4 - vsockd - guest two (CID 4)
#
# $SIBLING_BYTES is how much they send at each other at once (make soak-siblings:
# 1 GiB).

load common
bats_require_minimum_version 1.5.0

bytes=${SIBLING_BYTES:-$((16 << 20))}

setup_file() {
	make_registry
	mkdir "$VMCTL_RUN_DIR/peers"
	for guest in one:3 two:4; do
		vm up "${guest%:*}" --kernel "$VM_KERNEL" --memory 256M --max-cpus 1 \
			--vsockd "--cid=${guest#*:}" --vsockd "--peers=$VMCTL_RUN_DIR/peers"
	done
}
teardown_file() {
	status=0
	vm down one || status=$?
	vm down two || status=$?
	rm -rf "$VMCTL_RUN_DIR"
	return $status
}
teardown() {
	vm check one
	vm check two
}

@test "two guests send much at each other at once, on one connection" {
	begins_in two listen 7000 "both:$bytes:2:odd"
	expect "$(sum_of "$bytes" 2)" "$(VM_RUN_TIMEOUT=3600 vm run one \
		"(vsock-stream connect 4:7000 both:$bytes:1:65536 || echo failed) | sha256sum")"
	expect "$(sum_of "$bytes" 1)" "$(sum_in two)"
}

@test "messages go between guests whole" {
	vm run two 'vsock-messages echo 7010 >/tmp/log 2>&1 &'
	eventually vm run two 'grep -q listening /tmp/log'
	expect '100 messages' "$(vm run one 'vsock-messages check 4 7010 100')"
}

@test "a guest sees its sibling's CID, and a server for the host lets no sibling in" {
	vm run two 'socat VSOCK-LISTEN:7001 SYSTEM:'"'"'echo from $SOCAT_PEERADDR'"'"' >/tmp/log 2>&1 &'
	from() { vm run one 'socat -u VSOCK-CONNECT:4:7001 - </dev/null'; }
	eventually from
	# The driver's port and the agent's.
	for port in 219 220; do
		run vm run one "socat -T 20 -t 20 - VSOCK-CONNECT:4:$port </dev/null"
		expect_match 'reset|refused|not connected|^$' "$output"
	done
	# Who is let in and asks nothing has no answer, either.
	vm run two 'dmesg | grep "closed a connection from CID 3 "'
	grep 'refused a connection from CID 3 ' "$VMCTL_RUN_DIR/two/console.log"
	"$O/vmctl" ping two
}

@test "an absent port and an absent guest are refused at once" {
	for address in 4:9999 5:7000; do
		run vm run one "timeout 20 socat - VSOCK-CONNECT:$address </dev/null"
		expect_match 'reset by peer|refused' "$output"
	done
}
