# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the end-to-end tests share. Every test file boots a guest of its own,
# named "guest", in a registry of its own; $VM_KERNEL says which kernel.

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export O=${O:-$here/../../build}
O=$(readlink -f "$O")
PATH=$O:$O/tests/vm/guest:$here:$PATH
VM_KERNEL=${VM_KERNEL:-6.12}

make_registry() {
	VMCTL_RUN_DIR=$(mktemp -d /tmp/vmctl-test.XXXXXX)
	export VMCTL_RUN_DIR
}

# Boots the guest; the arguments are those of `vm up`.
boot() {
	make_registry
	vm up guest --kernel "$VM_KERNEL" "$@"
}

# Ends it. Fails, with the console, if the guest's kernel complained, or if the debug
# kernel's checkers have found something by then.
halt() {
	local status=0
	[ "$VM_KERNEL" != debug ] || [ ! -d "$VMCTL_RUN_DIR/guest" ] || vm leaks guest || status=$?
	vm down guest || status=$?
	rm -rf "$VMCTL_RUN_DIR"
	return $status
}

# Another guest in the place of the first, for the rest of a file.
reboot() {
	[ "$VM_KERNEL" != debug ] || vm leaks guest
	vm down guest
	vm up guest --kernel "$VM_KERNEL" "$@"
}

sock() { echo "$VMCTL_RUN_DIR/guest/vsock.sock"; }

# The process of vsockd that serves the guest, below the one that holds its place.
vsockd_worker() { xargs <"/proc/$(cat "$VMCTL_RUN_DIR/guest/vsockd.pid")/task/$(cat "$VMCTL_RUN_DIR/guest/vsockd.pid")/children"; }

# A number of `vmctl vsock stats --json`, by its path in there.
stat_of() { # stat_of NAME [WORD]
	vmctl vsock stats guest --json | python3 -c '
import json, sys
value = json.load(sys.stdin)["stats"]
for word in sys.argv[1:]:
    value = value[word]
print(value)' "$@"
}

# What `vmctl vsock list --json` has of the connections with that port: guest_port=N,
# or peer_port=N.
column_of() { # column_of PORT COLUMN
	vmctl vsock list guest --json | python3 -c '
import json, sys
side, port = sys.argv[1].split("=")
for connection in json.load(sys.stdin)["connections"]:
    if connection[side] == int(port):
        print(connection[sys.argv[2]])' "$@"
}

# The checksum of what `vsock-stream` sends.
sum_of() { # sum_of BYTES SEED
	local known=$VMCTL_RUN_DIR/sum-$1-$2
	[ -e "$known" ] || vsock-stream data "$1" "$2" | sha256sum >"$known"
	cat "$known"
}

# Runs a script in the guest, past everything under test.
guest() { vm run guest "$1"; }

kernel_folder() { echo "${VMCTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl}/kernel-$VM_KERNEL"; }

# The release string of the guest's kernel.
kernel_release() { cat "$(kernel_folder)/release"; }

# The driver of a kernel without modules is built in: it cannot be unloaded, and its
# parameters stand on the kernel's command line.
built_in() { [ ! -d "$(kernel_folder)/modules" ]; }
needs_module() { ! built_in || skip "the driver is built into this kernel"; }

# Unloads the module and loads it again, where it is one.
reload() { built_in || guest 'modprobe -r upcall && modprobe upcall'; }

# What the older of the kernels can and cannot.
on_6_1() { [[ $(kernel_release) == 6.1.* ]]; }

# The guest's own view of its CPUs: "online present", as the kernel lists them.
cpus() { guest 'cat /sys/devices/system/cpu/online /sys/devices/system/cpu/present' | xargs; }

# Builds the module with a change to one of its files, and has the guest run that one.
variant() { # variant SED-SCRIPT FILE
	local tree=$BATS_TEST_TMPDIR/tree
	mkdir -p "$tree/tests"
	cp -r "$here/../../"{kmod-upcall,proto,VERSION} "$tree"
	cp -r "$here" "$tree/tests"
	sed -i "$1" "$tree/kmod-upcall/$2"
	if cmp -s "$tree/kmod-upcall/$2" "$here/../../kmod-upcall/$2"; then
		echo "$1 changes nothing in $2"
		return 1
	fi
	"$tree/tests/vm/build-module" "$VM_KERNEL" "$BATS_TEST_TMPDIR/out"
	guest_file "$BATS_TEST_TMPDIR/out/upcall.ko" /tmp/upcall.ko
	guest 'modprobe -r upcall; insmod /tmp/upcall.ko'
}

