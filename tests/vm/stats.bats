#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl vsock: what vsockd tells of a real guest's connections.

load common
bats_require_minimum_version 1.5.0

setup_file() {
	boot
	start_echo
}
teardown_file() { halt; }
teardown() { vm check guest; }

@test "what was sent is what is counted" {
	before=$(($(stat_of bytes from_guest) + 100000)) opened=$(stat_of connections_opened)
	hybrid echo "$(sock)" 5002 100000
	expect $((opened + 1)) "$(stat_of connections_opened)"
	expect "$before" "$(stat_of bytes from_guest)"
	expect 1 "$(stat_of driver_up)"
	# Nobody listens there.
	refused=$(stat_of resets guest_refused)
	run ! hybrid connect "$(sock)" 9 </dev/null
	expect $((refused + 1)) "$(stat_of resets guest_refused)"
}

@test "a connection is listed while it is there" {
	mkfifo "$BATS_TEST_TMPDIR/in"
	exec 7<>"$BATS_TEST_TMPDIR/in"
	printf 'CONNECT 5002\nhello\n' >&7
	socat - "UNIX-CONNECT:$(sock)" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 3>&- 7>&- &
	socat=$!
	eventually grep -q hello "$BATS_TEST_TMPDIR/out"
	run vmctl vsock list guest
	expect_match 'stream +open +[0-9]+ +0 3:5002 +2:[0-9]+ +host ' "$output"
	port=$(grep -o ' 2:[0-9]*' <<<"$output" | head -n 1)
	exec 7>&-
	wait "$socat"
	is_gone() { ! vmctl vsock list guest | grep -q "$port "; }
	eventually is_gone
}

@test "metrics have a form that can be read" {
	vmctl vsock stats guest --metrics | python3 -c '
import re, sys
lines = sys.stdin.read().split("\n")
assert lines[-2:] == ["# EOF", ""], lines[-2:]
types = {}
for line in lines[:-2]:
    meta = re.fullmatch(r"# (TYPE|HELP) (\w+) (.+)", line)
    if meta:
        types.setdefault(meta[2], meta[3])
        continue
    name, value = re.fullmatch(r"(\w+)\{\w+=\"\w+\"(?:,\w+=\"\w+\")?\} (\d+)", line).groups()
    family = name[:-6] if name.endswith("_total") else name
    assert types[family] == ("counter" if name.endswith("_total") else "gauge"), line
assert len(types) > 10'
}

@test "another worker goes on with the control socket" {
	restarts=$(stat_of restarts)
	kill -KILL "$(vsockd_worker)"
	is_next() { [ "$(stat_of restarts)" = $((restarts + 1)) ]; }
	eventually is_next
	expect 1 "$(stat_of front_end_connected)"
	eventually hybrid echo "$(sock)" 5002 1000
}
