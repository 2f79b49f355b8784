#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl bench with a real guest: it measures, and says so in text and in JSON. How fast
# that is decides nothing here.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot; }
teardown_file() { halt; }
setup() { export NO_COLOR=1; }
teardown() { vm check guest; }

# None of the agent's is left.
no_connection() {
	local states
	states=$(column_of guest_port=220 state) && [ -z "$states" ]
}

@test "the text has percentiles, a plot, and bytes each way" {
	run --separate-stderr vmctl bench guest --count 50 --size 4M --timeout 120
	echo "$output$stderr"
	expect '0 ' "$status $stderr"
	expect 'guest: 50 round trips of 64 bytes, in us' "${lines[0]}"
	expect_match '^ +MIN +P50 +P90 +P99 +P99\.9 +MAX$' "${lines[1]}"
	expect_match '^( +[0-9]+\.[0-9]){6}$' "${lines[2]}"
	expect_match $'\n +[0-9.]+[um]?s - [0-9.]+[um]?s +[0-9]+  #+\n' "$output"
	expect_match $'\nto the guest +[0-9.]+ MiB/s, 4194304 bytes in [0-9.e+-]+ s\n' "$output"
	expect_match $'\nfrom the guest +[0-9.]+ MiB/s, 4194304 bytes in [0-9.e+-]+ s$' "$output"
	[ -z "$(awk 'length > 80' <<<"$output")" ]
}

@test "JSON has them too, and the agent has let go of the connection" {
	vmctl bench guest --count 50 --size 1000001 --message 1000 --timeout 120 --json |
		python3 -c '
import json, sys
r = json.load(sys.stdin)
trips = r["round_trips"]
points = [trips[p + "_us"] for p in ("min", "p50", "p90", "p99", "p99_9", "max")]
assert 0 < points[0] and points == sorted(points), points
assert trips["count"] == 50 == sum(b["count"] for b in trips["histogram"]), trips
for way in "to_guest", "from_guest":
    assert r[way]["bytes"] == 1000001 and r[way]["message_bytes"] == 1000, r
    assert r[way]["seconds"] > 0 and r[way]["bytes_per_second"] > 0, r'
	eventually no_connection
}

@test "a time that is up ends it, and the guest has nothing more to do" {
	run --separate-stderr vmctl bench guest --count 1 --size 1T --timeout 5
	expect 11 "$status"
	expect_match 'to_guest: --timeout of 5 s passed' "$stderr"
	eventually no_connection
	vmctl ping guest
}