# An echo on port 5002 of the guest, for whoever wants one.
start_echo() {
	guest 'socat VSOCK-LISTEN:5002,fork,backlog=100 EXEC:cat >/dev/null 2>&1 &'
	eventually hybrid connect "$(sock)" 5002 </dev/null
}

# How many descriptors vsockd has open.
descriptors() { find "/proc/$(vsockd_worker)/fd" -type l | wc -l; }

# Runs vsock-stream in the background of a VM. What it receives goes into a checksum, and
# so does its failure.
begins_in() { # begins_in VM ARGUMENT...
	local in=$1
	shift
	vm run "$in" "rm -f /tmp/sum /tmp/log; {
		{ vsock-stream $* & echo \$! >/tmp/pid; wait \$! || echo failed; } |
			sha256sum >/tmp/summing
		mv /tmp/summing /tmp/sum
	} >/dev/null 2>/tmp/log &"
	[ "$1" = connect ] || eventually vm run "$in" 'grep listening /tmp/log'
}
sum_in() { # sum_in VM
	eventually vm run "$1" 'test -e /tmp/sum'
	vm run "$1" 'cat /tmp/log' >&2
	vm run "$1" 'cat /tmp/sum'
}

# Copies a file into the guest.
guest_file() { # guest_file FILE DESTINATION
	guest "socat -u VSOCK-LISTEN:5000 CREATE:$2 >/tmp/log 2>&1 &
		echo \$! >/tmp/receiver"
	eventually hybrid connect "$(sock)" 5000 <"$1"
	eventually guest '! kill -0 $(cat /tmp/receiver)'
	expect "$(md5sum <"$1")" "$(guest "md5sum <$2")"
}

# What LIST has, in the words of upcall-events.
list() {
	upcall-client "$(sock)" list | python3 -c '
import json, sys
for e in json.load(sys.stdin)["entries"]:
    print("class=%(class)s key=%(key)#x type=%(type)#x request=%(request)d "
          "boot_ns=%(boot_ns)d bytes=%(bytes)s" % e)'
}

# What LIST says that a thing was plugged with: `listed mmio 0xfeb00c00`.
listed() { upcall-client "$(sock)" listed "$@"; }

# The module's events, as a process in the guest hears them.
listen() { # listen COUNT
	guest "upcall-events listen $1 >/tmp/events 2>&1 &"
	eventually guest 'grep listening /tmp/events'
}
heard() { # heard COUNT: that many events, in words
	eventually guest "[ \$(grep -c request= /tmp/events) -eq $1 ]"
	guest 'cat /tmp/events'
}

# The last thing of LIST, entry by entry, is what an event had to say of it.
expect_event() { # expect_event NAME plugged|unplugged ENTRIES EVENT
	local things
	# shellcheck disable=SC2001 # lines
	things=$(sed 's/.*/{&}/' <<<"$3" | tr -d '\n')
	expect_match " name=$1 ret=0 " "$4"
	expect "$2=[$things]" "$(sed -n 's/.* \(\(un\)\{0,1\}plugged=.*\)/\1/p' <<<"$4")"
}

# How many vCPUs QEMU has.
vcpus() { qmp query-cpus-fast | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }

# One QMP command, given as its name or as JSON; prints what it returns.
qmp() { qmp-client "$VMCTL_RUN_DIR/guest/qmp.sock" "$@"; }

# Polls until a command succeeds, for at most four minutes: a machine may be busy.
eventually() {
	local deadline=$((SECONDS + ${PATIENCE:-240}))
	local said=${BATS_TEST_TMPDIR:-$VMCTL_RUN_DIR}/eventually
	until "$@" 2>"$said"; do
		if [ $SECONDS -ge $deadline ]; then
			cat "$said"
			return 1
		fi
		sleep 0.1
	done
}

# Says figures in what bats prints, and keeps them for the end of `make check`.
figures() { # figures WORDS...
	echo "# $*" >&3
	mkdir -p "$O/check"
	echo "$VM_KERNEL: $*" >>"$O/check/figures"
}

# Asserts with words: what was wanted, and what came.
expect() { # expect WANTED GOT
	[ "$1" = "$2" ] || {
		echo "wanted: $1"
		echo "   got: $2"
		return 1
	}
}
expect_match() { # expect_match PATTERN GOT
	[[ $2 =~ $1 ]] || {
		echo "wanted a match of: $1"
		echo "              got: $2"
		return 1
	}
}

