#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The documents' commands, taken from their text and run. What is put in their
# place: a registry of the test's own for /run, this build's programs for
# installed ones, and a test guest's kernel and initramfs in the current folder.
# Those of vmctl(1) are in examples.bats, and where their devices are.

load common

setup() {
	make_registry
	top=$here/../..
	cd "$BATS_TEST_TMPDIR" || return
	link_kernel
}
teardown() { end_blocks; }

@test "README: a QEMU guest of one's own, from nothing to a plugged CPU" {
	once
	run_block "$(doc_block README.md 'mkdir -p /run/vmctl/vm1' | mended)"
	eventually vmctl ping vm1
	doc_block README.md 'vmctl devices vm1' | while read -r command; do
		run_block "$command"
	done
	run vmctl info vm1
	expect_match 'CPUs online +0-2' "$output"
}

@test "README: the module is built against a kernel's headers, and loaded" {
	cp -r "$top/kmod-upcall" "$top/proto" "$top/VERSION" .
	kernel=$(dirname "$(readlink -f vmlinuz)")
	run_block "$(doc_block README.md 'M=$PWD/kmod-upcall' |
		sed "s,/lib/modules/\$(uname -r)/build,$kernel/headers,")"
	test -e kmod-upcall/upcall.ko
	vm up guest --kernel "$VM_KERNEL" --append vmctl.module=no
	run upcall-client "$(sock)" connect
	expect 3 "$status"
	guest 'mkdir kmod-upcall'
	guest_file kmod-upcall/upcall.ko /kmod-upcall/upcall.ko
	guest "$(grep -o '`insmod [^`]*`' "$top/README.md" | tr -d '`')"
	run upcall-client "$(sock)" connect
	expect 0 "$status"
	vm down guest
}

@test "README: a guest to play with" {
	once
	cd "$top"
	doc_block README.md 'tests/vm/vm up vm1' | sed "s,build/,$O/," |
		while read -r command; do
			run_block "$command"
		done
}

