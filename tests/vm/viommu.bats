#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A virtio-iommu that the guest learns of while it runs. Behind it are a disk and,
# in the same slot and therefore the same IOMMU group, QEMU's edu device
# (docs/specs/edu), which copies from whatever address it is told to.

load common

# QEMU's microvm has 24 windows of virtio-mmio, filled from the highest down, at
# 0xfeb00000 with the GSIs from 24 (hw/i386/microvm.c): the vsock device's, then this.
iommu=0xfeb02c00:0x200:46
slot=0x20:0x20-0x27 # 00:04.x: QEMU's endpoint id is the BDF

setup_file() {
	trace=$BATS_FILE_TMPDIR/trace
	export trace
	truncate -s 16M "$BATS_FILE_TMPDIR/disk"
	if on_6_1; then
		boot
	else
		# MSI-X writes would fault: QEMU's MMIO virtio-iommu reserves no region.
		boot --machine microvm-pcie --append vmctl.hide=LNRO0005:01 \
			--qemu -device --qemu virtio-iommu-device,primary-bus=pcie.0 \
			--qemu -drive --qemu "if=none,id=d0,format=raw,file=$BATS_FILE_TMPDIR/disk" \
			--qemu -device --qemu virtio-blk-pci,drive=d0,addr=4.0,multifunction=on,iommu_platform=on,disable-legacy=on,vectors=0 \
			--qemu -device --qemu edu,addr=4.1,multifunction=on,dma_mask=0xffffffff \
			--qemu -trace --qemu 'virtio_iommu_*' --qemu -D --qemu "$trace"
		guest 'modprobe virtio_blk'
	fi
}
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

needs_driver() { ! on_6_1 || skip "6.1 has no driver"; }

# The functions that are in an IOMMU group, in one line.
grouped() { guest 'cd /sys/kernel/iommu_groups && ls */devices 2>/dev/null | grep 0000:' | xargs; }

# Tells the edu device to copy 8 bytes from an I/O address, and waits for the end.
copy() { # copy ADDRESS
	guest "bar=\$(sed -n '1s/ .*//p' /sys/bus/pci/devices/0000:00:04.1/resource)
		echo 1 >/sys/bus/pci/devices/0000:00:04.1/enable
		printf '\\006\\000' | dd of=/sys/bus/pci/devices/0000:00:04.1/config bs=1 seek=4 conv=notrunc 2>/dev/null
		devmem \$((bar + 0x80)) 32 $1
		devmem \$((bar + 0x84)) 32 0
		devmem \$((bar + 0x88)) 32 0x40000
		devmem \$((bar + 0x90)) 32 8
		devmem \$((bar + 0x98)) 32 1
		until [ \$((\$(devmem \$((bar + 0x98)) 32) & 1)) = 0 ]; do :; done"
}

faults() { grep -c "no mapping for $1 " "$VMCTL_RUN_DIR/guest/qemu.log" || true; }

# Mappings whose address the guest's disk keeps for as long as it has its driver.
lasting() {
	awk '/^virtio_iommu_map / { split($3, a, "="); held[a[2]] = 1 }
		/^virtio_iommu_unmap / { split($3, a, "="); delete held[a[2]] }
		END { for (i in held) print i }' "$trace" | sort | head -n 1
}

@test "6.1 has no driver, and says so" {
	on_6_1 || skip "this kernel has one"
	run client add-viommu $iommu $slot
	expect_match '^ret=EOPNOTSUPP .*reason=".*CONFIG_VIRTIO_IOMMU' "$output"
	run client del-viommu $iommu
	expect_match '^ret=EOPNOTSUPP ' "$output"
	run guest 'dmesg | grep "ADD_VIOMMU refused"'
	expect_match 'no virtio-iommu driver' "$output"
	run client connect
	[[ $output =~ features=(0x[0-9a-f]+) ]]
	expect 0 $((BASH_REMATCH[1] & 0x80))
}

