#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# virtio-mmio devices. QEMU makes them at its start only, in the transports of its
# microvm, from the highest down; the guest does not know of them until it is told.

load common

setup_file() {
	truncate -s 64M "${BATS_FILE_TMPDIR}/disk"
	boot --machine microvm \
		--qemu -drive --qemu "if=none,id=disk,format=raw,file=$BATS_FILE_TMPDIR/disk" \
		--qemu -device --qemu virtio-blk-device,drive=disk \
		--qemu -netdev --qemu user,id=net,restrict=on \
		--qemu -device --qemu virtio-net-device,netdev=net \
		--qemu -object --qemu rng-builtin,id=rng \
		--qemu -device --qemu virtio-rng-device,rng=rng
	# What udev would do, and the kernel's own way to modules.
	guest 'echo /bin/modprobe >/proc/sys/kernel/modprobe
		for m in virtio_blk virtio_net virtio-rng ext4; do modprobe $m; done'
}
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

vsock=0xfeb00e00
disk='0xfeb00c00 0x200 11'
net='0xfeb00a00 0x200 10'
rng='0xfeb00800 0x200 9'
empty='0xfeb00600 0x200'

# shellcheck disable=SC2086 # three words each
add() { client add-mmio $1; }
# shellcheck disable=SC2086
del() { client del-mmio $1; }

# A request that must be refused in words, and change nothing.
refused() { # refused ERROR WORDS VERB BASE SIZE IRQ
	local error=$1 words=$2 before
	shift 2
	before=$(devices)
	run client "$@"
	expect_match "^ret=$error done=0 .*reason=\"[^\"]*$words" "$output"
	expect "$before" "$(devices)"
}

devices() { guest 'ls /sys/bus/platform/devices | grep virtio-mmio' | xargs; }

@test "a disk: a file system is written and read back, removed, added again" {
	run add "$disk"
	expect_match '^ret=0 done=0 size=0 type=5 .*kernel_ns=[1-9]' "$output"
	eventually guest 'test -b /dev/vda'
	guest 'mke2fs /dev/vda && mkdir -p /tmp/mnt && mount -t ext2 /dev/vda /tmp/mnt &&
		dd if=/dev/urandom of=/tmp/data bs=64k count=64 && cp /tmp/data /tmp/mnt/data &&
		umount /tmp/mnt'
	run del "$disk"
	expect_match '^ret=0 done=0 size=0 type=6 .*kernel_ns=[1-9]' "$output"
	guest '! test -e /dev/vda'
	run add "$disk"
	expect_match '^ret=0 ' "$output"
	eventually guest 'test -b /dev/vda'
	guest 'mount -t ext2 /dev/vda /tmp/mnt && cmp /tmp/data /tmp/mnt/data && umount /tmp/mnt'
	del "$disk"
}

@test "a disk that is mounted and written to goes without an oops, and comes back" {
	add "$disk"
	eventually guest 'test -b /dev/vda'
	guest 'mke2fs /dev/vda && mkdir -p /tmp/mnt && mount -t ext2 /dev/vda /tmp/mnt
		(while dd if=/dev/zero of=/tmp/mnt/f bs=64k count=100 conv=fsync; do :; done) \
			>/tmp/dd.log 2>&1 & echo $! >/tmp/dd.pid'
	eventually guest 'test -s /tmp/mnt/f'
	run del "$disk"
	expect_match '^ret=0 ' "$output"
	eventually guest '! kill -0 $(cat /tmp/dd.pid)'
	guest 'umount /tmp/mnt; ! test -e /dev/vda'
	run add "$disk"
	expect_match '^ret=0 ' "$output"
	eventually guest 'test -b /dev/vda'
	guest 'mke2fs /dev/vda && mount -t ext2 /dev/vda /tmp/mnt && umount /tmp/mnt'
	del "$disk"
}

