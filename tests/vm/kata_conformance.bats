#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What Kata Containers' own clients send, byte for byte, with their patience: Dragonball's
# upcall client to the module, the Rust and the Go runtime to the agent with --kata. Where
# in Kata's tree (main of August 2026) it says so stands at each; how the clients behave, at
# the top of kata-client. How long anything takes is recorded, and not judged: what counts
# is where it ends.

load common

mac=02:00:00:00:00:07 # it is in kata-calls too
calls=$here/kata-calls
in_file() { echo "$BATS_FILE_TMPDIR/$1"; }

# Three clients are there before what they want: one before the guest's own QEMU.
setup_file() {
	make_registry
	kata-client "$(sock)" wait >"$(in_file upcall)" 2>&1 3>&- &
	upcall=$!
	echo 'grpc.Health Check 90000000000' |
		kata-client "$(sock)" calls runtime-rs 1024 >"$(in_file runtime-rs)" 2>&1 3>&- &
	runtime_rs=$!
	vm up guest --kernel "$VM_KERNEL" --max-cpus 4 \
		--qemu -netdev --qemu user,id=net,restrict=on \
		--qemu -device --qemu virtio-net-pci,netdev=net,mac=$mac \
		--qemu -device --qemu pcie-root-port,id=slot1,chassis=1,slot=1,addr=0x10 || {
		kill $upcall $runtime_rs
		return 1
	}
	wait $upcall
	echo 'grpc.Health Check 29999871000' |
		kata-client "$(sock)" calls runtime-go 1024 >"$(in_file runtime-go)" 2>&1 3>&- &
	runtime_go=$!
	guest 'modprobe virtio_net
		vmctl-agent --listen vsock:230 --kata >/tmp/kata.log 2>&1 &'
	wait $runtime_rs
	wait $runtime_go
}
teardown_file() { halt; }
teardown() { vm check guest; }

# What a vCPU needs before the guest can start it: Dragonball has made it by then.
create() { # create APIC-ID...
	for id; do
		qmp device_add "{\"driver\": \"max-x86_64-cpu\", \"id\": \"test$id\",
			\"socket-id\": $id, \"core-id\": 0, \"thread-id\": 0}"
	done
}
destroy() { # destroy APIC-ID...
	for id; do
		qmp device_del "{\"id\": \"test$id\"}"
		upcall-client "$(sock)" eject "$id"
	done
}

# The answers to kata-calls/CALLS have these statuses, in this order.
statuses() { # statuses CLIENT CALLS WANTED...
	run kata-client "$(sock)" calls "$1" 1024 <"$calls/$2"
	shift 2
	expect 0 "$status"
	expect "$(printf '%s\n' "$@")" "$(sed 1d <<<"$output" | cut -d' ' -f1,2)"
}

# dbs_upcall/src/dev_mgr_service.rs: the header, repr(C), little-endian; CpuDevRequest of 258
# bytes, MmioDevRequest of 24, PciDevRequest of 2; the buffer is of zeros. apic_ver is dbs_boot's
# APIC_VERSION, 0x14. vcpu_manager.rs: new CPUs in rising order, old ones from the last.
@test "the messages of Dragonball's client" {
	once
	expect '1024 00014d440201000001000000000000000314010203
1024 00014d4402010000020000000000000002140302' "$(kata-client - messages 1 4 2)"
	expect '1024 00014d44180000000500000000000000000cb0fe0000000000020000000000000b
1024 00014d44180000000600000000000000000cb0fe0000000000020000000000000b' \
		"$(kata-client - messages 0xfeb00c00:0x200:11 add del)"
	expect '1024 00014d440200000007000000000000000108
1024 00014d440200000008000000000000000108' "$(kata-client - messages 1:8 add del)"
}

