#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl exec and shell on a real guest: over a real vsock, as a real user of it.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot; }
teardown_file() { halt; }
setup() { export NO_COLOR=1; }
teardown() { vm check guest; }

run_in_guest() { timeout 120 vmctl exec guest "$@" </dev/null; }

@test "exec: output, errors and the exit code" {
	run --separate-stderr run_in_guest -- sh -c 'echo out; echo err >&2; exit 3'
	expect "3 out err" "$status $output $stderr"
	run run_in_guest -- sh -c 'kill -TERM $$'
	expect 143 "$status"
	run run_in_guest -- uname -r
	expect "0 $(kernel_release)" "$status $output"
}

@test "exec: 4 MiB through a command and back" {
	head -c 4M /dev/urandom >"$BATS_TEST_TMPDIR/data"
	timeout 120 vmctl exec guest -- cat <"$BATS_TEST_TMPDIR/data" >"$BATS_TEST_TMPDIR/back"
	cmp "$BATS_TEST_TMPDIR/data" "$BATS_TEST_TMPDIR/back"
}

@test "exec: user, environment and directory" {
	guest 'echo me::1234:1234::/tmp:/bin/sh >>/etc/passwd
		echo me:x:1234: >/etc/group
		echo more:x:50:me >>/etc/group'
	run run_in_guest --user me --env 'A=b c' --dir /proc -- sh -c 'id -u; id -G; echo "$A" $HOME; pwd'
	expect "0 1234 1234 50 b c /tmp /proc" "$status $(echo "$output" | xargs)"
	run run_in_guest --user 77:88 -- sh -c 'id -u; id -G'
	expect "0 77 88" "$status $(echo "$output" | xargs)"
}

@test "exec: what fails, and its code" {
	run run_in_guest -- no-such-command
	expect 125 "$status"
	expect_match 'no-such-command: No such file' "$output"
	run run_in_guest --user nobody-such -- true
	expect 125 "$status"
	run run_in_guest --dir /no/such -- true
	expect 125 "$status"
	run run_in_guest --timeout 5 -- sleep 1000
	expect 124 "$status"
}

# The command is still there. busybox's shell sleeps itself: by its arguments.
sleeps() { guest 'grep -q "[s]leep.100000" /proc/[0-9]*/cmdline'; }
sleeps_no_more() { ! sleeps; }

@test "exec: a command whose caller is killed ends, and so does one that ignores SIGTERM" {
	vmctl exec guest -- sh -c 'trap "" TERM; sleep 100000; sleep 100000' </dev/null 3>&- &
	caller=$!
	eventually sleeps
	kill -9 $caller
	eventually sleeps_no_more
}

@test "exec: a reader that is slow holds the command back" {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	vmctl exec guest -- sh -c 'head -c 16777216 /dev/zero; echo done >/tmp/done' \
		</dev/null >"$BATS_TEST_TMPDIR/pipe" 3>&- &
	exec 9<"$BATS_TEST_TMPDIR/pipe"
	head -c 1M <&9 | wc -c
	guest '[ ! -e /tmp/done ]'
	vmctl ping guest
	expect $((15 << 20)) "$(wc -c <&9)"
	exec 9<&-
	wait
	guest 'rm /tmp/done'
}

@test "exec: an agent that is killed in mid-call" {
	run_in_guest -- sh -c 'echo here; sleep 100000' \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	caller=$!
	eventually grep -q here "$BATS_TEST_TMPDIR/out"
	guest 'kill -9 $(pidof vmctl-agent)'
	status=0
	wait $caller || status=$?
	expect 125 "$status"
	expect_match 'the connection broke' "$(cat "$BATS_TEST_TMPDIR/err")"
	eventually vmctl ping guest
	eventually sleeps_no_more
}

@test "exec: a terminal of the guest's" {
	run run_in_guest --tty -- sh -c 'tty; stty size'
	expect_match '/dev/pts/' "$output"
	expect_match '24 80' "$output"
}

@test "shell: a login shell on a terminal, with its size and its code" {
	command -v script >/dev/null || skip "no script(1)"
	run timeout 120 script -qec "stty rows 31 cols 77; vmctl shell guest" /dev/null <<-'END'
		echo "size:$(stty size)"
		exit 6
	END
	expect 6 "$status"
	expect_match 'size:31 77' "$output"
}
