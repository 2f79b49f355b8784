#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl cp with a real guest: both ways, and what is left of a copy that breaks.

load common

setup_file() { boot; }
teardown_file() { halt; }
setup() {
	export NO_COLOR=1
	cd "$BATS_TEST_TMPDIR" || return
	guest 'rm -rf /tmp/f; mkdir -p /tmp/f'
}
teardown() { vm check guest; }

sum_in_guest() { guest "sha256sum <'$1'" | tr -d '\r'; }

@test "a file, there and back" {
	head -c 8M /dev/urandom >big
	chmod 640 big
	vmctl cp big guest:/tmp/f/
	expect "$(sha256sum <big)" "$(sum_in_guest /tmp/f/big)"
	expect 640 "$(guest 'stat -c %a /tmp/f/big' | tr -d '\r')"
	vmctl cp guest:/tmp/f/big back
	cmp big back
	expect 640 "$(stat -c %a back)"
}

@test "a tree with symlinks, there and back" {
	mkdir -p tree/a/b
	echo one >tree/a/one
	echo 'two lines' >"tree/a/b/a name"
	ln -s ../a/one tree/a/link
	ln -s /nowhere tree/dangling
	vmctl cp tree guest:/tmp/f
	vmctl cp guest:/tmp/f/tree back
	diff -r --no-dereference tree back
	expect /nowhere "$(readlink back/dangling)"
}

@test "several sources, and a destination that is no directory" {
	echo 1 >one
	echo 2 >two
	vmctl cp one two guest:/tmp/f
	expect '1 2' "$(guest 'cat /tmp/f/one /tmp/f/two' | tr -d '\r' | xargs)"
	run vmctl cp one two guest:/tmp/f/one
	expect 1 "$status"
	run vmctl cp one guest:/tmp/none/one
	expect 9 "$status"
	run vmctl cp guest:/tmp/f/none .
	expect 9 "$status"
}

@test "a full disk is said, and nothing is left" {
	guest 'mkdir -p /tmp/small; mount -t tmpfs -o size=1m none /tmp/small'
	head -c 4M /dev/urandom >big
	run vmctl cp big guest:/tmp/small/big
	expect 9 "$status"
	expect_match 'No space left' "$output"
	empty() { [ -z "$(guest 'ls -A /tmp/small')" ]; }
	eventually empty
	guest 'umount /tmp/small'
}

@test "a copy that breaks leaves nothing, or what --resume goes on with" {
	head -c 64M /dev/urandom >big
	interrupted() { # interrupted OPTION...
		vmctl cp "$@" big guest:/tmp/f/big 3>&- &
		copier=$!
		under_way() { guest 'ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q "/tmp/f/"'; }
		eventually under_way
		kill $copier
		wait $copier || true
	}
	interrupted
	empty() { [ -z "$(guest 'ls -A /tmp/f')" ]; }
	eventually empty
	interrupted --resume
	kept() { guest '[ -s /tmp/f/.big.vmctl-partial ]'; }
	eventually kept
	vmctl cp --resume --json big guest:/tmp/f/big | tee result
	expect_match '"resumed_bytes":[1-9]' "$(cat result)"
	expect "$(sha256sum <big)" "$(sum_in_guest /tmp/f/big)"
	expect big "$(guest 'ls -A /tmp/f' | tr -d '\r')"
}

@test "what --dry-run says is not done" {
	echo 1 >one
	run vmctl cp --dry-run one guest:/tmp/f/new
	expect 0 "$status"
	expect_match 'copy one to /tmp/f/new' "$output"
	empty() { [ -z "$(guest 'ls -A /tmp/f')" ]; }
	empty
}
