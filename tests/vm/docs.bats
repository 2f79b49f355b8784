#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The documents' commands, taken from their text and run. What is put in their
# place: a registry of the test's own for /run, this build's programs for
# installed ones, and a test guest's kernel and initramfs in the current folder.

load common

setup() {
	make_registry
	top=$here/../..
	cd "$BATS_TEST_TMPDIR"
	ln -s "${VMCTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl}/kernel-$VM_KERNEL/vmlinuz" vmlinuz
	ln -s "$O/vm/initramfs-$VM_KERNEL.img" initrd.img
}
teardown() {
	# Everything that a block left in the background has this registry in its
	# arguments.
	for process in /proc/[0-9]*; do
		if tr '\0' ' ' <"$process/cmdline" 2>/dev/null |
			grep -q "^\(qemu-system-x86_64\|vsockd\|socat\) .*$VMCTL_RUN_DIR"; then
			kill "${process#/proc/}" || true
		fi
	done
	rm -rf "$VMCTL_RUN_DIR"
}

# The indented lines of README.md between two lines of its text.
readme() { # readme AFTER BEFORE
	awk -v after="$1" -v before="$2" '
		index($0, before) { on = 0 }
		on && /^    / { print substr($0, 5) }
		index($0, after) { on = 1 }' "$top/README.md"
}

# Puts what is here in the place of what a reader would have.
mended() {
	sed "s,/run/vmctl,$VMCTL_RUN_DIR,g; s,/run/vm1,$VMCTL_RUN_DIR/vm1,g
		s,qemu-system-x86_64,& -nodefaults -no-reboot,
		s,root=/dev/vda1,console=ttyS0,; s,-kernel vmlinuz -append,-display none -initrd initrd.img &,"
}

# What does not depend on the guest's kernel is shown on one.
once() { [ "$VM_KERNEL" = 6.12 ] || skip "as on 6.12"; }

# What a block leaves in the background must not hold the test's own output open.
run_block() {
	local status=0
	[ -n "$1" ] || { echo "no such block"; return 1; }
	echo "$1"
	bash -e -c "$1" </dev/null >"$BATS_TEST_TMPDIR/block.log" 2>&1 3>&- || status=$?
	cat "$BATS_TEST_TMPDIR/block.log"
	return $status
}

@test "README: a QEMU guest of one's own, from nothing to a plugged CPU" {
	once
	run_block "$(readme 'On the host, give the VM' 'Once the guest is up' | mended)"
	eventually vmctl ping vm1
	readme 'Once the guest is up' 'Every command knows' | while read -r command; do
		run_block "$command"
	done
	run vmctl info vm1
	expect_match 'CPUs online +0-2' "$output"
}

@test "README: the module is built against a kernel's headers, and loaded" {
	cp -r "$top/kmod-upcall" "$top/proto" "$top/VERSION" .
	kernel=$(dirname "$(readlink -f vmlinuz)")
	run_block "$(readme 'In the guest, build the module' 'then load it' |
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
	readme 'A guest to play with' 'Where things are' | sed "s,build/,$O/," |
		while read -r command; do
			run_block "$command"
		done
}

@test "README: what it has one build and install, and start, is there" {
	once
	cd "$top"
	DESTDIR=$BATS_TEST_TMPDIR/dest run_block "$(readme 'build and install:' 'In the guest, build the module')"
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

@test "vmctl(1): the examples" {
	once
	run_block "$(man_block vmctl.1 'mkdir -p' | mended | sed '$ s/$/ \&/')"
	run_block "$(man_block vmctl.1 'vmctl wait vm1')"
	run_block "$(man_block vmctl.1 '--to 4 --dry-run')"
	expect 1 "$(vmctl info vm1 --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["cpus"]["online"]))')"
	run_block "$(man_block vmctl.1 '$ vmctl hotplug-cpu vm1 --to 4' | sed -n 's/^\$ //p')"
	run_block "$(man_block vmctl.1 'vmctl info --all' | sed 's/vm1,vm2/vm1/')"
	# Until it is told to end.
	run_block "$(man_block vmctl.1 'vmctl proxy vm1' | mended |
		sed "s/^vmctl/timeout --preserve-status 2 &/; s/2222/22$((RANDOM % 900 + 100))/")"
	run_block "$(man_block vmctl.1 'vmctl devices vm1')"
	grep -q '^cpu  *3 ' "$BATS_TEST_TMPDIR/block.log"
	run_block "$(man_block vmctl.1 'vmctl vsock list vm1')"
	grep -q '^TYPE ' "$BATS_TEST_TMPDIR/block.log"
	# jq, as far as this example goes.
	mkdir bin
	cat >bin/jq <<'END'
#!/usr/bin/python3
import json, sys
print(json.load(sys.stdin)["after"]["online"])
END
	chmod +x bin/jq
	PATH=$PWD/bin:$PATH run_block "$(man_block vmctl.1 'jq .after.online')"
	expect '[0]' "$(tail -n 1 "$BATS_TEST_TMPDIR/block.log")"
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
