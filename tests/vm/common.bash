# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the end-to-end tests share. Every test file boots a guest of its own,
# named "guest", in a registry of its own; $VM_KERNEL says which kernel.

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export O=${O:-$here/../../build}
O=$(readlink -f "$O")
PATH=$O:$here:$PATH
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

# Ends it. Fails, with the console, if the guest's kernel complained.
halt() {
	local status=0
	vm down guest || status=$?
	rm -rf "$VMCTL_RUN_DIR"
	return $status
}

sock() { echo "$VMCTL_RUN_DIR/guest/vsock.sock"; }

# The process of vsockd that serves the guest, below the one that holds its place.
vsockd_worker() { xargs <"/proc/$(cat "$VMCTL_RUN_DIR/guest/vsockd.pid")/task/$(cat "$VMCTL_RUN_DIR/guest/vsockd.pid")/children"; }

# Runs a script in the guest, past everything under test.
guest() { vm run guest "$1"; }

# The driver of the debug kernel is built in: it cannot be unloaded, and its
# parameters stand on the kernel's command line.
needs_module() {
	[ "$VM_KERNEL" != debug ] || skip "the driver is built into this kernel"
}

# Unloads the module and loads it again, where it is one.
reload() { [ "$VM_KERNEL" = debug ] || guest 'modprobe -r upcall && modprobe upcall'; }

# The release string of the guest's kernel.
kernel_release() {
	cat "${VMCTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl}/kernel-$VM_KERNEL/release"
}

# The guest's own view of its CPUs: "online present", as the kernel lists them.
cpus() { guest 'cat /sys/devices/system/cpu/online /sys/devices/system/cpu/present' | xargs; }

# What LIST has, in the words of upcall-events.
list() {
	upcall-client "$(sock)" list | python3 -c '
import json, sys
for e in json.load(sys.stdin)["entries"]:
    print("class=%(class)s key=%(key)#x type=%(type)#x request=%(request)d "
          "boot_ns=%(boot_ns)d bytes=%(bytes)s" % e)'
}

# How many vCPUs QEMU has.
vcpus() { qmp query-cpus-fast | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }

# One QMP command, given as its name or as JSON; prints what it returns.
qmp() { qmp-client "$VMCTL_RUN_DIR/guest/qmp.sock" "$@"; }

# Polls until a command succeeds, for at most a minute.
eventually() {
	local deadline=$((SECONDS + 60))
	local said=${BATS_TEST_TMPDIR:-$VMCTL_RUN_DIR}/eventually
	until "$@" 2>"$said"; do
		if [ $SECONDS -ge $deadline ]; then
			cat "$said"
			return 1
		fi
		sleep 0.1
	done
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

# The literal block of a man page that has this text in it.
man_block() { # man_block PAGE TEXT
	awk -v text="$2" '
		/^\.Bd -literal/ { block = ""; on = 1; next }
		/^\.Ed/ { if (on && index(block, text)) printf "%s", block; on = 0 }
		on { block = block $0 "\n" }' "$here/../../docs/$1" | sed 's/\\e/\\/g; s/\\-/-/g; s/\\(aq/'"'/g"
}

# Runs the examples of vmctl(1) that have this text in them, on the guest.
man_example() { # man_example TEXT
	local block
	block=$(man_block vmctl.1 "$1" | sed 's/ vm1/ guest/')
	[ -n "$block" ]
	bash -ex -c "$block"
}
