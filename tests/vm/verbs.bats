#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vmctl nc, proxy and wait; several VMs at once; --dry-run and totals; and what goes on by
# itself when vsockd or the agent is restarted.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot --max-memory 2G; }
teardown_file() { halt; }
setup() { export NO_COLOR=1; }
teardown() {
	for pid in "$BATS_TEST_TMPDIR"/*.pid; do
		[ ! -e "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
	done
	guest 'for pid in /tmp/*.port; do [ ! -e $pid ] || kill $(cat $pid) || true; rm -f $pid; done'
	vm check guest
}

# Has a program listen on a vsock port of the guest.
guest_port() { # guest_port PORT SOCAT-ADDRESS
	guest "socat -t 60 VSOCK-LISTEN:$1,fork,backlog=100 '$2' >/tmp/socat.log 2>&1 & echo \$! >/tmp/$1.port"
}

@test "nc: bytes and both ends, 4 MiB of them each way" {
	guest_port 5001 EXEC:cat
	head -c 4M /dev/urandom >"$BATS_TEST_TMPDIR/data"
	echoed() { timeout 120 vmctl nc guest 5001 <"$BATS_TEST_TMPDIR/data" >"$BATS_TEST_TMPDIR/back"; }
	eventually echoed
	cmp "$BATS_TEST_TMPDIR/data" "$BATS_TEST_TMPDIR/back"
	# The guest hears the end, and answers after it.
	guest_port 5002 'SYSTEM:"wc -c"'
	counted() { timeout 60 vmctl nc guest 5002 <"$BATS_TEST_TMPDIR/data" >"$BATS_TEST_TMPDIR/back"; }
	eventually counted
	expect 4194304 "$(tr -d ' \n' <"$BATS_TEST_TMPDIR/back")"
	# The guest ends first.
	guest_port 5003 'EXEC:echo hello'
	greeted() { timeout 60 vmctl nc guest 5003 </dev/null; }
	eventually greeted
	run --separate-stderr timeout 60 vmctl nc guest 5003 --json </dev/null
	expect "0 hello" "$status $output"
	expect_match '"received_bytes":6' "$stderr"
}

@test "nc: a port that nobody listens on" {
	run --separate-stderr vmctl nc guest 5999 </dev/null
	expect '14 ' "$status $output"
	expect_match '^vmctl: guest: connect: the guest refuses port 5999' "$stderr"
}

@test "nc: ssh into the guest, by the line of the manual page" {
	key=$BATS_TEST_TMPDIR/key
	ssh-keygen -q -t ed25519 -N '' -f "$key"
	guest "mkdir -p -m 700 ~root/.ssh /etc/dropbear; echo '$(cat "$key.pub")' >~root/.ssh/authorized_keys"
	guest_port 22 'EXEC:"dropbear -i -R -s"'
	options="-i $key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	line=$(man_block vmctl.1 ProxyCommand | sed "s,vm1,guest,; s,^ssh ,&$options ,")
	logs_in() { timeout 60 bash -c "$line 'uname -r; head -c 1000000 /dev/zero | sha256sum'" >"$BATS_TEST_TMPDIR/out"; }
	eventually logs_in
	expect "$(kernel_release; head -c 1000000 /dev/zero | sha256sum)" "$(cat "$BATS_TEST_TMPDIR/out")"
}

@test "proxy: many at once over Unix and TCP sockets, and a clean end" {
	guest_port 5001 EXEC:cat
	path=$BATS_TEST_TMPDIR/local.sock
	tcp=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	vmctl proxy guest "unix:$path=5001" "tcp:127.0.0.1:$tcp=5001" "unix:$path.2=5999" -v \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/proxy.pid"
	eventually grep -q "tcp:127.0.0.1:$tcp leads to port 5001" "$BATS_TEST_TMPDIR/err"
	expect 600 "$(stat -c %a "$path")"
	echo_over() { # echo_over ADDRESS
		head -c 200000 /dev/urandom >"$BATS_TEST_TMPDIR/$2"
		timeout 120 socat -t 60 - "$1" <"$BATS_TEST_TMPDIR/$2" | cmp - "$BATS_TEST_TMPDIR/$2"
	}
	eventually echo_over "UNIX-CONNECT:$path" first
	jobs=()
	for i in {1..8}; do
		echo_over "UNIX-CONNECT:$path" "u$i" 3>&- &
		jobs+=($!)
		echo_over "TCP:127.0.0.1:$tcp" "t$i" 3>&- &
		jobs+=($!)
	done
	for job in "${jobs[@]}"; do wait "$job"; done
	socat - "UNIX-CONNECT:$path.2" </dev/null || true
	eventually grep -q 'the guest refuses port 5999' "$BATS_TEST_TMPDIR/err"
	kill -TERM "$(cat "$BATS_TEST_TMPDIR/proxy.pid")"
	wait "$(cat "$BATS_TEST_TMPDIR/proxy.pid")"
	rm "$BATS_TEST_TMPDIR/proxy.pid"
	[ ! -e "$path" ] && [ ! -e "$path.2" ]
}

@test "wait: until a guest that boots answers; and not for ever" {
	vmctl wait guest
	run vmctl wait guest --for module,agent --json
	expect_match '"answered":\{"agent":true,"module":true\}' "$output"
	guest 'mv /bin/vmctl-agent /bin/away; kill $(pidof vmctl-agent)'
	run --separate-stderr vmctl wait guest --timeout 3
	expect '11 ' "$status $output"
	expect_match 'no answer within the --timeout of 3 s: the guest has no agent' "$stderr"
	vmctl wait guest --for module
	vmctl wait guest --timeout 60 3>&- &
	waiting=$!
	sleep 1
	guest 'mv /bin/away /bin/vmctl-agent'
	wait $waiting
	vmctl ping guest
	run vmctl wait nosuch
	expect 3 "$status"
}

@test "ping goes on over restarts of the agent and of vsockd" {
	vmctl ping guest --count 1000000 --timeout 60 --json >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	pinging=$!
	echo $pinging >"$BATS_TEST_TMPDIR/ping.pid"
	goes_on() { [ "$(stat_of bytes from_guest)" -gt "$before" ]; }
	before=$(stat_of bytes from_guest)
	eventually goes_on
	guest 'kill $(pidof vmctl-agent)'
	eventually grep -q 'trying again' "$BATS_TEST_TMPDIR/err"
	before=$(stat_of bytes from_guest)
	eventually goes_on
	kill -KILL "$(vsockd_worker)"
	before=0 # the next one's
	eventually goes_on
	kill -0 $pinging # it has not failed
	kill $pinging
	wait $pinging || true
	rm "$BATS_TEST_TMPDIR/ping.pid"
}

@test "several VMs: a line with its name each, and the highest exit code" {
	mkdir "$VMCTL_RUN_DIR/down"
	run --separate-stderr vmctl info --all
	expect 5 "$status"
	expect_match $'(^|\n)guest: hostname +guest\n' "$output"
	expect_match '^vmctl: down: agent: no vsock endpoint' "$stderr"
	run --separate-stderr vmctl ping --vm guest,down --json
	expect '5 2' "$status $(wc -l <<<"$output")"
	rmdir "$VMCTL_RUN_DIR/down"
	run --separate-stderr vmctl hotplug-cpu --all --to 2 -q
	expect '0 0-1 0-1' "$status $(cpus)"
	vmctl hotplug-cpu --vm guest --to 1
	expect '0 0' "$(cpus)"
}

@test "--dry-run changes nothing" {
	run vmctl hotplug-cpu guest --to 4 --dry-run
	expect_match '^guest: would plug 3 CPUs, APIC ids 1-3' "$output"
	expect '0 0 1' "$(cpus) $(vcpus)"
	run vmctl hotplug-mem guest 256M --dry-run
	expect_match '^guest: would plug memory of 256 MiB' "$output"
	run vmctl hotplug-mem guest --to 1G --dry-run --json
	expect_match '"would":\["device_add","upcall"\]' "$output"
	expect '[]' "$(qmp query-memory-devices)"
	run vmctl hotplug-cpu guest --count 64 --dry-run
	expect 8 "$status"
}

@test "totals of CPUs and memory are reached from below and from above" {
	vmctl hotplug-cpu guest --to 3
	expect '0-2 0-2' "$(cpus)"
	run vmctl hotplug-cpu guest --to 1
	expect_match '^guest: unplugged 2 CPUs' "$output"
	expect '0 0' "$(cpus)"
	total() { qmp query-memory-size-summary | python3 -c 'import json, sys; print(sum(json.load(sys.stdin).values()) >> 20)'; }
	vmctl hotplug-mem guest --to 640M
	vmctl hotplug-mem guest --to 1G
	expect 1024 "$(total)"
	run vmctl hotplug-mem guest --to 768M
	expect 8 "$status"
	expect_match '1024M can be reached, and not 768M' "$output"
	vmctl hotplug-mem guest --to 512M
	expect 512 "$(total)"
}
