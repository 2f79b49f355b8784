#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# PCI devices that QEMU makes while the guest runs: in, used, and out again.

load common

setup_file() {
	# A driver that is built in falls over it at boot, without any help of ours.
	local iommu=(--qemu -device --qemu "virtio-iommu-pci,addr=0x1e")
	! built_in || iommu=()
	boot --max-memory 2G \
		--qemu -device --qemu pcie-pci-bridge,id=pb,addr=0x17 \
		--qemu -device --qemu virtio-rng-pci,bus=pb,addr=1 \
		--qemu -device --qemu pcie-root-port,id=rp0,chassis=1,slot=1,addr=0x10 \
		--qemu -device --qemu pcie-root-port,id=rp1,chassis=2,slot=2,addr=0x11 \
		--qemu -device --qemu pcie-root-port,id=rp2,chassis=3,slot=3,addr=0x12 \
		--qemu -device --qemu pcie-root-port,id=rp3,chassis=4,slot=4,addr=0x13 \
		--qemu -device --qemu pcie-root-port,id=rp4,chassis=5,slot=5,addr=0x14 \
		--qemu -device --qemu pcie-root-port,id=rp5,chassis=6,slot=6,addr=0x15 \
		"${iommu[@]}"
	truncate -s 64M "$VMCTL_RUN_DIR/disk"
	BUS0=$(secondary 10)
	BUS1=$(secondary 11)
	BUS2=$(secondary 12)
	BUS3=$(secondary 13)
	BUS4=$(secondary 14)
	BUS5=$(secondary 15)
	export BUS0 BUS1 BUS2 BUS3 BUS4 BUS5
}
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

# The guest's own number of the bus behind the root port in that slot.
secondary() { guest "cat /sys/bus/pci/devices/0000:00:$1.0/secondary_bus_number"; }
address() { printf '0000:%02x:00.%d' "$1" "${2:-0}"; }

add() { client raw 7 2 "$(printf '%02x%02x' "$1" "$2")"; }
del() { client raw 8 2 "$(printf '%02x%02x' "$1" "$2")"; }
del2() { client raw 0x107 8 "$(printf '00000000%02x%02x0000' "$1" "$2")"; }
eject() { client raw 0x107 8 "$(printf '00000000%02x%02x0100' "$1" "$2")"; }

make_disk() { # make_disk ID BUS [MORE-PROPERTIES-IN-JSON]
	qmp blockdev-add "{\"driver\": \"file\", \"node-name\": \"$1\", \"filename\": \"$VMCTL_RUN_DIR/disk\",
		\"locking\": \"off\"}"
	qmp device_add "{\"driver\": \"virtio-blk-pci\", \"id\": \"$1\", \"drive\": \"$1\", \"bus\": \"$2\"${3:+, $3}}"
}
# Which functions of the slot behind a bus the guest has: "0 1".
functions() { guest "ls /sys/bus/pci/devices | sed -n 's/$(printf '0000:%02x:00' "$1")\.//p'" | xargs; }
drop_disk() { qmp blockdev-del "{\"node-name\": \"$1\"}"; }
in_qemu() { qmp query-pci | grep -q "\"qdev_id\": \"$1\""; }
not_in_qemu() { ! in_qemu "$1"; }

@test "a disk appears with its BARs assigned, holds a file system, and goes in QEMU too" {
	make_disk d0 rp0
	run add "$BUS0" 0
	expect_match '^ret=0 .* size=0 type=7 ' "$output"
	run guest "awk '\$1 != \"0x0000000000000000\" { n++ } END { print n }' \
		/sys/bus/pci/devices/$(address "$BUS0")/resource"
	[ "$output" -ge 2 ]
	guest 'modprobe virtio_blk; modprobe ext4; true'
	eventually guest '[ -b /dev/vda ]'
	guest 'set -e
		mke2fs /dev/vda >/dev/null; mkdir -p /tmp/mnt; mount -t ext4 /dev/vda /tmp/mnt
		head -c 4000000 /dev/urandom >/tmp/random; cp /tmp/random /tmp/mnt/file
		umount /tmp/mnt; mount -t ext4 /dev/vda /tmp/mnt; cmp /tmp/random /tmp/mnt/file; umount /tmp/mnt'
	qmp device_del '{"id": "d0"}'
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu d0
	drop_disk d0
	run guest 'ls /dev/vda'
	[ "$status" -ne 0 ]
}

