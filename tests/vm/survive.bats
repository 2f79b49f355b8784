#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vsockd's worker is killed under a real guest that moves bytes: QEMU does not notice,
# the guest's programs see their connections reset, and new ones work.
# SURVIVE_KILLS says how often.

load common
bats_require_minimum_version 1.5.0

kills=${SURVIVE_KILLS:-5}

setup_file() {
	boot
	# Bytes without end, and an echo.
	guest 'socat -U VSOCK-LISTEN:5004,fork OPEN:/dev/zero >/dev/null 2>&1 &'
	start_echo
}
teardown_file() { halt; }
teardown() { vm check guest; }

# Does that, and waits for another worker.
replaces() { # replaces COMMAND...
	local before
	before=$(vsockd_worker)
	"$@"
	is_another() { [ -n "$(vsockd_worker)" ] && [ "$(vsockd_worker)" != "$before" ]; }
	eventually is_another
}
kill_worker() { replaces kill -KILL "$(vsockd_worker)"; }

@test "killed in mid-transfer, again and again" {
	for ((i = 0; i < kills; i++)); do
		out=$BATS_TEST_TMPDIR/out-$i
		hybrid connect "$(sock)" 5004 </dev/null >"$out" 2>/dev/null &
		from=$!
		hybrid echo "$(sock)" 5002 $((1 << 30)) >/dev/null 2>&1 &
		echo=$!
		moved() { [ "$(stat -c %s "$out")" -gt $((1 << 20)) ]; }
		eventually moved
		kill_worker
		# Both ends see it, and new connections carry the right bytes.
		status=0
		wait $echo || status=$?
		expect 1 "$status" # it was served, and cut off
		wait $from || true
		rm "$out"
		eventually hybrid echo "$(sock)" 5002 300000
	done
	expect "$kills" "$(grep -c 'killed by signal 9' "$VMCTL_RUN_DIR/guest/vsockd.log")"
	# One front-end, and one only, has ever come.
	expect 1 "$(grep -c 'a front-end has connected' "$VMCTL_RUN_DIR/guest/vsockd.log")"
}

@test "a guest program that only waits is told" {
	mkfifo "$BATS_TEST_TMPDIR/words"
	hybrid listen "$(sock)" 6000 <"$BATS_TEST_TMPDIR/words" >/dev/null 2>"$BATS_TEST_TMPDIR/err" &
	listener=$!
	exec 9>"$BATS_TEST_TMPDIR/words"
	echo hello >&9
	eventually grep -q listening "$BATS_TEST_TMPDIR/err"
	guest '(socat -u VSOCK-CONNECT:2:6000 CREATE:/tmp/got; echo >/tmp/told) >/dev/null 2>&1 &'
	eventually guest 'grep hello /tmp/got'
	guest '[ ! -e /tmp/told ]'
	kill_worker
	eventually guest '[ -e /tmp/told ]'
	exec 9>&-
	wait $listener || true
}

@test "the agent answers afterwards" {
	kill_worker
	eventually vmctl ping guest
}

@test "SIGHUP puts another one in its place" {
	replaces kill -HUP "$(cat "$VMCTL_RUN_DIR/guest/vsockd.pid")"
	eventually hybrid echo "$(sock)" 5002 300000
}
