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
	doc_block README.md 'vmctl wait vm1' | while read -r command; do
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

@test "vsockd(8): the examples" {
	once
	mkdir "$VMCTL_RUN_DIR/vm1"
	run_block "$(man_block vsockd.8 'memory-backend-memfd' | mended |
		sed 's/ \.\.\./ -cpu max -display none -kernel vmlinuz -initrd initrd.img \\\
		-chardev socket,id=shell,path=shell.sock,server=on,wait=off -serial null \\\
		-device isa-serial,chardev=shell,index=1,iobase=0x2f8,irq=3 \\\
		-append console=ttyS0 \&/')"
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