@test "LIST and the events say what was plugged" {
	listen 2
	make_disk d0 rp0
	add "$BUS0" 0
	expect 'vendor=0x1af4 device=0x1042 class=0x10000' "$(listed pci $((BUS0 << 8)))"
	entry=$(list)
	qmp device_del '{"id": "d0"}'
	eject "$BUS0" 0
	eventually not_in_qemu d0
	drop_disk d0
	expect '' "$(list)"
	run heard 2
	expect_event ADD_PCI plugged "$entry" "${lines[1]}"
	expect_event DEL_PCI2 unplugged "$entry" "${lines[2]}"
}

@test "function 0 stands for all functions of its slot, another one for itself" {
	guest 'modprobe virtio_blk; modprobe virtio-rng; true'
	# The guest is told when all are there: function 0 comes last.
	qmp device_add '{"driver": "virtio-rng-pci", "id": "f1", "bus": "rp0", "addr": "0.1"}'
	make_disk f0 rp0 '"addr": "0.0", "multifunction": true'
	run add "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	expect '0 1' "$(functions "$BUS0")"
	eventually guest '[ -b /dev/vda ]'
	eventually guest 'grep -q virtio /sys/class/misc/hw_random/rng_available'
	run del "$BUS0" 1
	expect_match '^ret=0 ' "$output"
	expect 0 "$(functions "$BUS0")"
	guest '[ -b /dev/vda ]'
	run add "$BUS0" 0
	expect_match '^ret=EEXIST ' "$output"
	run add "$BUS0" 1
	expect_match '^ret=0 ' "$output"
	expect '0 1' "$(functions "$BUS0")"
	run eject "$BUS0" 1
	expect_match '^ret=EINVAL .*function 0' "$output"
	run del "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	expect '' "$(functions "$BUS0")"
	expect '' "$(list)"
	run add "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	expect '0 1' "$(functions "$BUS0")"
	qmp device_del '{"id": "f0"}'
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	expect '' "$(functions "$BUS0")"
	eventually not_in_qemu f0
	eventually not_in_qemu f1
	drop_disk f0
}

@test "a BAR that there is no room for: refused, nothing stays, and the next device is fine" {
	guest 'modprobe virtio_blk; true'
	# 8 TiB: more than the CPU of the tests has addresses for (40 bits).
	expect_match ' 40 bits physical' "$(guest 'grep "address sizes" /proc/cpuinfo')"
	qmp device_add '{"driver": "pci-testdev", "id": "big", "bus": "rp0", "membar": 8796093022208}'
	run add "$BUS0" 0
	expect_match '^ret=ENOSPC .*reason="no room for BAR [0-9]' "$output"
	expect '' "$(functions "$BUS0")"
	expect '' "$(list)"
	qmp device_del '{"id": "big"}'
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu big
	make_disk d0 rp0
	run add "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	eventually guest '[ -b /dev/vda ]'
	guest 'dd if=/dev/vda of=/dev/null bs=64k count=1'
	qmp device_del '{"id": "d0"}'
	eject "$BUS0" 0
	eventually not_in_qemu d0
	drop_disk d0
}

@test "what is not there, or there already, is refused" {
	run add "$BUS0" 0
	expect_match '^ret=ENODEV .*no device answers' "$output"
	run add 99 0
	expect_match '^ret=ENODEV .*no PCI bus' "$output"
	run del "$BUS0" 0
	expect_match '^ret=ENODEV ' "$output"
	run add 0 $((0x10 << 3))
	expect_match '^ret=EEXIST ' "$output"
	run del 0 $((0x10 << 3))
	expect_match '^ret=EBUSY .*bridge' "$output"
	run client raw 0x106 8 0000010000000000
	expect_match '^ret=EINVAL .*segment' "$output"
	run client raw 0x106 8 0000000000000100
	expect_match '^ret=EINVAL .*flags' "$output"
}

