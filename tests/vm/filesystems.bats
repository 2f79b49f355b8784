#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A real guest's file systems: usage, freeze and thaw, trim. They are ext4 on loop devices
# in the guest's memory.

load common

setup_file() {
	boot
	# The host makes them, since the guest has no mke2fs.
	for n in 1 2; do
		truncate -s 16M "$BATS_FILE_TMPDIR/disk$n"
		mke2fs -q -t ext4 "$BATS_FILE_TMPDIR/disk$n"
		vmctl cp "$BATS_FILE_TMPDIR/disk$n" guest:/tmp/
	done
	guest 'modprobe loop; modprobe ext4
		mkdir -p "/tmp/m 1" /tmp/m2
		mount -t ext4 -o loop /tmp/disk1 "/tmp/m 1"
		mount -t ext4 -o loop /tmp/disk2 /tmp/m2'
}
teardown_file() { halt; }
setup() { export NO_COLOR=1; }
teardown() {
	vmctl thaw guest >/dev/null || true
	vm check guest
}

# Whether a write to the second one ends.
writes() { guest 'rm -f /tmp/done; (touch /tmp/m2/x && sync && touch /tmp/done) </dev/null >/dev/null 2>&1 &'; }
has_written() { guest '[ -e /tmp/done ]'; }

@test "df has those with storage, and their names as they are" {
	run vmctl df guest
	expect 0 "$status"
	expect_match '/tmp/m 1' "$output"
	expect_match '/tmp/m2' "$output"
	run vmctl df guest --json
	echo "$output" | python3 -c '
import json, sys
all = {f["mountpoint"]: f for f in json.load(sys.stdin)["filesystems"]}
assert all["/tmp/m 1"]["type"] == "ext4", all
assert 0 < all["/tmp/m2"]["available_bytes"] < 16 << 20, all
assert "/proc" not in all, all'
	vmctl df guest --all-types | grep -q /proc
}

@test "freeze keeps writers waiting until thaw, and the agent answers" {
	vmctl freeze guest --thaw-after 120
	writes
	vmctl ping guest --count 20
	vmctl freeze guest --status
	run has_written
	expect 1 "$status"
	run vmctl cp /etc/hostname guest:/tmp/x
	expect 9 "$status"
	run vmctl freeze guest
	expect 9 "$status"
	vmctl thaw guest
	eventually has_written
}

@test "a freeze thaws itself, and thaw says so" {
	vmctl freeze guest '/tmp/m2' --thaw-after 1
	writes
	eventually has_written
	run vmctl thaw guest
	expect 9 "$status"
}

@test "a freeze ends with the agent" {
	vmctl freeze guest --thaw-after 600
	writes
	guest 'kill -9 $(pidof vmctl-agent | tr " " "\n" | sort -n | head -n 1)'
	eventually has_written
	eventually vmctl ping guest
}

@test "one that cannot be frozen: nothing is" {
	run vmctl freeze guest /tmp/m2 /proc
	expect 9 "$status"
	writes
	eventually has_written
}

@test "trim, all and one" {
	run vmctl trim guest
	expect 0 "$status"
	expect_match '/tmp/m2: trimmed' "$output"
	run vmctl trim guest /nowhere
	expect 9 "$status"
}