@test "what is no virtio-iommu is refused, and the endpoints stay" {
	needs_driver
	run client add-viommu 0xfeb02a00:0x200:45 $slot
	expect_match '^ret=ENODEV .*reason=".+"' "$output"
	run client add-viommu 0x100000:0x200:46 $slot
	expect_match '^ret=EADDRINUSE ' "$output"
	run client add-viommu 0xfeb02e00:0x200:47 $slot # the vsock device
	expect_match '^ret=EADDRINUSE ' "$output"
	run client add-viommu 0xfeb02c00:0x200:4000 $slot
	expect_match '^ret=ENODEV .*IRQ 4000' "$output"
	run client add-mmio 0xfeb02e00 0x200 47
	expect_match '^ret=EADDRINUSE ' "$output"
	# ADD_MMIO would have its driver run without firmware's word of what is behind it.
	run client add-mmio 0xfeb02c00 0x200 46
	expect_match '^ret=EINVAL .*ADD_VIOMMU' "$output"
	# A BAR of the disk's.
	bar=$(guest "sed -n '/^0x0*[1-9a-f]/{s/ .*//p;q}' /sys/bus/pci/devices/0000:00:04.0/resource")
	run client add-mmio "$bar" 0x200 45
	expect_match '^ret=EADDRINUSE .*registered' "$output"
	run client del-viommu $iommu
	expect_match '^ret=ENODEV ' "$output"
	guest 'dd if=/dev/vda of=/dev/null bs=1M count=1 2>/dev/null'
	expect '' "$(grouped)"
}

@test "an endpoint whose disk is in use is not taken" {
	needs_driver
	guest 'sleep 1000 </dev/vda >/dev/null 2>&1 & echo $! >/tmp/holder'
	run client add-viommu $iommu $slot
	expect_match '^ret=EBUSY .*reason="endpoint 0000:00:04.0: its disk is in use"' "$output"
	guest 'kill $(cat /tmp/holder)'
	eventually guest '! kill -0 $(cat /tmp/holder)'
}

@test "LIST and the events say what was plugged, with its ranges" {
	needs_driver
	listen 2
	client add-viommu $iommu $slot 0x100:0x100-0x107
	run listed viommu 0xfeb02c00
	expect_match '^size=0x200 irq=46 n=[0-9]+ at=0 ranges=2$' "$output"
	guest "test -e /sys/bus/platform/devices/virtio-mmio.$(sed 's/.* n=\([0-9]*\).*/\1/' <<<"$output")"
	expect 'kind=0 endpoint=0x20 segment=0 first=0x20 last=0x27 base=0x0
kind=0 endpoint=0x100 segment=0 first=0x100 last=0x107 base=0x0' "$(listed viommu-range 0xfeb02c00)"
	entries=$(list)
	expect 3 "$(wc -l <<<"$entries")"
	expect "$entries" "$(guest 'upcall-events list')"
	client del-viommu $iommu
	expect '' "$(list)"
	run heard 2
	expect_event ADD_VIOMMU plugged "$entries" "${lines[1]}"
	expect_event DEL_VIOMMU unplugged "$entries" "${lines[2]}"
}

@test "an id that the VMM does not know: all is as before" {
	needs_driver
	run client add-viommu $iommu 0x99:0x20-0x27
	expect_match '^ret=EIO .*reason="endpoint 0000:00:04.[01] is in no IOMMU group' "$output"
	expect_match ' stuck=0 ' "$output"
	expect '' "$(grouped)"
	expect '' "$(guest 'ls /sys/class/iommu')"
	guest 'dd if=/dev/vda of=/dev/null bs=1M count=1 2>/dev/null'
}

@test "plugged: the endpoints are in a group behind it, and their DMA is mapped" {
	needs_driver
	run client add-viommu $iommu $slot
	expect_match '^ret=0 ' "$output"
	expect '0000:00:04.0 0000:00:04.1' "$(grouped)"
	before=$(grep -c '^virtio_iommu_map ' "$trace")
	guest 'dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
		dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null
		dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/data'
	[ "$(grep -c '^virtio_iommu_map ' "$trace")" -gt "$before" ]
	expect 0 "$(grep -c 'no mapping' "$VMCTL_RUN_DIR/guest/qemu.log" || true)"
	run client add-viommu $iommu $slot
	expect_match '^ret=EEXIST ' "$output"
}

