#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl-agent --kata in a real guest, with bytes as Kata's runtimes send them: field
# numbers are written out here, and not taken from the project's own messages.

load common

setup_file() {
	boot --max-cpus 4
	guest 'vmctl-agent --listen vsock:230 --kata >/tmp/kata.log 2>&1 & echo $! >/tmp/kata.pid'
	eventually ttrpc-client "$(sock)" 1024 call grpc.Health Check
}
teardown_file() {
	guest 'kill $(cat /tmp/kata.pid)' || true
	halt
}
teardown() { vm check guest; }

agent() { ttrpc-client "$(sock)" 1024 call grpc.AgentService "$@"; }

# A field of bytes in hex: bytes_field NUMBER TEXT (both below 128 bytes long).
bytes_field() {
	printf '%02x%02x' $(($1 << 3 | 2)) ${#2}
	printf '%s' "$2" | od -An -v -tx1 | tr -d ' \n'
}

@test "Check says SERVING, Version says ours" {
	expect 0801 "$(ttrpc-client "$(sock)" 1024 call grpc.Health Check)"
	run ttrpc-client "$(sock)" 1024 call grpc.Health Version
	expect_match "$(bytes_field 2 "$(cat "$here/../../VERSION")")" "$output"
}

@test "the port of vmctl's own calls serves on, and a process in the guest is not let in" {
	ttrpc-client "$(sock)" 230 ping hello
	guest 'modprobe vsock_loopback'
	run guest "head -c 100 /dev/zero | socat -t 5 - VSOCK-CONNECT:1:1024 | wc -c"
	expect_match '(^|[^0-9])0$' "$output"
}

@test "a call about containers is UNIMPLEMENTED" {
	for method in CreateContainer ExecProcess GetOOMEvent SetPolicy UpdateEphemeralMounts \
		ResizeVolume; do
		run agent $method 0a0178
		[ "$status" -ne 0 ]
		expect_match 'status 12' "$output"
	done
}

@test "OnlineCPUMem: nb_cpus is a total, and cpu_only is about CPUs" {
	vmctl hotplug-cpu guest --to 3
	guest 'for cpu in 1 2; do echo 0 >/sys/devices/system/cpu/cpu$cpu/online; done'
	agent OnlineCPUMem 10021801 # nb_cpus 2, cpu_only
	expect '0-1 0-2' "$(cpus)"
	agent OnlineCPUMem 1003 # nb_cpus 3
	expect '0-2 0-2' "$(cpus)"
	agent OnlineCPUMem 1001
	expect '0-2 0-2' "$(cpus)"
	vmctl unplug-cpu guest --to 1
}

@test "OnlineCPUMem: CPUs that are not there are an error after 5 s" {
	began=$SECONDS
	run agent OnlineCPUMem 10071801
	[ "$status" -ne 0 ]
	expect_match 'status 13: failed to online [0-9]+ CPU\(s\) after 100 retries' "$output"
	[ $((SECONDS - began)) -ge 4 ]
}

@test "GetGuestDetails: the size of a memory block" {
	size=$((16#$(guest 'cat /sys/devices/system/memory/block_size_bytes')))
	run agent GetGuestDetails 08011001
	expect 0 "$status"
	varint=$(python3 -c '
import sys
n, out = int(sys.argv[1]), ""
while n > 127:
    out += "%02x" % (n & 127 | 128)
    n >>= 7
print(out + "%02x" % n)' "$size")
	expect_match "^08$varint" "$output"
}

@test "SetGuestDateTime sets the guest's clock" {
	agent SetGuestDateTime 0880a4e8ee06 # 1843008000
	run guest 'date -u +%Y'
	expect 2028 "$output"
	seconds=$(date +%s)
	guest "date -s @$seconds"
}

@test "ReseedRandomDev takes a seed" {
	agent ReseedRandomDev "$(bytes_field 2 'sixteen bytes ..')"
}

@test "CopyFile writes a file whole, and no link leads it astray" {
	path=/run/kata-containers/shared/hello
	agent CopyFile "$(bytes_field 1 $path)100518a4830220ed0342$(printf %02x 5)$(printf hello | od -An -tx1 | tr -d ' \n')"
	expect hello "$(guest "cat $path")"
	expect 644 "$(guest "stat -c %a $path")"
	guest 'ln -s /tmp /run/kata-containers/out'
	run agent CopyFile "$(bytes_field 1 /run/kata-containers/out/x)100118a48302420178"
	[ "$status" -ne 0 ]
	run agent CopyFile "$(bytes_field 1 /run/kata-containers/../../tmp/x)100118a48302420178"
	[ "$status" -ne 0 ]
	expect_match 'status 3' "$output"
	guest '[ ! -e /tmp/x ]'
}

@test "CreateSandbox: the host name and modules, and what cannot be done" {
	agent CreateSandbox "$(bytes_field 1 sandbox-1)"
	expect sandbox-1 "$(guest hostname)"
	guest 'hostname guest'
	run agent CreateSandbox 1a00 # a storage
	[ "$status" -ne 0 ]
	expect_match 'status 12' "$output"
	run agent CreateSandbox "3a$(printf %02x 10)$(bytes_field 1 ../../up)"
	[ "$status" -ne 0 ]
	agent DestroySandbox
}

@test "UpdateInterface and UpdateRoutes, by the interface's address" {
	guest 'modprobe dummy && ip link add dummy7 address 02:00:00:00:00:07 type dummy' ||
		skip "this kernel has no dummy interfaces"
	address="$(bytes_field 2 192.0.2.7)$(bytes_field 3 24)"
	interface="$(bytes_field 2 eth7)1a$(printf %02x $((${#address} / 2)))$address$(bytes_field 5 02:00:00:00:00:07)20dc0b"
	agent UpdateInterface "0a$(printf %02x $((${#interface} / 2)))$interface"
	run guest 'ip addr show eth7'
	expect_match 'inet 192\.0\.2\.7/24' "$output"
	expect_match 'mtu 1500 ' "$output"
	route="$(bytes_field 2 192.0.2.1)$(bytes_field 3 eth7)"
	near="$(bytes_field 1 192.0.2.0/24)$(bytes_field 3 eth7)"
	list="0a$(printf %02x $((${#route} / 2)))${route}0a$(printf %02x $((${#near} / 2)))$near"
	agent UpdateRoutes "0a$(printf %02x $((${#list} / 2)))$list"
	run guest 'ip route'
	expect_match 'default via 192\.0\.2\.1 dev eth7' "$output"
	agent ListInterfaces
	agent ListRoutes
}

@test "GetMetrics: the text format" {
	run agent GetMetrics
	expect_match "$(printf '# TYPE vmctl_guest_cpus gauge' | od -An -v -tx1 | tr -d ' \n')" "$output"
}

@test "GetVolumeStats: bytes and inodes of the file system that a path is on" {
	run agent GetVolumeStats "$(bytes_field 1 /tmp)"
	expect 0 "$status"
	expect_match '^0a.*120412024f4b$' "$output" # two usages; "OK"
	run agent GetVolumeStats "$(bytes_field 1 /none)"
	expect_match 'status 13' "$output"
}

@test "AddSwap and AddSwapPath: swap that is not there" {
	run agent AddSwapPath "$(bytes_field 1 /tmp/none)"
	expect_match 'status 13: swapon /tmp/none: No such file' "$output"
	run agent AddSwap 0a011e # slot 30
	expect_match 'status 13: no virtio disk' "$output"
}

@test "GetIPTables and SetIPTables go through the guest's programs" {
	run agent GetIPTables
	expect_match 'status 13' "$output" # the small guest has none
	guest 'mkdir -p /sbin'
	guest 'printf "#!/bin/sh\necho tables\n" >/sbin/iptables-save'
	guest 'printf "#!/bin/sh\ncat >/tmp/tables\n" >/sbin/iptables-restore'
	guest 'chmod +x /sbin/iptables-save /sbin/iptables-restore'
	expect "$(bytes_field 1 "tables
")" "$(agent GetIPTables)"
	agent SetIPTables "$(bytes_field 2 COMMIT)"
	expect COMMIT "$(guest 'cat /tmp/tables')"
	guest 'rm /sbin/iptables-save /sbin/iptables-restore'
}

@test "what Kata's agent says without containers and its memory agent" {
	agent RemoveStaleVirtiofsShareMounts
	run agent GetDiagnosticData "$(bytes_field 1 log)"
	expect_match 'status 3' "$output"
	run agent MemAgentMemcgSet 0801
	expect_match 'status 13: mem-agent is disabled' "$output"
}
