#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# virtio-mmio devices on pins that no table names. With ACPI QEMU's microvm has its
# transports on 16 and above (hw/i386/microvm.c); the guest, ACPI off, goes by qboot's
# MP table, which has 0 to 15.

load common

teardown() { halt; }

@test "IRQs of 16 and above: the parameter's device and one that is hot-added work" {
	truncate -s 64M "$BATS_TEST_TMPDIR/disk"
	# A module and a built-in driver read it alike.
	boot --machine microvm --append upcall.mmio_device=512@0xfeb00e00:23:0 \
		--qemu -machine --qemu acpi=on,ioapic2=off --qemu -bios --qemu qboot.rom \
		--qemu -drive --qemu "if=none,id=disk,format=raw,file=$BATS_TEST_TMPDIR/disk" \
		--qemu -device --qemu virtio-blk-device,drive=disk
	guest 'echo /bin/modprobe >/proc/sys/kernel/modprobe; modprobe virtio_blk; modprobe ext4'
	expect 512@0xfeb00e00:23:0 "$(guest 'cat /sys/module/upcall/parameters/mmio_device')"
	run upcall-client "$(sock)" add-mmio 0xfeb00c00 0x200 22
	expect_match '^ret=0 ' "$output"
	expect 'size=0x200 irq=22 n=1' "$(listed mmio 0xfeb00c00)"
	expect 'size=0x200 irq=23 n=0' "$(listed mmio 0xfeb00e00)"
	eventually guest 'test -b /dev/vda'
	guest 'mke2fs /dev/vda && mkdir -p /tmp/mnt && mount -t ext2 /dev/vda /tmp/mnt &&
		dd if=/dev/urandom of=/tmp/data bs=64k count=16 && cp /tmp/data /tmp/mnt &&
		umount /tmp/mnt && mount -t ext2 /dev/vda /tmp/mnt && cmp /tmp/data /tmp/mnt/data &&
		umount /tmp/mnt'
	run guest 'cat /proc/interrupts'
	expect_match ' 22: +[1-9][0-9]* .*IO-APIC +22-edge +virtio1' "$output"
	expect_match ' 23: +[1-9][0-9]* .*IO-APIC +23-edge +virtio0' "$output"
	for irq in 24 48; do
		run upcall-client "$(sock)" add-mmio 0xfeb00a00 0x200 $irq
		expect_match "^ret=ENODEV .*IRQ $irq " "$output"
	done
	run upcall-client "$(sock)" del-mmio 0xfeb00c00 0x200 22
	expect_match '^ret=0 ' "$output"
	run upcall-client "$(sock)" add-mmio 0xfeb00c00 0x200 22
	expect_match '^ret=0 ' "$output"
	guest 'mount -t ext2 /dev/vda /tmp/mnt && cmp /tmp/data /tmp/mnt/data && umount /tmp/mnt'
}
