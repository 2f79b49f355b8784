#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vsockd between a real guest kernel and Unix sockets: bytes and messages both ways, half
# closes, refused ports, and what comes in on the sockets. Much data is in streams.bats.

load common
bats_require_minimum_version 1.5.0

setup_file() {
	make_registry
	# A port that is free now, for --listen.
	python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' >"$VMCTL_RUN_DIR/port"
	vm up guest --kernel "$VM_KERNEL" --vsockd "--listen=22=tcp:127.0.0.1:$(cat "$VMCTL_RUN_DIR/port")"
	start_echo
}
teardown_file() { halt; }
teardown() { vm check guest; }

@test "64 MiB go both ways at once, in writes of 1 to 200000 bytes" {
	hybrid echo "$(sock)" 5002 $((64 << 20))
}

@test "fifty connections at once, each with its own bytes" {
	hybrid many "$(sock)" 5002 50
}

@test "the host ends its half first, and still gets the answer" {
	guest 'socat -t 60 VSOCK-LISTEN:5003 SYSTEM:"sha256sum; echo done" >/tmp/log 2>&1 &'
	eventually hybrid connect "$(sock)" 5003 <"$BATS_TEST_FILENAME" >"$BATS_TEST_TMPDIR/out"
	expect "$(sha256sum <"$BATS_TEST_FILENAME" && echo done)" "$(cat "$BATS_TEST_TMPDIR/out")"
}

@test "the guest ends its half first, and still gets the answer" {
	hybrid answer "$(sock)" 6001 2>"$BATS_TEST_TMPDIR/err" &
	listener=$!
	eventually grep -q listening "$BATS_TEST_TMPDIR/err"
	# The length can only be told after the end of what the guest sends.
	run guest 'seq 1 1000 | socat -t 60 - VSOCK-CONNECT:2:6001'
	expect 'got 3893 bytes' "$output"
	wait $listener
}

@test "an absent guest port is refused at once" {
	run timeout 20 hybrid connect "$(sock)" 9999 </dev/null
	expect 3 "$status"
}

@test "an absent host port is refused at once" {
	run guest 'timeout 20 socat - VSOCK-CONNECT:2:9999 </dev/null'
	expect_match 'reset by peer|refused' "$output"
}

@test "CONNECT in pieces, in lower case, and with data behind it" {
	hybrid pieces "$(sock)" 5002
}

@test "a line that is no CONNECT is closed, and the others go on" {
	for garbage in 'GET / HTTP/1.1\r\n\r\n' 'CONNECT x\n' 'CONNECT 99999999999\n' '\0\0\0\0'; do
		run --separate-stderr bash -c \
			"printf '$garbage' | timeout 20 socat -t 20 - UNIX-CONNECT:$(sock)"
		# Closed, be it with a reset: no answer, and not after a time-out.
		[ "$status" -ne 124 ]
		expect '' "$output"
	done
	head -c 1000000 /dev/urandom | timeout 20 socat -u - "UNIX-CONNECT:$(sock)" || true
	hybrid echo "$(sock)" 5002 100000
}

@test "a guest program with a small buffer sends on and on" {
	hybrid answer "$(sock)" 6002 2>"$BATS_TEST_TMPDIR/err" >"$BATS_TEST_TMPDIR/out" &
	listener=$!
	eventually grep -q listening "$BATS_TEST_TMPDIR/err"
	# SO_VM_SOCKETS_BUFFER_SIZE (level 40, option 0) is 64 KiB.
	guest 'socat -u -b 65536 OPEN:/dev/zero,readbytes=3000000 \
		VSOCK-CONNECT:2:6002,setsockopt=40:0:x0000010000000000'
	wait $listener
	expect 'got 3000000 bytes' "$(cat "$BATS_TEST_TMPDIR/out")"
}

@test "two hundred connections opened and closed leave no descriptor behind" {
	before=$(descriptors)
	for _ in 1 2 3 4; do
		hybrid many "$(sock)" 5002 50
	done
	gone() { [ "$(descriptors)" -le "$before" ]; }
	eventually gone
}

@test "messages reach the guest whole, and come back whole" {
	guest 'vsock-messages echo 5010 >/tmp/messages 2>&1 & echo $! >/tmp/echoer'
	eventually hybrid messages "$(sock)" 5010 1
	expect '200 messages' "$(hybrid messages "$(sock)" 5010 200)"
	guest 'kill $(cat /tmp/echoer)'
}

@test "the guest's messages reach the host whole, and come back whole" {
	hybrid reflect "$(sock)" 6010 2>"$BATS_TEST_TMPDIR/err" >"$BATS_TEST_TMPDIR/out" &
	listener=$!
	eventually grep -q listening "$BATS_TEST_TMPDIR/err"
	expect '200 messages' "$(guest 'vsock-messages check 2 6010 200')"
	wait $listener
	expect '200 messages' "$(cat "$BATS_TEST_TMPDIR/out")"
}

@test "a port for streams takes no messages, nor the reverse" {
	run hybrid messages "$(sock)" 5002 1
	expect 3 "$status"
	hybrid answer "$(sock)" 6011 2>"$BATS_TEST_TMPDIR/err" &
	listener=$!
	eventually grep -q listening "$BATS_TEST_TMPDIR/err"
	run guest 'vsock-messages check 2 6011 1'
	expect_match 'reset by peer|refused' "$output"
	kill $listener
	wait $listener || true
	rm -f "$(sock)_6011"
}

@test "what no socket serves is forwarded to another CID, inside a guest" {
	guest 'modprobe vsock_loopback; vsock-forward 2>&1'
}

@test "test programs that open vsock sockets refuse to run outside a guest" {
	for program in vsock-forward 'vsock-stream listen 1 receive' 'vsock-messages echo 1'; do
		# shellcheck disable=SC2086 # words
		run "$O/tests/vm/guest/"$program
		expect 2 "$status"
		expect_match 'in a test guest only' "$output"
	done
}

@test "ssh into the guest, by the line of the manual page and by --listen" {
	key=$BATS_TEST_TMPDIR/key
	ssh-keygen -q -t ed25519 -N '' -f "$key"
	guest "mkdir -p -m 700 ~root/.ssh /etc/dropbear; echo '$(cat "$key.pub")' >~root/.ssh/authorized_keys"
	guest 'socat VSOCK-LISTEN:22,fork EXEC:"dropbear -i -R -s" >/tmp/sshd.log 2>&1 & echo $! >/tmp/sshd'
	options="-i $key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	line=$(man_block vsockd.8 ProxyCommand | sed "s,/run/vm1/vsock.sock,$(sock),; s,^ssh ,&$options ,")
	logs_in() { timeout 60 bash -c "$line 'uname -r; head -c 1000000 /dev/zero | sha256sum'" >"$BATS_TEST_TMPDIR/out"; }
	eventually logs_in
	expect "$(kernel_release; head -c 1000000 /dev/zero | sha256sum)" "$(cat "$BATS_TEST_TMPDIR/out")"
	# shellcheck disable=SC2086 # words
	expect hello "$(timeout 60 ssh $options -p "$(cat "$VMCTL_RUN_DIR/port")" root@127.0.0.1 echo hello)"
	guest 'kill $(cat /tmp/sshd)'
}