@test "a network card answers, goes while it is up and sending, and comes back" {
	for _ in 1 2; do
		run add "$net"
		expect_match '^ret=0 ' "$output"
		eventually guest 'test -e /sys/class/net/eth0'
		guest 'ifconfig eth0 10.0.2.15 up && ping -c 2 10.0.2.2 || exit 1
			ping -A 10.0.2.2 >/dev/null 2>&1 & echo $! >/tmp/ping.pid'
		run del "$net"
		expect_match '^ret=0 ' "$output"
		guest 'kill $(cat /tmp/ping.pid); ! test -e /sys/class/net/eth0'
	done
}

@test "a random number generator gives bytes, goes while it is read, and comes back" {
	for _ in 1 2; do
		run add "$rng"
		expect_match '^ret=0 ' "$output"
		eventually guest 'grep virtio /sys/class/misc/hw_random/rng_current'
		guest 'test "$(dd if=/dev/hwrng bs=1 count=64 | wc -c)" = 64 || exit 1
			dd if=/dev/hwrng of=/dev/null bs=1 >/dev/null 2>&1 & echo $! >/tmp/rng.pid'
		run del "$rng"
		expect_match '^ret=0 ' "$output"
		guest 'kill $(cat /tmp/rng.pid); ! grep virtio /sys/class/misc/hw_random/rng_current'
	done
}

# QEMU gives each of these devices a line of its own, and the guest is told that both are
# on the disk's. So the second one's own interrupts do not arrive: that it works shows
# that its driver has its turn with each of the first one's, as on a line they share.
@test "two devices share an IRQ" {
	add "$disk"
	eventually guest 'test -b /dev/vda'
	# Its driver may ask for bytes before it has done, and wait.
	guest 'while :; do dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct; done 2>/dev/null &
		echo $! >/tmp/reader.pid'
	run add "0xfeb00800 0x200 11"
	guest 'kill $(cat /tmp/reader.pid)'
	expect_match '^ret=0 ' "$output"
	run guest 'grep "^ *11:" /proc/interrupts'
	expect_match 'virtio[0-9]+, virtio[0-9]+' "$output"
	eventually guest 'grep virtio /sys/class/misc/hw_random/rng_current'
	guest 'rm -f /tmp/random
		dd if=/dev/hwrng of=/tmp/random bs=64 count=1 >/dev/null 2>&1 & echo $! >/tmp/rng.pid'
	interrupt_until_read() {
		guest 'dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null
			! kill -0 $(cat /tmp/rng.pid)'
	}
	eventually interrupt_until_read
	guest 'test -s /tmp/random'
	guest 'dd if=/dev/vda of=/dev/null bs=64k count=16'
	run del "0xfeb00800 0x200 11"
	expect_match '^ret=0 ' "$output"
	guest 'dd if=/dev/vda of=/dev/null bs=64k count=16 skip=16'
	del "$disk"
}

@test "LIST and the events say what it was plugged with" {
	listen 2
	add "$disk"
	expect 'size=0x200 irq=11 n=1' "$(listed mmio 0xfeb00c00)"
	entry=$(list | grep key=0xfeb00c00)
	del "$disk"
	run listed mmio 0xfeb00c00
	[ "$status" -eq 1 ]
	run heard 2
	expect_event ADD_MMIO plugged "$entry" "${lines[1]}"
	expect_event DEL_MMIO unplugged "$entry" "${lines[2]}"
}