@test "the device that carries the connection stays" {
	run guest 'cd /sys/bus/pci/devices; grep -l 0x1053 */device | cut -d/ -f1'
	slot=$((16#${output:8:2}))
	run del 0 $((slot << 3))
	expect_match '^ret=EBUSY .*connection' "$output"
	run client connect
	expect 0 "$status"
}

@test "an eject that QEMU was not asked for changes nothing" {
	make_disk d0 rp0
	add "$BUS0" 0
	run eject "$BUS0" 0
	expect_match '^ret=ENODEV .*device_del' "$output"
	guest "test -e /sys/bus/pci/devices/$(address "$BUS0")"
	qmp device_del '{"id": "d0"}'
	eject "$BUS0" 0
	eventually not_in_qemu d0
	drop_disk d0
}

# Behind root ports everything is in slot 0, and which of QEMU's hotplug buses a port is
# no guest is told.
@test "with another device wanted back, the one that is named goes, or none" {
	qmp device_add '{"driver": "virtio-rng-pci", "id": "a", "bus": "rp0"}'
	add "$BUS0" 0
	qmp device_add '{"driver": "virtio-rng-pci", "id": "b", "bus": "rp1"}'
	add "$BUS1" 0
	qmp device_del '{"id": "a"}'
	run eject "$BUS1" 0
	expect_match '^ret=ENODEV .*device_del' "$output"
	guest "test -e /sys/bus/pci/devices/$(address "$BUS0")"
	guest "test -e /sys/bus/pci/devices/$(address "$BUS1")"
	in_qemu a
	in_qemu b
	qmp device_del '{"id": "b"}'
	reload # it knows of both what the load before it had learned
	run eject "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu b
	in_qemu a
	guest "test -e /sys/bus/pci/devices/$(address "$BUS0")"
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu a
}

# Two devices that are made before the guest is asked for either, behind fresh ports:
# which of them is on which hotplug bus cannot be learned.
make_two() { # make_two PORT PORT BUS BUS
	qmp device_add "{\"driver\": \"virtio-rng-pci\", \"id\": \"a\", \"bus\": \"$1\"}"
	qmp device_add "{\"driver\": \"virtio-rng-pci\", \"id\": \"b\", \"bus\": \"$2\"}"
	add "$3" 0
	add "$4" 0
}

@test "nothing was learned, and QEMU takes out another device: that is seen" {
	make_two rp2 rp3 "$BUS2" "$BUS3"
	qmp device_del '{"id": "a"}'
	run eject "$BUS3" 0
	expect_match '^ret=EIO .*rolled_back=1 .*did not eject .*else' "$output"
	guest "test -e /sys/bus/pci/devices/$(address "$BUS3")"
	in_qemu b
	# The guest has yet to let go of what QEMU has taken away.
	run del "$BUS2" 0
	expect_match '^ret=0 ' "$output"
	qmp device_del '{"id": "b"}'
	run eject "$BUS3" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu b
}

@test "nothing was learned, and two are wanted back: none, until the guest has let go" {
	make_two rp4 rp5 "$BUS4" "$BUS5"
	qmp device_del '{"id": "a"}'
	qmp device_del '{"id": "b"}'
	run eject "$BUS4" 0
	expect_match '^ret=EBUSY .*several buses' "$output"
	guest "test -e /sys/bus/pci/devices/$(address "$BUS4")"
	in_qemu a
	in_qemu b
	del "$BUS4" 0
	del "$BUS5" 0
	eject "$BUS4" 0
	eventually not_in_qemu a
	eventually not_in_qemu b
}

@test "a device that QEMU keeps and that does not start again can be plugged anew" {
	needs_module
	qmp device_add '{"driver": "virtio-rng-pci", "id": "a", "bus": "rp1"}'
	add "$BUS1" 0
	qmp device_del '{"id": "a"}'
	# No device here is like that: the module says that it is.
	variant 's/int ret = qemu_pci_eject(asked, PCI_SLOT(target->devfn));/int ret = -EIO;/
		s/if (pci_target_scan(&target) && !start(&target, &later)) {/if (pci_target_scan(\&target) \&\& start(\&target, \&later)) {/' pci.c
	run eject "$BUS1" 0
	expect_match '^ret=EIO .*rolled_back=0 stuck=1 .*did not eject' "$output"
	guest "! test -e /sys/bus/pci/devices/$(address "$BUS1")"
	expect '' "$(list)"
	run add "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	guest 'rmmod upcall && modprobe upcall'
	run eject "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu a
}

@test "a disk that is mounted and written goes without an oops" {
	guest 'modprobe virtio_blk; modprobe ext4; true'
	make_disk d0 rp1
	add "$BUS1" 0
	eventually guest '[ -b /dev/vda ]'
	guest 'mkdir -p /tmp/mnt; mke2fs /dev/vda >/dev/null; mount -t ext4 /dev/vda /tmp/mnt
		(while dd if=/dev/zero of=/tmp/mnt/file bs=64k count=10 conv=fsync; do :; done) \
			>/tmp/dd.log 2>&1 & echo $! >/tmp/dd.pid'
	# It has written what has reached the disk, and goes on.
	eventually guest 'grep -q "records out" /tmp/dd.log'
	guest 'kill -0 $(cat /tmp/dd.pid)'
	qmp device_del '{"id": "d0"}'
	run eject "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu d0
	eventually guest '! kill -0 $(cat /tmp/dd.pid)'
	guest 'umount -l /tmp/mnt'
	drop_disk d0
}

@test "a network card and a random number generator, in two slots at once" {
	qmp netdev_add '{"type": "hubport", "id": "n0", "hubid": 0}'
	qmp device_add '{"driver": "virtio-net-pci", "id": "net0", "netdev": "n0", "bus": "rp0"}'
	qmp device_add '{"driver": "virtio-rng-pci", "id": "rng0", "bus": "rp1"}'
	run add "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	run add "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	guest 'modprobe virtio_net; modprobe virtio-rng; true'
	eventually guest 'ls -d /sys/class/net/e*'
	eventually guest 'grep -q virtio /sys/class/misc/hw_random/rng_available'
	qmp device_del '{"id": "net0"}'
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	qmp device_del '{"id": "rng0"}'
	run eject "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu net0
	eventually not_in_qemu rng0
	qmp netdev_del '{"id": "n0"}'
}

@test "a reloaded module unplugs what the one before it had plugged" {
	qmp device_add '{"driver": "virtio-rng-pci", "id": "rng0", "bus": "rp0"}'
	add "$BUS0" 0
	reload
	guest 'ls /sys/bus/platform/devices | grep upcall-plugged'
	qmp device_del '{"id": "rng0"}'
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu rng0
	run guest 'ls /sys/bus/platform/devices'
	[[ $output != *upcall-plugged* ]]
}

@test "a bridge is refused, behind which there would be no bus" {
	qmp device_add '{"driver": "pcie-pci-bridge", "id": "bridge", "bus": "rp0"}'
	run add "$BUS0" 0
	expect_match '^ret=EOPNOTSUPP .*is a bridge' "$output"
	guest "! test -e /sys/bus/pci/devices/$(address "$BUS0")"
	qmp device_del '{"id": "bridge"}'
	run eject "$BUS0" 0
	expect_match '^ret=0 ' "$output"
	eventually not_in_qemu bridge
}

# A driver knows its device's registers by where they were when it began.
@test "what finds no room is refused, and no device in use is moved for it" {
	guest 'modprobe virtio-rng; true'
	qmp device_add '{"driver": "virtio-rng-pci", "id": "rng0", "bus": "rp1"}'
	add "$BUS1" 0
	windows='cat /sys/bus/pci/devices/*/resource; grep PCI /proc/iomem'
	before=$(guest "$windows")
	bridged=$(secondary 17)
	for try in 1 2; do
		qmp device_add '{"driver": "pci-testdev", "id": "big", "membar": 67108864, "bus": "pb", "addr": "2"}'
		run add "$bridged" $((2 << 3))
		expect_match '^ret=ENOSPC .*no room for BAR' "$output"
		qmp device_del '{"id": "big"}'
		eject "$bridged" $((2 << 3))
		eventually not_in_qemu big
		qmp device_add '{"driver": "pci-testdev", "id": "huge", "membar": 2199023255552, "bus": "rp0"}'
		run add "$BUS0" 0
		expect_match '^ret=ENOSPC .*no room for BAR' "$output"
		qmp device_del '{"id": "huge"}'
		eject "$BUS0" 0
		eventually not_in_qemu huge
	done
	diff <(echo "$before") <(guest "$windows")
	guest 'head -c 16 /dev/hwrng | wc -c | grep -qx 16'
	qmp device_del '{"id": "rng0"}'
	eject "$BUS1" 0
	eventually not_in_qemu rng0
}

@test "a large BAR is kept out of the place of DIMMs, which can be plugged then" {
	qmp device_add '{"driver": "pci-testdev", "id": "big", "membar": 67108864, "bus": "rp1"}'
	run add "$BUS1" 0
	expect_match '^ret=0 ' "$output"
	qmp object-add '{"qom-type": "memory-backend-memfd", "id": "ram", "share": true, "size": 1073741824}'
	qmp device_add '{"driver": "pc-dimm", "id": "dimm", "memdev": "ram"}'
	base=$(qmp query-memory-devices | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["data"]["addr"])')
	memory=$(python3 -c 'import struct, sys
print(struct.pack("<QQiI", int(sys.argv[1]), 1 << 30, -1, int(sys.argv[2])).hex())' "$base" 0)
	run client raw 0x102 24 "$memory"
	expect_match '^ret=0 ' "$output"
	run client raw 0x103 24 "${memory%????????}01000000"
	expect_match '^ret=0 ' "$output"
	eventually qmp object-del '{"id": "ram"}'
	qmp device_del '{"id": "big"}'
	eject "$BUS1" 0
	eventually not_in_qemu big
}

@test "a virtio-iommu is refused, whose driver would want firmware's word of it" {
	needs_module
	guest 'echo 1 >/sys/bus/pci/devices/0000:00:1e.0/remove'
	run add 0 $((0x1e << 3))
	expect_match '^ret=EOPNOTSUPP .*0000:00:1e.0 is a virtio-iommu' "$output"
	guest '! test -e /sys/bus/pci/devices/0000:00:1e.0'
}

@test "vmctl: what QEMU wants back already is not in the way of another device" {
	vmctl hotplug-pci guest virtio-rng-pci --id a --bus rp0
	vmctl hotplug-pci guest virtio-rng-pci --id b --bus rp1
	qmp device_del '{"id": "a"}'
	vmctl unplug-pci guest b
	not_in_qemu b
	in_qemu a
	guest "test -e /sys/bus/pci/devices/$(address "$BUS0") && ! test -e /sys/bus/pci/devices/$(address "$BUS1")"
	vmctl unplug-pci guest a
	not_in_qemu a
	guest "! test -e /sys/bus/pci/devices/$(address "$BUS0")"
}

@test "vmctl: unplugging goes on from where it was cut off" {
	vmctl hotplug-pci guest virtio-rng-pci --id a --bus rp0
	del2 "$BUS0" 0
	vmctl unplug-pci guest a
	not_in_qemu a
	vmctl hotplug-pci guest virtio-rng-pci --id a --bus rp0
	del2 "$BUS0" 0
	qmp device_del '{"id": "a"}'
	vmctl unplug-pci guest a
	not_in_qemu a
	run vmctl unplug-pci guest a
	expect 8 "$status"
}

@test "one hundred rounds of plugging and unplugging one slot" {
	for round in $(seq 100); do
		qmp device_add '{"driver": "virtio-rng-pci", "id": "rng0", "bus": "rp0"}' >/dev/null
		add "$BUS0" 0 >/dev/null
		qmp device_del '{"id": "rng0"}' >/dev/null
		eject "$BUS0" 0 >/dev/null
		not_in_qemu rng0 || eventually not_in_qemu rng0
	done
}
