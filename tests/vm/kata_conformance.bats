#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What Kata Containers' own clients send, byte for byte, with their patience: Dragonball's
# upcall client to the module, the Rust and the Go runtime to the agent with --kata. Where
# in Kata's tree (main of August 2026) it says so stands at each; how the clients behave, at
# the top of kata-client. How long anything takes is recorded, and not judged: what counts
# is where it ends.

load common

mac=02:00:00:00:00:07
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
		--qemu -device --qemu virtio-net-pci,netdev=net,mac=$mac || {
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

# The answers have these statuses, in this order.
statuses() { # statuses CLIENT WANTED... <CALLS
	run kata-client "$(sock)" calls "$1" 1024
	shift
	expect 0 "$status"
	expect "$(printf '%s\n' "$@")" "$(sed 1d <<<"$output" | cut -d' ' -f1,2)"
}

# dbs_upcall/src/dev_mgr_service.rs: the header, repr(C), little-endian; CpuDevRequest of 258
# bytes and MmioDevRequest of 24; the buffer is of zeros. apic_ver is dbs_boot's
# APIC_VERSION, 0x14. vcpu_manager.rs: new CPUs in rising order, old ones from the last.
@test "the messages of Dragonball's client" {
	once
	expect '1024 00014d440201000001000000000000000314010203
1024 00014d4402010000020000000000000002140302' "$(kata-client - messages 1 4 2)"
	expect '1024 00014d44180000000500000000000000000cb0fe0000000000020000000000000b
1024 00014d44180000000600000000000000000cb0fe0000000000020000000000000b' \
		"$(kata-client - messages 0xfeb00c00:0x200:11 add del)"
}

# ttrpc's frame: length and stream id big-endian, the client's ids odd, type 1, flags 0.
# Request: service=1 method=2 payload=3 timeout_nano=4; what is empty is left out. Rust: the
# whole of request_timeout_ms (runtime-rs/crates/agent/src/kata/agent.rs, 30 s); Go: what is
# left of 30 s (Check) or 60 s when the frame is made (virtcontainers/kata_agent.go).
@test "the frames of the runtimes' calls" {
	once
	expect 0000002b0000000101000a11677270632e4167656e7453657276696365120c4f6e6c696e654350554d656d1a0210042080d88ee16f \
		"$(kata-client - frames <<<'grpc.AgentService OnlineCPUMem 30000000000 2=4')"
	expect 0000001a0000000101000a0b677270632e4865616c74681205436865636b2098e886e16f \
		"$(kata-client - frames <<<'grpc.Health Check 29999871000')"
}

@test "Dragonball's client, which began before the guest, has its service" {
	said=$(tail -n 1 "$(in_file upcall)")
	figures "upcall service at a boot: $said"
	expect_match '^tries=[1-9][0-9]* within=(True|False) ms=[0-9]+ in_pieces=0$' "$said"
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
# storages: shm always), kata-types/src/config/agent.rs (timeouts); field numbers:
# libs/protocols/protos/{agent,types}.proto. The memory of /dev/shm is a storage, which this
# agent does not mount: there a runtime's start ends, if it has no other agent.
@test "the calls of a sandbox's start, as the Rust runtime has them" {
	statuses runtime-rs 'UpdateInterface 0' 'UpdateRoutes 0' 'AddARPNeighbors 0' \
		'CreateSandbox 12' 'GetGuestDetails 0' 'GetOOMEvent 12' 'Check 0' <<-END
		grpc.AgentService UpdateInterface 30000000000 1{ 1'eth0 2'eth0 3{ 2'192.0.2.7 3'24 } 4=1500 5'$mac 7'veth }
		grpc.AgentService UpdateRoutes 30000000000 1{ 1{ 2'192.0.2.1 3'eth0 } 1{ 1'192.0.2.0/24 3'eth0 4'192.0.2.7 5=253 } }
		grpc.AgentService AddARPNeighbors 30000000000 1{ 1{ 1{ 2'192.0.2.1 } 2'eth0 3'02:00:00:00:00:01 4=128 } }
		grpc.AgentService CreateSandbox 30000000000 1'kata-rs 3{ 1'ephemeral 3'shm 4'tmpfs 5'noexec 5'nosuid 5'nodev 5'mode=1777 5'size=67108864 6'/run/kata-containers/sandbox/shm } 5'0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
		grpc.AgentService GetGuestDetails 30000000000 1=1 2=1
		grpc.AgentService GetOOMEvent 0
		grpc.Health Check 90000000000
	END
	expect_match 'inet 192\.0\.2\.7/24' "$(guest 'ip addr show eth0')"
	expect_match 'default via 192\.0\.2\.1 dev eth0' "$(guest 'ip route')"
	expect guest "$(guest hostname)" # a CreateSandbox that is refused has done nothing
}

# runtime-go: virtcontainers/kata_agent.go (startSandbox, setupNetworks, setupStorages), and
# virtcontainers/network.go for what an interface has.
@test "the calls of a sandbox's start, as the Go runtime has them" {
	statuses runtime-go 'Check 0' 'UpdateInterface 0' 'UpdateRoutes 0' 'AddARPNeighbors 0' \
		'CreateSandbox 12' 'GetGuestDetails 0' 'Check 0' <<-END
		grpc.Health Check 29999871000
		grpc.AgentService UpdateInterface 59999902000 1{ 1'eth0 2'eth0 3{ 2'192.0.2.8 3'24 } 4=1500 5'$mac 6'02/01 7'virtual }
		grpc.AgentService UpdateRoutes 59999911000 1{ 1{ 2'192.0.2.1 3'eth0 } 1{ 1'192.0.2.0/24 3'eth0 4'192.0.2.8 5=253 } }
		grpc.AgentService AddARPNeighbors 59999913000 1{ 1{ 1{ 2'192.0.2.1 } 2'eth0 3'02:00:00:00:00:01 4=128 } }
		grpc.AgentService CreateSandbox 59999915000 1'kata-go 3{ 1'virtio-fs 3'kataShared 4'virtiofs 6'/run/kata-containers/shared/containers/ } 3{ 1'ephemeral 3'shm 4'tmpfs 5'noexec 5'nosuid 5'nodev 5'mode=1777 5'size=67108864 6'/run/kata-containers/sandbox/shm } 5'0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
		grpc.AgentService GetGuestDetails 59999917000 1=1 2=1
		grpc.Health Check 29999919000
	END
	expect_match 'inet 192\.0\.2\.8/24' "$(guest 'ip addr show eth0')"
	# One without storages, as with shared_fs "none" and no shm, is carried out.
	statuses runtime-go 'CreateSandbox 0' 'DestroySandbox 0' <<-END
		grpc.AgentService CreateSandbox 59999915000 1'kata-go 5'0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
		grpc.AgentService DestroySandbox 59999915000
	END
	expect kata-go "$(guest hostname)"
	guest 'hostname guest'
}

# virtcontainers/kata_agent.go, updateInterface: a device that the guest has not found yet
# is asked for again 20 times, if the error has these words in it, and not otherwise.
@test "an interface that is not there yet is an error that the Go runtime asks again after" {
	run kata-client "$(sock)" calls runtime-go 1024 \
		<<<"grpc.AgentService UpdateInterface 59999902000 1{ 1'eth1 2'eth1 5'02:00:00:00:00:99 }"
	expect_match 'UpdateInterface [1-9][0-9]* - .*Link not found' "$output"
}

# Rust: resource/src/manager_inner.rs (update_linux_resource): the total, for CPUs and memory,
# at each change of a container. Go: virtcontainers/sandbox.go (updateResources): the new
# total for CPUs when it has grown, then 0 for memory, then the mounts, where 12 is let pass.
@test "the calls at a resize, after the CPUs have come" {
	create 1 2
	kata-client "$(sock)" resize 1 3
	statuses runtime-rs 'OnlineCPUMem 0' <<<'grpc.AgentService OnlineCPUMem 30000000000 2=3'
	expect '0-2 0-2' "$(cpus)"
	guest 'for cpu in 1 2; do echo 0 >/sys/devices/system/cpu/cpu$cpu/online; done'
	statuses runtime-go 'OnlineCPUMem 0' 'OnlineCPUMem 0' 'UpdateEphemeralMounts 12' <<-END
		grpc.AgentService OnlineCPUMem 59999902000 2=3 3=1
		grpc.AgentService OnlineCPUMem 59999904000
		grpc.AgentService UpdateEphemeralMounts 59999906000
	END
	expect '0-2 0-2' "$(cpus)"
	kata-client "$(sock)" resize 3 1
	destroy 1 2
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
