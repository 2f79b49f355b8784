#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl devices and module-status, and what the verbs of a class say of a guest that
# cannot do it.

load common
bats_require_minimum_version 1.5.0

setup_file() {
	truncate -s 16M "$BATS_FILE_TMPDIR/disk"
	boot --max-cpus 15 --max-memory 4G \
		--qemu -device --qemu pcie-root-port,id=rp0,chassis=1,slot=1 \
		--qemu -drive --qemu "if=none,id=d0,format=raw,file=$BATS_FILE_TMPDIR/disk"
}
teardown_file() { halt; }
teardown() { vm check guest; }

# One value of a verb's JSON.
json() { # json EXPRESSION VERB...
	local expression=$1
	shift
	vmctl "$@" --json | python3 -c "import json, sys; r = json.load(sys.stdin); print($expression)"
}

@test "devices has nothing to list, then the CPU that was plugged, then nothing" {
	run --separate-stderr vmctl devices guest
	expect '0:' "$status:$output"
	vmctl hotplug-cpu guest --apic-id 1
	run vmctl devices guest
	expect 0 "$status"
	expect_match $'\ncpu +1 +[0-9]+ +[0-9.]+ +cpu=1 node=-1' "$output"
	expect "['cpu', '1', 1, -1]" "$(json '[d["class"], d["name"], d["parameters"]["cpu"],
		d["parameters"]["node"]] if (d := r["devices"][0]) else 0' devices guest)"
	# It says when: after the boot and not later than now.
	json '0 < r["devices"][0]["since_s"]' devices guest | grep -q True
	vmctl unplug-cpu guest --apic-id 1
	expect 0 "$(json 'len(r["devices"])' devices guest)"
}

@test "devices puts a list together that takes more than one answer" {
	vmctl hotplug-cpu guest --to 14
	expect "$(seq -s ' ' 1 13)" "$(json '" ".join(sorted((d["name"] for d in r["devices"]), key=int))' devices guest)"
	expect 13 "$(json 'r["plugged"]' module-status guest)"
	expect 1 "$(json 'len(set(d["request"] for d in r["devices"]))' devices guest)"
	# What was plugged is known to the next load of the module.
	reload
	expect 13 "$(json 'len(r["devices"])' devices guest)"
	vmctl unplug-cpu guest --to 1
	expect 0 "$(json 'len(r["devices"])' devices guest)"
}

@test "module-status has the module, the kernel and each type's counters" {
	before=$(json '[t["requests"] for t in r["types"] if t["name"] == "ADD_CPU"][0]' module-status guest)
	errors=$(json '[t["errors"] for t in r["types"] if t["name"] == "ADD_CPU"][0]' module-status guest)
	run upcall-client "$(sock)" add 0
	[ "$status" -eq 1 ]
	expect $((before + 1)) "$(json '[t["requests"] for t in r["types"] if t["name"] == "ADD_CPU"][0]' module-status guest)"
	expect $((errors + 1)) "$(json '[t["errors"] for t in r["types"] if t["name"] == "ADD_CPU"][0]' module-status guest)"
	expect "$(guest 'uname -r')" "$(json 'r["kernel"]' module-status guest)"
	expect "$(guest 'cat /sys/module/upcall/version')" "$(json 'r["module_version"]' module-status guest)"
	# More types than one answer holds.
	expect True "$(json 'len(r["types"]) > 13 and len(set(t["name"] for t in r["types"])) == len(r["types"])' module-status guest)"
	run vmctl module-status guest
	expect 0 "$status"
	expect_match 'features +detail ' "$output"
	expect_match $'\nADD_CPU +yes ' "$output"
	expect_match $'\nADD_MEM +no +0 ' "$output"
}

@test "both say so where there is no module" {
	needs_module
	guest 'modprobe -r upcall'
	for verb in devices module-status; do
		run vmctl $verb guest
		expect 6 "$status"
		expect_match 'guest: module: the guest has no upcall module' "$output"
	done
	guest 'modprobe upcall'
}

# Skips a test of a class that this guest's module does not have.
needs() {
	json '"'"$1"'" in r["features"]' module-status guest | grep -q True ||
		skip "the guest's module has no class $1"
}