@test "a mapping that is taken away faults" {
	needs_driver
	address=$(lasting)
	[ -n "$address" ]
	copy "$address"
	expect 0 "$(faults "$address")"
	guest 'cd /sys/bus/virtio/drivers/virtio_blk && echo virtio* | tr " " "\n" |
		grep -v "[*]" | while read -r d; do echo $d >unbind; done'
	eventually grep -q "^virtio_iommu_unmap .*virt_start=$address " "$trace"
	copy "$address"
	[ "$(faults "$address")" -ge 1 ]
	guest 'cd /sys/bus/pci/drivers/virtio-pci && echo 0000:00:04.0 >unbind && echo 0000:00:04.0 >bind'
	eventually guest 'test -b /dev/vda'
}

@test "the next load of the module finds it, and a function that comes back is behind it" {
	needs_driver
	needs_module
	guest 'modprobe -r upcall && modprobe upcall'
	guest 'echo 1 >/sys/bus/pci/devices/0000:00:04.0/remove; echo 1 >/sys/bus/pci/rescan'
	expect '0000:00:04.0 0000:00:04.1' "$(grouped)"
	eventually guest 'dd if=/dev/vda of=/dev/null bs=1M count=1 2>/dev/null'
}

@test "unplugged: refused while a disk is in use, then the endpoints go on without it" {
	needs_driver
	guest 'sleep 1000 </dev/vda >/dev/null 2>&1 & echo $! >/tmp/holder'
	run client del-viommu $iommu
	expect_match '^ret=EBUSY ' "$output"
	expect '0000:00:04.0 0000:00:04.1' "$(grouped)"
	guest 'kill $(cat /tmp/holder)'
	eventually guest '! kill -0 $(cat /tmp/holder)'
	run client del-viommu $iommu
	expect_match '^ret=0 ' "$output"
	expect '' "$(grouped)"
	guest 'dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/data'
	run guest 'ls /sys/class/iommu'
	expect '' "$output"
}

@test "ten times plugged and unplugged" {
	needs_driver
	for _ in {1..10}; do
		client add-viommu $iommu $slot
		client del-viommu $iommu
	done
	expect '' "$(grouped)"
	guest 'dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/data'
}

@test "vmctl plugs it, lists it and unplugs it, and says why it cannot" {
	where='--base 0xfeb02c00 --size 0x200 --irq 46'
	if on_6_1; then
		# shellcheck disable=SC2086
		run vmctl hotplug-iommu guest $where --endpoint 00:04.0=0x20
		expect 9 "$status"
		expect_match 'guest: module: .*cannot plug a virtio-iommu' "$output"
		return
	fi
	man_example 'hotplug-iommu vm1'
	# shellcheck disable=SC2086
	described hotplug-iommu guest $where --endpoint 00:04.0-00:04.7=0x20
	expect '0000:00:04.0 0000:00:04.1' "$(grouped)"
	run vmctl devices guest
	expect_match $'\nviommu +0xfeb02c00 .*\nrange +' "$output"
	# shellcheck disable=SC2086
	run vmctl hotplug-iommu guest $where --endpoint 00:04.0=0x20
	expect 9 "$status"
	expect_match 'plugged already; see vmctl devices guest' "$output"
	run vmctl unplug-iommu guest --base 0xfeb02c00 --size 0x200 --irq 45
	expect 9 "$status"
	guest 'sleep 1000 </dev/vda >/dev/null 2>&1 & echo $! >/tmp/holder'
	# shellcheck disable=SC2086
	run vmctl unplug-iommu guest $where
	expect 9 "$status"
	expect_match 'endpoint 0000:00:04.0: its disk is in use .*free it in the guest' "$output"
	guest 'kill $(cat /tmp/holder)'
	described devices guest
	# shellcheck disable=SC2086
	eventually described unplug-iommu guest $where
	expect '' "$(grouped)"
	run vmctl hotplug-iommu guest --pci 00:05.0 --endpoint 00:04.0=0x20
	expect 9 "$status"
	expect_match 'over MMIO, not PCI .*module-status' "$output"
}