@test "what cannot be is refused, with words, and changes nothing" {
	refused EINVAL 'wraps' add-mmio 0xfffffffffffffe00 0x1000 11
	refused EINVAL 'aligned' add-mmio 0xfeb00c02 0x200 11
	refused EINVAL 'aligned' add-mmio 0xfeb00c00 0x202 11
	refused EINVAL 'below' add-mmio 0xfeb00c00 0x80 11
	refused EINVAL 'above' add-mmio 0xfeb00c00 0x40000000 11
	refused EINVAL 'bits' add-mmio 0x8000000000000000 0x200 11
	refused EADDRINUSE 'RAM' add-mmio 0x1000000 0x200 11
	refused EADDRINUSE 'RAM' add-mmio 0x1ffffe00 0x400 11
	refused EEXIST 'plugged already' add-mmio $vsock 0x200 12
	refused EADDRINUSE 'registered' add-mmio 0xfeb00d00 0x200 11
	refused EADDRINUSE 'registered' add-mmio 0xfeb00c00 0x400 11
	refused EADDRINUSE 'registered' add-mmio 0xfec00000 0x200 11
	refused EADDRINUSE 'registered' add-mmio 0xfee00000 0x200 11
	refused EADDRINUSE 'registered' add-mmio 0xfee05000 0x200 11
	refused EADDRINUSE 'registered' add-mmio 0xfeeffe00 0x200 11
	refused EINVAL 'IRQ 0' add-mmio 0xfeb00c00 0x200 0
	refused ENODEV 'IRQ 2 ' add-mmio 0xfeb00c00 0x200 2
	refused ENODEV 'IRQ 24 ' add-mmio 0xfeb00c00 0x200 24
	refused ENODEV 'IRQ 9999 ' add-mmio 0xfeb00c00 0x200 9999
	refused ENODEV 'IRQ 4294967295 ' add-mmio 0xfeb00c00 0x200 0xffffffff
	refused ENODEV 'nothing' add-mmio 0xd0000000 0x200 11
	refused ENODEV 'no device' add-mmio $empty 8
	# The clock's, which is not shared.
	refused EBUSY 'IRQ 8 cannot be shared' add-mmio 0xfeb00c00 0x200 8
	on_6_1 ||
		refused ENODEV 'type 2, not 23' add-viommu 0xfeb00c00:0x200:11 0x20:0x20-0x27
	add "$disk"
	refused EEXIST 'plugged already' add-mmio 0xfeb00c00 0x200 11
	refused EINVAL 'was plugged with' del-mmio 0xfeb00c00 0x100 11
	refused EINVAL 'was plugged with' del-mmio 0xfeb00c00 0x200 10
	refused ENODEV 'no MMIO device' del-mmio 0xfeb00c04 0x200 11
	refused EBUSY 'vsock' del-mmio $vsock 0x200 12
	del "$disk"
	refused ENODEV 'no MMIO device' del-mmio 0xfeb00c00 0x200 11
}

@test "a reload between: the device and the one of the parameter are still known" {
	needs_module
	add "$disk"
	guest 'modprobe -r upcall && modprobe upcall'
	run client list
	expect_match "\"class\": \"mmio\", \"type\": 0, \"request\": 0, .*\"key\": $((vsock))" \
		"$(tr -d '\n' <<<"$output" | tr -s ' ')"
	expect_match "\"type\": 5, .*\"key\": $((0xfeb00c00))" "$(tr -d '\n' <<<"$output")"
	run add "$disk"
	expect_match '^ret=EEXIST ' "$output"
	refused EBUSY 'vsock' del-mmio $vsock 0x200 12
	run del "$disk"
	expect_match '^ret=0 ' "$output"
}

@test "a device that somebody unbound from its driver can still be removed" {
	add "$disk"
	name=$(devices | tr ' ' '\n' | tail -n 1)
	guest "echo $name >/sys/bus/platform/drivers/virtio-mmio/unbind"
	run del "$disk"
	expect_match '^ret=0 ' "$output"
}

@test "vmctl plugs a disk, lists it and unplugs it, and says why it cannot" {
	man_example 'hotplug-mmio vm1'
	where='--base 0xfeb00c00 --size 0x200 --irq 11'
	# shellcheck disable=SC2086
	run vmctl hotplug-mmio guest $where --json
	expect 0 "$status"
	expect_match '"base":4272950272,"size":512,"irq":11,' "$output"
	eventually guest 'test -b /dev/vda'
	run vmctl devices guest
	expect_match $'\nmmio +0xfeb00c00 ' "$output"
	# shellcheck disable=SC2086
	run vmctl hotplug-mmio guest $where --json
	expect 9 "$status"
	expect_match 'plugged already; see vmctl devices guest' "$output"
	run vmctl hotplug-mmio guest --base 0xfeb00600 --size 0x200 --irq 8
	expect 9 "$status"
	expect_match 'refused to plug the virtio-mmio device at 0xfeb00600' "$output"
	run vmctl hotplug-mmio guest --base 0x100000 --size 0x200 --irq 8
	expect 9 "$status"
	expect_match 'overlaps RAM .*/proc/iomem' "$output"
	run vmctl unplug-mmio guest --base 0xfeb00c00 --size 0x200 --irq 10
	expect 9 "$status"
	# shellcheck disable=SC2086
	described unplug-mmio guest $where
	guest '! test -e /dev/vda'
	# shellcheck disable=SC2086
	described hotplug-mmio guest $where
	described devices guest
	# shellcheck disable=SC2086
	vmctl unplug-mmio guest $where
	# shellcheck disable=SC2086
	run vmctl unplug-mmio guest $where
	expect 9 "$status"
	expect_match 'vmctl devices has what was plugged' "$output"
}