@test "what the guest's module cannot do is refused before QEMU is asked" {
	window="--base 0xfeb00c00 --size 0x200 --irq 11"
	while read -r class verb; do
		json '"'"$class"'" in r["features"]' module-status guest | grep -q True && continue
		# shellcheck disable=SC2086
		run vmctl $verb
		expect 9 "$status"
		expect_match 'guest: module: .* cannot plug ' "$output"
	done <<END
mmio hotplug-mmio guest $window
mmio unplug-mmio guest $window
viommu hotplug-iommu guest $window --endpoint 00:02.0=16
pci hotplug-pci guest virtio-rng-pci
mem hotplug-mem guest 128M
END
	expect '[]' "$(qmp query-memory-devices)"
	expect 0 "$(qmp query-pci | grep -c vmctl-)"
}

@test "a window in RAM is refused by the guest, and nothing is plugged" {
	needs mmio
	run vmctl hotplug-mmio guest --base 0x100000 --size 0x200 --irq 11
	expect 9 "$status"
	expect_match 'upcall: the guest refused to plug' "$output"
	expect 0 "$(json 'len(r["devices"])' devices guest)"
}

@test "a PCI device is plugged, listed, and gone from QEMU too when it is unplugged" {
	needs pci
	for _ in 1 2 3; do
		vmctl hotplug-pci guest virtio-rng-pci --prop max-bytes=1024 --prop period=500
		expect 0x1044 "$(guest 'cat /sys/bus/pci/devices/0000:01:00.0/device')"
		expect "['pci', '0000:01:00.0', 0x1af4]" "$(json \
			'"[%r, %r, %#x]" % (d["class"], d["name"], d["parameters"]["vendor"]) if (d := r["devices"][0]) else 0' devices guest)"
		run vmctl hotplug-pci guest virtio-rng-pci
		expect 8 "$status"
		vmctl unplug-pci guest vmctl-pci0
		expect 0 "$(qmp query-pci | grep -c vmctl-pci0)"
		guest '! test -e /sys/bus/pci/devices/0000:01:00.0'
	done
}

@test "a PCI device that the guest no longer has can still be had back from it" {
	needs pci
	vmctl hotplug-pci guest virtio-rng-pci
	guest 'echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove'
	vmctl unplug-pci guest vmctl-pci0
	expect 0 "$(qmp query-pci | grep -c vmctl-pci0)"
}

@test "a PCI device, in JSON" {
	needs pci
	expect "['vmctl-pci0', '0000:01:00.0', True]" "$(json '[r["id"], r["address"], r["request"] > 0]' \
		hotplug-pci guest virtio-rng-pci)"
	expect "['vmctl-pci0', '0000:01:00.0', True]" "$(json '[r["id"], r["address"], r["request"] > 0]' \
		unplug-pci guest vmctl-pci0)"
}

@test "what QEMU would not take back stays in the guest" {
	needs pci
	run vmctl unplug-pci guest rp0
	expect 13 "$status"
	expect_match 'QEMU cannot take the PCI device .*rp0' "$output"
	expect 1 "$(qmp query-pci | grep -c '"rp0"')"
	guest 'test -e /sys/bus/pci/devices/0000:00:02.0'
}

@test "what is no PCI device is not left behind" {
	needs pci
	vmctl hotplug-pci guest qemu-xhci --id usb
	run vmctl hotplug-pci guest usb-tablet --id tablet --bus usb.0
	expect 13 "$status"
	expect_match 'is usb-tablet a PCI device.; it was taken back, nothing is left of it' "$output"
	expect 0 "$(qmp qom-list '{"path": "/machine/peripheral"}' | grep -c tablet)"
	vmctl unplug-pci guest usb
}

@test "what QEMU refuses leaves nothing behind" {
	needs pci
	run vmctl hotplug-pci guest no-such-device
	expect 13 "$status"
	run vmctl hotplug-pci guest virtio-rng-pci --bus pcie.0
	expect 13 "$status"
	expect 0 "$(qmp query-pci | grep -c vmctl-)"
}

total_mib() { guest "awk '/MemTotal/ { print int(\$2 / 1024) }' /proc/meminfo"; }

# What QEMU has left of plugged memory: the dimm, and the memory behind it.
left_of_memory() {
	qmp query-memory-devices
	qmp qom-list '{"path": "/objects"}' | grep vmctl-mem || true
}

@test "memory is plugged, listed, and gone from QEMU too when it is unplugged" {
	before=$(total_mib)
	for _ in 1 2; do
		run vmctl hotplug-mem guest 256M
		expect 0 "$status"
		expect_match '^guest: plugged memory of 256 MiB at 0x[0-9a-f]+ .vmctl-mem0.' "$output"
		expect $((before + 256)) "$(total_mib)"
		expect "['mem', 268435456]" "$(json '[d["class"], d["parameters"]["size"]] if (d := r["devices"][0]) else 0' devices guest)"
		expect vmctl-mem1 "$(json 'r["id"]' hotplug-mem guest 128M)"
		expect $((before + 384)) "$(total_mib)"
		expect 134217728 "$(json 'r["size"]' unplug-mem guest)"
		run vmctl unplug-mem guest --id vmctl-mem0
		expect 0 "$status"
		expect "$before" "$(total_mib)"
		expect '[]' "$(left_of_memory)"
	done
	run vmctl unplug-mem guest
	expect 8 "$status"
}

@test "memory that the guest does not take, or that QEMU has no room for, leaves nothing behind" {
	run vmctl hotplug-mem guest 100M
	expect 9 "$status"
	expect_match 'refused to plug the memory of 100 MiB .*whole memory blocks of 128 MiB' "$output"
	expect '[]' "$(left_of_memory)"
	run vmctl hotplug-mem guest 8G
	expect 13 "$status"
	expect_match 'guest: device_add: .*not enough space' "$output"
	expect '[]' "$(left_of_memory)"
	run vmctl hotplug-mem guest 128M --node 7
	expect 13 "$status"
	expect '[]' "$(left_of_memory)"
	expect 0 "$(json 'len(r["devices"])' devices guest)"
}

@test "memory that was left without a dimm is freed, by the next plug or unplug" {
	left='{"qom-type": "memory-backend-memfd", "id": "vmctl-mem0-ram", "size": 134217728, "share": true}'
	qmp object-add "$left"
	expect "['vmctl-mem0', 134217728]" "$(json '[r["id"], r["size"]]' hotplug-mem guest 128M --node 0)"
	expect 0 "$(json 'r["devices"][0]["parameters"]["node"]' devices guest)"
	vmctl unplug-mem guest --id vmctl-mem0
	expect '[]' "$(left_of_memory)"
	qmp object-add "$left"
	run vmctl unplug-mem guest
	expect 0 "$status"
	expect_match 'unplugged what QEMU had left of the memory vmctl-mem0' "$output"
	expect '[]' "$(left_of_memory)"
}

@test "memory with pages that somebody holds stays, says why, and goes when it is let go" {
	vmctl hotplug-mem guest 128M
	guest 'mkfifo /tmp/hold; (hold-pages 100 </tmp/hold >/tmp/held 2>&1 & echo $! >/tmp/pid)
		sleep 1000 >/tmp/hold & echo $! >/tmp/sleep'
	eventually guest 'grep -q holding /tmp/held'
	run vmctl unplug-mem guest --json
	expect 9 "$status"
	expect_match 'memory[0-9]+ at 0x[0-9a-f]+ could not be taken offline.*free it in the guest and try again' "$output"
	expect 1 "$(json 'len(r["devices"])' devices guest)"
	guest 'kill $(cat /tmp/pid) $(cat /tmp/sleep)'
	eventually vmctl unplug-mem guest
	expect '[]' "$(left_of_memory)"
}

@test "vmctl(1): the examples of PCI devices and of memory" {
	if json '"pci" in r["features"]' module-status guest | grep -q True; then
		man_example 'hotplug-pci vm1'
		described hotplug-pci guest virtio-rng-pci --id rng0
		described devices guest
		described unplug-pci guest rng0
	fi
	man_example 'hotplug-mem vm1'
	described hotplug-mem guest 256M
	described devices guest
	described hotplug-mem guest --to 1G
	described hotplug-mem guest --to 1G
	described hotplug-mem guest --to 768M
	described unplug-mem guest
	expect 0 "$(json 'len(r["devices"])' devices guest)"
}