# ttrpc's frame: length and stream id big-endian, the client's ids odd, type 1, flags 0.
# Request: service=1 method=2 payload=3 timeout_nano=4; what is empty is left out. Rust: the
# whole of request_timeout_ms (runtime-rs/crates/agent/src/kata/agent.rs, 30 s); Go: what is
# left of 30 s (Check) or 60 s when the frame is made (virtcontainers/kata_agent.go). The
# bytes that stand beside the calls are protoc's, of Kata's own agent.proto.
@test "the frames of the runtimes' calls" {
	once
	for file in "$calls"/*; do
		wanted=$(sed -nE 's/^# ([0-9a-f]{20,})$/\1/p' "$file")
		expect "$(grep -c '^grpc\.' "$file")" "$(wc -l <<<"$wanted")"
		expect "$wanted" "$(kata-client - frames <"$file")"
	done
}

@test "Dragonball's client, which began before the guest, has its service" {
	said=$(tail -n 1 "$(in_file upcall)")
	figures "upcall service at a boot: $said"
	expect_match '^tries=[1-9][0-9]* ms=[0-9]+ in_pieces=0$' "$said"
}

@test "the runtimes, which dialled before the agent was there, are served: connect in either case" {
	for client in runtime-rs runtime-go; do
		figures "agent's port, $client: $(head -n 1 "$(in_file $client)")"
		expect_match "^tries=[1-9]" "$(cat "$(in_file $client)")"
		expect 'Check 0 0801' "$(tail -n 1 "$(in_file $client)")"
	done
}

@test "a resize up and down, with the 250 ms that Kata has for each" {
	create 1 2 3
	run kata-client "$(sock)" resize 1 4
	expect 0 "$status"
	figures "Dragonball's resize from 1 to 4: $(tail -n 1 <<<"$output")"
	expect_match 'cpus=4 ms=[0-9]+ given_up=[01] refused=[0-9]+ in_pieces=0 resets=0' "$output"
	expect '0-3 0-3' "$(cpus)"
	run kata-client "$(sock)" resize 4 4 2 1
	expect 0 "$status"
	figures "Dragonball's resizes from 4 to 2 to 1: $(grep -o ' ms=[0-9]*' <<<"$output" | xargs)"
	expect_match 'cpus=1 ms=[0-9]+ given_up=[01] refused=[0-9]+ in_pieces=0 resets=0' "$output"
	expect '0 0' "$(cpus)"
	destroy 1 2 3
}

# The guest stands still when the resize comes, so that the answer is late for certain.
@test "a resize that is given up after 250 ms and asked for again ends where it should" {
	create 1 2
	mkfifo "$BATS_TEST_TMPDIR/go"
	kata-client "$(sock)" resize 1 - 3 - 1 <"$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/out" \
		2>>"$BATS_TEST_TMPDIR/told" 3>&- &
	client=$!
	exec 9>"$BATS_TEST_TMPDIR/go"
	eventually grep -q connected "$BATS_TEST_TMPDIR/told"
	for target in 3 1; do
		: >"$BATS_TEST_TMPDIR/told"
		qmp stop
		echo >&9
		eventually grep -q 'a resize is on its way' "$BATS_TEST_TMPDIR/told"
		qmp cont
		eventually grep -q "^cpus=$target .* given_up=1 refused=[1-9][0-9]* in_pieces=0 resets=0$" \
			"$BATS_TEST_TMPDIR/out"
	done
	exec 9>&-
	wait $client
	figures "resizes of a guest that stood still: $(grep -o 'ms=[0-9]*' "$BATS_TEST_TMPDIR/out" | xargs)"
	expect '0 0' "$(cpus)"
	destroy 1 2
}

# runtime-rs: virt_container/src/sandbox.rs (start), resource/src/manager_inner.rs (network,
# storages: the shared files by share_fs/share_virtio_fs_inline.rs, shm always),
# kata-types/src/config/agent.rs (timeouts); field numbers: libs/protocols/protos/
# {agent,types}.proto. Storages are what this agent does not mount: there a runtime's start
# ends, if it has no other agent.
@test "the calls of a sandbox's start, as the Rust runtime has them" {
	kata-client "$(sock)" log 1025 >"$BATS_TEST_TMPDIR/log" 3>&- &
	log=$!
	statuses runtime-rs rust-start 'UpdateInterface 0' 'AddARPNeighbors 0' 'UpdateRoutes 0' \
		'CreateSandbox 12' 'GetGuestDetails 0' 'GetOOMEvent 12' 'Check 0'
	wait $log # kata-agent's log alone is at that port
	expect refused=1001 "$(cat "$BATS_TEST_TMPDIR/log")"
	expect_match 'inet 192\.0\.2\.7/24' "$(guest 'ip addr show eth0')"
	expect_match 'default via 192\.0\.2\.1 dev eth0' "$(guest 'ip route')"
	expect guest "$(guest hostname)" # a CreateSandbox that is refused has done nothing
}

# runtime-go: virtcontainers/kata_agent.go (startSandbox, setupNetworks, setupStorages), and
# virtcontainers/network.go for what an interface has.
@test "the calls of a sandbox's start, as the Go runtime has them" {
	statuses runtime-go go-start 'Check 0' 'UpdateInterface 0' 'UpdateRoutes 0' \
		'AddARPNeighbors 0' 'CreateSandbox 12' 'GetGuestDetails 0' 'Check 0'
	expect_match 'inet 192\.0\.2\.8/24' "$(guest 'ip addr show eth0')"
	# One without storages is carried out.
	statuses runtime-go go-start-without-storages 'CreateSandbox 0' 'DestroySandbox 0'
	expect kata-go "$(guest hostname)"
	guest 'hostname guest'
}

# Where a policy is set, either runtime sends it first, and gives up at any error.
@test "a policy of Kata's is refused, and not taken for one that is kept" {
	statuses runtime-rs policy 'SetPolicy 12'
}

# virtcontainers/kata_agent.go, updateInterface: a device that the guest has not found yet
# is asked for again 20 times, if the error has these words in it, and not otherwise. The Rust
# runtime asks again 9 times after any (manager_inner.rs, handle_interfaces).
@test "an interface that is not there yet is an error that the runtimes ask again after" {
	for client in runtime-go runtime-rs; do
		run kata-client "$(sock)" calls $client 1024 \
			<<<"grpc.AgentService UpdateInterface 59999902000 1{ 1'eth1 2'eth1 5'02:00:00:00:00:99 }"
		expect_match 'UpdateInterface [1-9][0-9]* - .*Link not found' "$output"
	done
}

# Rust: resource/src/manager_inner.rs (update_linux_resource): the total, for CPUs and memory,
# at each change of a container. Go: virtcontainers/sandbox.go (updateResources): the new
# total for CPUs when it has grown, then 0 for memory, then the mounts, where 12 is let pass.
@test "the calls at a resize, after the CPUs have come" {
	create 1 2
	kata-client "$(sock)" resize 1 3
	statuses runtime-rs rust-resize 'OnlineCPUMem 0'
	expect '0-2 0-2' "$(cpus)"
	guest 'for cpu in 1 2; do echo 0 >/sys/devices/system/cpu/cpu$cpu/online; done'
	statuses runtime-go go-resize 'OnlineCPUMem 0' 'OnlineCPUMem 0' 'UpdateEphemeralMounts 12'
	expect '0-2 0-2' "$(cpus)"
	kata-client "$(sock)" resize 3 1
	destroy 1 2
}

# device_manager/mod.rs (insert_hotplug_pci_device, remove_hotplug_pci_device), which is how a
# container's disk comes. On Dragonball it has a slot of bus 0; QEMU plugs behind a port.
@test "a virtio-pci disk, plugged and unplugged as Dragonball does it" {
	truncate -s 16M "$BATS_TEST_TMPDIR/disk"
	guest 'modprobe virtio_blk'
	bus=$(guest 'cat /sys/bus/pci/devices/0000:00:10.0/secondary_bus_number')
	qmp blockdev-add "{\"driver\": \"file\", \"node-name\": \"disk\", \"filename\": \"$BATS_TEST_TMPDIR/disk\"}"
	qmp device_add '{"driver": "virtio-blk-pci", "id": "disk", "drive": "disk", "bus": "slot1"}'
	run kata-client "$(sock)" pci add "$bus" 0
	figures "Dragonball's virtio-pci disk: $(tail -n 1 <<<"$output")"
	expect_match 'ret=0 ' "$output"
	eventually guest 'test -b /dev/vda'
	run kata-client "$(sock)" pci del "$bus" 0
	expect_match 'ret=0 ' "$output"
	guest '! test -e /dev/vda'
}

# device_manager/mod.rs (insert_hotplug_mmio_device) and blk_dev_mgr.rs: 250 ms here too. The
# window is QEMU's: Dragonball's own, of 0x2000 bytes, is more than one of QEMU's devices has.
@test "a virtio-mmio disk, plugged and unplugged as Dragonball does it" {
	truncate -s 16M "$BATS_TEST_TMPDIR/disk"
	reboot --machine microvm \
		--qemu -drive --qemu "if=none,id=disk,format=raw,file=$BATS_TEST_TMPDIR/disk" \
		--qemu -device --qemu virtio-blk-device,drive=disk
	guest 'modprobe virtio_blk'
	run kata-client "$(sock)" mmio add 0xfeb00c00 0x200 11
	figures "Dragonball's virtio-mmio disk: $(tail -n 1 <<<"$output")"
	expect_match 'ret=0 ' "$output"
	eventually guest 'test -b /dev/vda'
	run kata-client "$(sock)" mmio del 0xfeb00c00 0x200 11
	expect_match 'ret=0 ' "$output"
	guest '! test -e /dev/vda'
}
