#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A request that does not end. The kernel's drivers wait for their device without a
# limit, here for an interrupt that comes on another line than the host said.

load common

teardown() { halt; }

client() { upcall-client "$(sock)" "$@"; }

@test "a driver that waits for ever: its client and those that wait are told" {
	truncate -s 64M "$BATS_TEST_TMPDIR/disk"
	boot --machine microvm \
		--qemu -drive --qemu "if=none,id=disk,format=raw,file=$BATS_TEST_TMPDIR/disk" \
		--qemu -device --qemu virtio-blk-device,drive=disk
	guest 'echo /bin/modprobe >/proc/sys/kernel/modprobe; modprobe virtio_blk
		echo 3000 >/sys/module/upcall/parameters/request_timeout_ms'
	# One behind it in the line, one that comes later.
	client add-mmio 0xfeb00c00 0x200 5 >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	first=$!
	eventually guest 'test -e /sys/bus/platform/devices/virtio-mmio.1'
	run client add-mmio 0xfeb00a00 0x200 10
	expect_match '^ret=EBUSY .*another request has not ended in 3 s' "$output"
	status=0
	wait "$first" || status=$?
	[ "$status" -ne 0 ]
	grep -q closed "$BATS_TEST_TMPDIR/first"
	run client add 1
	expect_match '^ret=EBUSY .*another request has not ended' "$output"
	eventually guest 'dmesg | grep -q "a request has not ended in 3 s: closed its connection"'
}
