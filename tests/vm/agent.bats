#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The agent in a real guest: what it says, whom it lets in, what it survives.

load common

setup_file() { boot --max-cpus 2; }
teardown_file() { halt; }
teardown() { vm check guest; }

@test "info is the guest's own view" {
	run vmctl info guest --json
	expect 0 "$status"
	echo "$output" | python3 -c '
import json, sys
info, release, version = json.load(sys.stdin), sys.argv[1], sys.argv[2]
text = json.dumps(info)
assert release in text, text
assert "\"guest\"" in text, text
assert text.count(version) >= 2, text  # agent and module
' "$(guest 'uname -r')" "$(cat "$here/../../VERSION")"
}

@test "a process in the guest is not let in, by loopback or by any local CID" {
	guest 'modprobe vsock_loopback'
	for cid in 1 2 3; do
		run guest "head -c 100 /dev/zero | socat -t 5 - VSOCK-CONNECT:$cid:220 | wc -c"
		expect_match '(^|[^0-9])0$' "$output"
	done
	vmctl ping guest
}

@test "the agent brings a CPU online that the guest's user took offline" {
	vmctl hotplug-cpu guest
	guest 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	expect '0 0-1' "$(cpus)"
	ttrpc-client "$(sock)" 220 online
	expect '0-1 0-1' "$(cpus)"
	vmctl unplug-cpu guest
}

@test "garbage closes its own connection only" {
	head -c 100000 /dev/urandom | hybrid connect "$(sock)" 220 >/dev/null || true
	vmctl ping guest
}

@test "an unknown method is UNIMPLEMENTED, and the connection stays up" {
	ttrpc-client "$(sock)" 220 unknown
}

@test "ping and info go on after the agent was killed and started again" {
	guest 'kill -9 $(pidof vmctl-agent)'
	eventually vmctl ping guest
	vmctl info guest
}