@test "README: what it has one build and install, and start, is there" {
	once
	cd "$top"
	DESTDIR=$BATS_TEST_TMPDIR/dest run_block "$(doc_block README.md 'make install')"
	dest=$BATS_TEST_TMPDIR/dest/usr/local
	"$dest/bin/vmctl" --version
	# No guest of the tests has systemd. Its own check of the unit, where it is.
	unit=$(tr '\n' ' ' <"$top/README.md" | grep -o '`systemctl start [^`]*`' | tr -d '`')
	unit=$dest/lib/systemd/system/${unit##* }.service
	test -e "$unit"
	program=$(sed -n 's/^ExecStart=//p' "$unit")
	"$BATS_TEST_TMPDIR/dest$program" --version
	if command -v systemd-analyze; then
		sed "s,^ExecStart=.*,ExecStart=$BATS_TEST_TMPDIR/dest$program," "$unit" >"$BATS_TEST_TMPDIR/${unit##*/}"
		systemd-analyze verify --man=no "$BATS_TEST_TMPDIR/${unit##*/}"
	fi
}

# The QEMU of vsockd(8), with what else this guest needs, in the background.
page_qemu() {
	man_block vsockd.8 'memory-backend-memfd' | sed 1d | mended |
		sed 's/ \.\.\./ -cpu max -display none -kernel vmlinuz -initrd initrd.img \\\
		-chardev socket,id=shell,path=shell.sock,server=on,wait=off -serial null \\\
		-device isa-serial,chardev=shell,index=1,iobase=0x2f8,irq=3 \\\
		-append console=ttyS0 \&/'
}

@test "vsockd(8): the examples" {
	once
	mkdir "$VMCTL_RUN_DIR/vm1"
	run_block "$(man_block vsockd.8 'memory-backend-memfd' | sed -n 1p | mended)
$(page_qemu)"
	eventually guest-shell shell.sock 2 true
	guest-shell shell.sock 20 'socat VSOCK-LISTEN:5000 EXEC:"echo hello from the guest" >/dev/null 2>&1 &'
	said() {
		bash -c "$(man_block vsockd.8 'CONNECT 5000' | mended)" </dev/null >out 2>&1
		grep -q 'hello from the guest' out
	}
	eventually said
	bash -c "$(man_block vsockd.8 'vsock.sock_6000' | mended | sed 's/,fork -/ -/')" >out 2>/dev/null 3>&- &
	eventually test -S "$VMCTL_RUN_DIR/vm1/vsock.sock_6000"
	guest-shell shell.sock 20 'echo hello from the guest | socat - VSOCK-CONNECT:2:6000'
	eventually grep -q 'hello from the guest' out
}

@test "vsockd(8): a guest that is let to a web server of the host" {
	once
	mkdir "$VMCTL_RUN_DIR/vm1" www
	echo hello from the host >www/page
	python3 - www <<-'END' >port 2>/dev/null 3>&- &
		import functools, http.server, sys
		handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
		server = http.server.HTTPServer(("127.0.0.1", 0), handler)
		print(server.server_port, flush=True)
		server.handle_request()
	END
	eventually test -s port
	run_block "$(man_block vsockd.8 '--connect 80' | mended | sed "s/8080/$(cat port)/; \$ s/\$/ \&/")"
	eventually test -S "$VMCTL_RUN_DIR/vm1/vhost.sock"
	run_block "$(page_qemu)"
	eventually guest-shell shell.sock 2 true
	expect_match 'hello from the host' "$(guest-shell shell.sock 20 \
		'printf "GET /page HTTP/1.0\r\n\r\n" | socat -t 10 - VSOCK-CONNECT:2:80')"
}

# What two guests have of it is shown in siblings.bats.
@test "vsockd(8): two devices whose guests may talk to each other" {
	once
	mkdir "$VMCTL_RUN_DIR/vm1" "$VMCTL_RUN_DIR/vm2"
	run_block "$(man_block vsockd.8 '--peers' | mended)"
	eventually test -S "$VMCTL_RUN_DIR/vm1/vhost.sock"
	eventually test -S "$VMCTL_RUN_DIR/vm2/vhost.sock"
	eventually test -S "$VMCTL_RUN_DIR/peers/3"
	eventually test -S "$VMCTL_RUN_DIR/peers/4"
}

@test "vmctl-agent(8): the examples in a guest, and from the host" {
	once
	vm up vm1 --kernel "$VM_KERNEL" --append vmctl.agent=no --no-wait
	typed() { sed 's/^[#$] //'; } # without the prompt
	in_guest() { vm run vm1 "$1"; }
	in_guest 'umount /dev/pts; rmdir /dev/pts'
	in_guest "$(man_block vmctl-agent.8 'mount -t devpts' | typed)"
	in_guest 'mount | grep devpts'
	in_guest "$(man_block vmctl-agent.8 '2>/dev/console &' | typed)"
	eventually vmctl ping vm1
	run_block "$(man_block vmctl-agent.8 '$ vmctl info vm1' | typed)"
	run_block "$(man_block vmctl-agent.8 '$ vmctl net vm1' | typed)"
	run_block "$(man_block vmctl-agent.8 '$ vmctl events vm1' | typed | sed 's/$/ --count 1/')"
	in_guest 'kill $(pidof vmctl-agent)'
	in_guest "$(man_block vmctl-agent.8 '# vmctl-agent --kata' | typed) >/tmp/kata.log 2>&1 &"
	eventually ttrpc-client "$VMCTL_RUN_DIR/vm1/vsock.sock" 1024 call grpc.Health Check
	vmctl ping vm1
	vm down vm1
}

@test "vmctl-agent(8): the policies let through and refuse what the page says" {
	once
	vm up vm1 --kernel "$VM_KERNEL"
	# Another agent, with this policy; what it says to calls without an argument.
	policy() { # policy LINES
		sed 's/^/echo "/; s/$/"/' <<<"$1" >policy
		vm run vm1 "[ ! -e /tmp/pid ] || kill \$(cat /tmp/pid)
			{ $(cat policy); } >/tmp/policy
			vmctl-agent --listen vsock:230 --policy /tmp/policy >/tmp/log 2>&1 & echo \$! >/tmp/pid"
		eventually ttrpc-client "$VMCTL_RUN_DIR/vm1/vsock.sock" 230 call vmctl.agent.v1.GuestAgent Ping
	}
	answer() { ttrpc-client "$VMCTL_RUN_DIR/vm1/vsock.sock" 230 call vmctl.agent.v1.GuestAgent "$1" 2>&1 || true; }
	allowed() { for call; do [[ $(answer "$call") != *'status 7'* ]] || { echo "$call is refused"; return 1; }; done; }
	refused() { for call; do expect_match 'status 7: .*/tmp/policy' "$(answer "$call")"; done; }
	policy "$(man_block vmctl-agent.8 '# whatever else there is')"
	allowed GetGuestInfo GetTime
	refused ListCpus Shutdown
	policy "$(man_block vmctl-agent.8 'allow vmctl.agent.v1.GuestAgent/Exec')"
	allowed GetGuestInfo
	refused ListCpus Shutdown Reboot
	policy "$(man_block vmctl-agent.8 'deny vmctl.agent.v1.GuestAgent/WriteFile')"
	allowed GetGuestInfo StatFile ListCpus
	refused MakeDirectory MakeSymlink FreezeFilesystems WriteFile Exec
	vm down vm1
}

@test "kata.md: what the driver and the agent say of a guest, at its vsock device's address" {
	once
	vm up vm1 --kernel "$VM_KERNEL"
	run_block "$(doc_block docs/kata.md 'SANDBOX=/run/kata' |
		sed "s,/run/kata/upcall/root,$VMCTL_RUN_DIR/vm1,; s,kata.hvsock,vsock.sock,; s,sudo build/,$O/,")"
	block_said 'CPUs online'
	vm down vm1
}