@test "a device of the parameter is listed as nobody's request, and goes by one" {
	needs_module
	guest 'modprobe -r upcall && modprobe upcall mmio_device=512@0xfeb00c00:11:7'
	eventually guest 'test -b /dev/vda && test -e /sys/bus/platform/devices/virtio-mmio.7'
	expect_match '512@0xfeb00c00:11:7' "$(guest 'cat /sys/module/upcall/parameters/mmio_device')"
	run client list
	expect_match "\"type\": 0, \"request\": 0, .*\"key\": $((0xfeb00c00))" \
		"$(tr -d '\n' <<<"$output" | tr -s ' ')"
	refused EEXIST 'plugged already' add-mmio 0xfeb00c00 0x200 11
	run del "$disk"
	expect_match '^ret=0 ' "$output"
	guest '! test -e /dev/vda'
	# One that cannot be is told of in the log, and the others are had.
	guest 'modprobe -r upcall && dmesg -c >/dev/null &&
		modprobe upcall mmio_device=512@0x1000000:11:8'
	expect_match 'virtio-mmio.8 cannot be announced: .*RAM' "$(guest dmesg)"
	guest 'modprobe -r upcall && modprobe upcall'
}

@test "a parameter that is wrong keeps the module from loading, and says why" {
	needs_module
	for wrong in '' 512 @0xfeb00c00:11 512@:11 512@0xfeb00c00 512@0xfeb00c00: 512@0xfeb00c00:0 \
		512@0xfeb00c00:x 512@0xfeb00c00:11: 512@0xfeb00c00:11:x 512@0xfeb00c00:11:-1 \
		512@0xfeb00c00:11:7:8 512@0xfeb00c00:11junk 128@0xfeb00c00:11 \
		8K@0xfffffffffffff000:11; do
		guest "modprobe -r upcall; dmesg -c >/dev/null; ! modprobe upcall mmio_device=$wrong"
		expect_match "mmio_device=$wrong is not <size>@<base>:<irq>" "$(guest dmesg)"
	done
	guest 'modprobe upcall'
	run add "$disk"
	expect_match '^ret=0 ' "$output"
	del "$disk"
}

@test "its driver goes while it is plugged; then it does, and comes back" {
	needs_module # there the drivers are built in too
	add "$disk"
	eventually guest 'test -b /dev/vda'
	guest 'modprobe -r virtio_blk; ! test -e /dev/vda'
	run del "$disk"
	expect_match '^ret=0 ' "$output"
	guest 'modprobe virtio_blk'
	run add "$disk"
	expect_match '^ret=0 ' "$output"
	eventually guest 'test -b /dev/vda'
	del "$disk"
}

@test "somebody unbinds it while it is being removed: twenty rounds" {
	for round in {1..20}; do
		add "$disk" >/dev/null
		name=$(devices | tr ' ' '\n' | tail -n 1)
		guest "(i=0; while [ \$i -lt 500 ]; do i=\$((i + 1))
			echo $name >/sys/bus/platform/drivers/virtio-mmio/unbind
			echo $name >/sys/bus/platform/drivers/virtio-mmio/bind; done) >/tmp/race.log 2>&1 &
			echo \$! >/tmp/race.pid"
		run del "$disk"
		expect_match '^ret=0 ' "$output"
		guest 'kill $(cat /tmp/race.pid) 2>/dev/null || true'
	done
	expect virtio-mmio.0 "$(devices)"
}
