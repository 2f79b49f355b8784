#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The guest's network as vmctl shows and sets it, and the guest's vsock sockets.

load common

setup_file() {
	boot --max-cpus 2
	guest 'modprobe dummy && ip link add eth7 address 02:00:00:00:00:07 type dummy'
}
teardown_file() { halt; }
teardown() { vm check guest; }

# One value of `vmctl net --json`: net_value EXPRESSION, of n.
net_value() {
	vmctl net guest --json | python3 -c '
import json, sys
n = json.load(sys.stdin)
i = {one["name"]: one for one in n["interfaces"]}
print(eval(sys.argv[1]))' "$1"
}

@test "net: interfaces with addresses and traffic, as the guest has them" {
	guest 'ping -c 3 127.0.0.1'
	run vmctl net guest
	expect 0 "$status"
	expect_match '(^|
)lo  *up ' "$output"
	expect_match '127\.0\.0\.1/8' "$output"
	expect "02:00:00:00:00:07 False" "$(net_value 'i["eth7"]["mac"], i["eth7"]["up"]' | tr -d "(),'")"
	guest_bytes=$(guest 'cat /sys/class/net/lo/statistics/rx_bytes')
	[ "$(net_value 'i["lo"]["statistics"]["rx_bytes"]')" -ge "$guest_bytes" ]
}

@test "net: an interface is set up, and down again" {
	vmctl net guest --interface eth7 --mtu 1400 --add 192.0.2.2/24 --add fd00::2/64 --up
	run guest 'ip addr show eth7'
	expect_match 'mtu 1400 ' "$output"
	expect_match '[<,]UP[,>]' "$output"
	expect_match 'inet 192\.0\.2\.2/24' "$output"
	expect_match 'inet6 fd00::2/64' "$output"
	vmctl net guest --interface eth7 --mtu 1400 --add 192.0.2.2/24 --up
	vmctl net guest --interface eth7 --remove 192.0.2.2/24 --down
	run guest 'ip addr show eth7'
	[[ $output != *192.0.2.2* ]]
	[[ $output != *[\<,]UP[,\>]* ]]
}

@test "net: routes come and go" {
	vmctl net guest --interface eth7 --add 192.0.2.2/24 --up
	vmctl net guest --add-route default --via 192.0.2.1
	vmctl net guest --add-route 198.51.100.0/24 --interface eth7
	run guest 'ip route'
	expect_match 'default via 192\.0\.2\.1 dev eth7' "$output"
	expect_match '198\.51\.100\.0/24 dev eth7' "$output"
	expect 192.0.2.1 "$(net_value '[r["gateway"] for r in n["routes"] if r["destination"] == "default"][0]')"
	vmctl net guest --remove-route default --via 192.0.2.1
	vmctl net guest --remove-route default --via 192.0.2.1
	run guest 'ip route'
	[[ $output != *default* ]]
}

@test "net: what the guest refuses is said, and --dry-run changes nothing" {
	run vmctl net guest --interface nosuch --up
	expect 9 "$status"
	expect_match "there is no interface 'nosuch'" "$output"
	run vmctl net guest --interface eth7 --mtu 4294967295
	expect 9 "$status"
	before=$(guest 'cat /sys/class/net/eth7/mtu')
	vmctl net guest --interface eth7 --mtu 1300 --dry-run
	expect "$before" "$(guest 'cat /sys/class/net/eth7/mtu')"
}

@test "net --vsock: who listens, and this very connection" {
	guest 'modprobe vsock_diag' || built_in || skip "this kernel has no vsock_diag"
	run vmctl net guest --vsock
	expect 0 "$status"
	expect_match 'stream +listen +[^ ]*:220 ' "$output"
	expect_match 'stream +established +[0-9]+:220 +2:[0-9]+' "$output"
}