# The literal blocks of a document, a record separator behind each: what is between .Bd
# and .Ed of a man page, and behind each .Dl; what is indented or fenced in a text.
doc_blocks() { # doc_blocks FILE
	case $1 in
	*.md)
		awk -v end=$'\x1e' '
			function over() { if (block) printf "%s%s", block, end; block = "" }
			/^```/ { fenced = !fenced; over(); next }
			fenced { block = block $0 "\n"; next }
			/^    / && (block || blank) { block = block substr($0, 5) "\n"; next }
			{ over(); blank = /^$/ }
			END { over() }' "$1"
		;;
	*)
		awk -v end=$'\x1e' '
			/^\.Bd -literal/ { on = 1; next }
			/^\.Ed/ { if (on) printf end; on = 0 }
			on { print }
			/^\.Dl / { printf "%s\n%s", substr($0, 5), end }' "$1" | sed 's/\\e/\\/g; s/\\-/-/g; s/\\(aq/'"'/g"
		;;
	esac
}

# The block of a document that has this text in it. tests/static/docs.bats looks in the
# tests for calls of this and of the next two: in each, the words must stand as they are.
doc_block() { # doc_block FILE TEXT
	local block
	while IFS= read -r -d $'\x1e' block; do
		[[ $block != *"$2"* ]] || printf '%s' "$block"
	done < <(doc_blocks "$here/../../$1")
}
man_block() { doc_block "docs/$1" "$2"; } # man_block PAGE TEXT

# Runs the examples of vmctl(1) that have this text in them, on the guest.
man_example() { # man_example TEXT
	local block
	block=$(man_block vmctl.1 "$1" | sed 's/ vm1/ guest/')
	[ -n "$block" ]
	bash -ex -c "$block"
}

# What does not depend on the guest's kernel is shown on one.
once() { [ "$VM_KERNEL" = 6.12 ] || skip "as on 6.12"; }

# A test guest's kernel and initramfs in this folder, as a reader has them.
link_kernel() {
	ln -s "$(kernel_folder)/vmlinuz" vmlinuz
	ln -s "$O/vm/initramfs-$VM_KERNEL.img" initrd.img
}

# Puts what is here in the place of what a reader would have: a registry of the test's own
# for /run, and that kernel and initramfs; and the moment that a reader takes to type on.
mended() {
	sed "s,/run/vmctl,$VMCTL_RUN_DIR,g; s,/run/vm\([12]\),$VMCTL_RUN_DIR/vm\1,g
		s,/run/peers,$VMCTL_RUN_DIR/peers,g
		s,qemu-system-x86_64,& -accel tcg -nodefaults -no-reboot,
		/sock &\$/a timeout 60 sh -c 'until test -S $VMCTL_RUN_DIR/vm1/vhost.sock; do sleep 0.1; done'
		s,root=/dev/vda1,console=ttyS0,; s,-kernel vmlinuz -append,-display none -initrd initrd.img &,"
}

# Runs a block. What it leaves in the background must not hold the test's own output open.
run_block() {
	local status=0 log=${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/block.log
	[ -n "$1" ] || { echo "no such block"; return 1; }
	echo "$1"
	bash -e -o pipefail -c "$1" </dev/null >"$log" 2>&1 3>&- || status=$?
	cat "$log"
	return $status
}
# The last one has printed this.
block_said() { expect_match "$1" "$(cat "$BATS_TEST_TMPDIR/block.log")"; }

# Runs a verb with --json: whatever member is printed, vmctl(1) has it at the verb.
described() { # described VERB ARGUMENT...
	local verb=$1 out=$BATS_TEST_TMPDIR/described
	[ "$verb" != vsock ] || verb="$1 $2"
	vmctl "$@" --json </dev/null >"$out" 2>&1 || { cat "$out"; return 1; }
	grep '^{' "$out" | "$here/../static/check-json" --objects "$verb"
}

# Ends what blocks have left in the background: it has this registry in its arguments.
end_blocks() {
	local process
	for process in /proc/[0-9]*; do
		if tr '\0' ' ' <"$process/cmdline" 2>/dev/null |
			grep -q "^\([^ ]*/\)\?\(qemu-system-x86_64\|vsockd\|socat\) .*$VMCTL_RUN_DIR"; then
			kill "${process#/proc/}" || true
		fi
	done
	rm -rf "$VMCTL_RUN_DIR"
}
