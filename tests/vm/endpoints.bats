#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The same agent, reached through each kind of address.

load common
bats_require_minimum_version 1.5.0

setup_file() { boot; }
teardown_file() { halt; }
teardown() { vm check guest; }

@test "a name, and unix: with the same socket" {
	vmctl ping guest
	vmctl ping "unix:$(sock)"
	vmctl hotplug-cpu "unix:$(sock)" --qmp "$VMCTL_RUN_DIR/guest/qmp.sock"
	vmctl unplug-cpu "unix:$(sock)" --qmp "$VMCTL_RUN_DIR/guest/qmp.sock"
	expect '0 0' "$(cpus)"
}

@test "with its standard descriptors closed, vmctl speaks to nobody it should not" {
	vmctl hotplug-cpu guest -v <&- >&- 2>&-
	expect 2 "$(vcpus)"
	vmctl unplug-cpu guest -v 2>&-
	expect 1 "$(vcpus)"
}

@test "tcp: through a forwarder, and as a name's endpoint file" {
	socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork "UNIX-CONNECT:$(sock)" \
		2>"$BATS_TEST_TMPDIR/log" 3>&- &
	forwarder=$!
	eventually grep -q 'listening on' "$BATS_TEST_TMPDIR/log"
	port=$(sed -n 's/.*listening on .*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/log")
	vmctl ping "tcp:127.0.0.1:$port"
	mkdir "$VMCTL_RUN_DIR/other"
	echo "tcp:127.0.0.1:$port" >"$VMCTL_RUN_DIR/other/endpoint"
	vmctl info other
	kill $forwarder
	wait $forwarder || true
	run vmctl ping other
	expect 5 "$status"
}

# AF_VSOCK sockets are opened inside the guest only: there vmctl calls the guest's
# own CID, over the loopback transport.
@test "vsock: inside the guest" {
	guest 'modprobe vsock_loopback'
	# The agent does not let it in, since it is not the host.
	run guest 'vmctl ping vsock:3'
	expect 7 "$status"
	# So another is put behind a forwarder, on the agent's port.
	guest 'mv /bin/vmctl-agent /bin/agent; kill $(pidof vmctl-agent)
		agent --listen unix:/tmp/agent.sock >/tmp/log 2>&1 & echo $! >/tmp/agent.pid'
	run guest 'vmctl ping vsock:3'
	expect 7 "$status"
	guest 'socat VSOCK-LISTEN:220,fork UNIX-CONNECT:/tmp/agent.sock >/dev/null 2>&1 &
		echo $! >/tmp/socat.pid'
	eventually guest 'vmctl ping vsock:3'
	run guest 'vmctl info vsock:3'
	expect_match 'hostname +guest' "$output"
	run guest 'vmctl ping vsock:4'
	[ "$status" -ne 0 ]
	guest 'kill $(cat /tmp/socat.pid) $(cat /tmp/agent.pid); mv /bin/agent /bin/vmctl-agent'
	eventually vmctl ping guest
}