@test "an agent that is not asked has no netlink socket" {
	vmctl net guest >/dev/null
	expect 0 "$(guest 'for fd in /proc/$(pidof vmctl-agent)/fd/*; do
			inode=$(readlink $fd | sed -n "s,socket:\[\(.*\)\],\1,p")
			[ -z "$inode" ] || grep " $inode *$" /proc/net/netlink
		done | wc -l')"
	run guest 'grep ^Pss: /proc/$(pidof vmctl-agent)/smaps_rollup'
	pss=${output//[!0-9]/}
	figures "the agent takes $pss KiB (PSS) after it was asked for the network"
	# Nobody here shares its libraries, so that this is all of what is mapped.
	[ "$VM_KERNEL" = debug ] || [ "$pss" -lt 4096 ]
}

@test "status: one screen of it all" {
	run vmctl status guest
	expect 0 "$status"
	expect_match "agent +$(cat "$here/../../VERSION"), answered in " "$output"
	expect_match "module +$(cat "$here/../../VERSION"), [0-9]+ plugged" "$output"
	expect_match 'CPUs +1 online .0. of 1 present .0., 2 possible' "$output"
	vmctl hotplug-cpu guest
	run vmctl status guest --json
	expect_match '"online":\[0,1\]' "$output"
	expect_match '"plugged":1[,}]' "$output"
}

@test "cpus: offline and online again, in the guest alone" {
	vmctl cpus guest --offline 1
	expect '0 0-1' "$(cpus)"
	vmctl cpus guest --online all
	expect '0-1 0-1' "$(cpus)"
	run vmctl cpus guest --offline 0,7
	expect 9 "$status"
	vmctl unplug-cpu guest
}

@test "memory: blocks as the guest has them" {
	size=$((16#$(guest 'cat /sys/devices/system/memory/block_size_bytes')))
	online=$(guest 'grep -lx online /sys/devices/system/memory/memory*/state | wc -l')
	run vmctl memory guest --json
	expect "$size $online" "$(python3 -c '
import json, sys
m = json.loads(sys.argv[1])
print(m["block_size_bytes"], sum(b["state"] == "online" for b in m["blocks"]))' "$output")"
	run vmctl memory guest --offline 99999
	expect 9 "$status"
}

@test "metrics: text that a parser of the format takes, with the guest's figures" {
	vmctl metrics guest >"$BATS_TEST_TMPDIR/text"
	python3 - "$BATS_TEST_TMPDIR/text" <<-'PARSE'
		import re, sys
		lines = open(sys.argv[1]).read().splitlines()
		assert lines[-1] == "# EOF", lines[-1]
		seen, family = set(), None
		for line in lines[:-1]:
		    if line.startswith("# TYPE "):
		        family, kind = line.split()[2:]
		        assert family not in seen, line
		        seen.add(family)
		    elif not line.startswith("# HELP "):
		        sample = re.fullmatch(r'([a-z_]+)(\{.*\})? (\S+)', line)
		        assert sample and float(sample[3]) >= 0, line
		        assert sample[1] == family + ("_total" if kind == "counter" else ""), line
		for name in ("vmctl_guest_cpu_seconds", "vmctl_guest_pressure_seconds",
		             "vmctl_guest_network_bytes", "vmctl_guest_filesystem_size_bytes",
		             "vmctl_agent_calls"):
		    assert name in seen, name
	PARSE
}

@test "top: two screens of a guest" {
	run vmctl top guest --count 2 --interval 0.5
	expect 0 "$status"
	expect_match 'CPUs 1 online of 1: ' "$output"
	expect_match 'net lo +received ' "$output"
	expect_match 'vsock +received .* sent .* [0-9]+ connections' "$output"
	vmctl top guest --count 1 --interval 0.5 --json 2>/dev/null | python3 -c '
import json, sys
screen = json.load(sys.stdin)
# The very questions go over it.
assert screen["vsock_received_bytes_per_second"] > 0, screen
assert screen["vsock_sent_bytes_per_second"] > 0, screen
'
}
