# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of both kinds of packages share: a Debian in $root, in which nothing
# runs. What would be asked there of the service manager and of the kernel is noted, in
# its /calls.

# shellcheck source=tests/vm/lib.sh disable=SC2154 # $top is its loader's
. "$top/tests/vm/lib.sh"

[ "$(id -u)" -eq 0 ] || die "it has to be root"

path=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
there() { # there COMMAND...
	inside "$root" env -i PATH=$path HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# As if it were running, with the units enabled and the module loaded. What is enabled is
# a matter of files.
as_if_running() {
	local command
	mkdir -p "$root/run/systemd/system" "$root/sys/module/upcall"
	for command in systemctl modprobe rmmod; do
		printf '%s\n' '#!/bin/sh' "echo $command \"\$*\" >>/calls" \
			'case "$*" in *preset* | *able\ *) SYSTEMD_OFFLINE=1 exec /bin/systemctl "$@" ;; esac' \
			'echo enabled' >"$root/usr/local/sbin/$command"
	done
	# What is no container's.
	printf '#!/bin/sh\nexit 1\n' >"$root/usr/local/sbin/systemd-detect-virt"
	chmod +x "$root"/usr/local/sbin/*
}

# Every file, and the kinds that programs of Debian write when they like. DKMS makes
# its key with the first module.
files() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./run -o -path ./tmp -o \
		-path ./repository -o -path ./calls -o -path ./var/cache -o -path ./var/log -o \
		-path ./var/lib/apt \) -prune -o -print) |
		grep -vE '^\./(etc/g?(group|shadow)-|var/lib/dpkg/.*-old|var/lib/dkms/mok\.(key|pub))$' |
		sort
}

# The module for $kernel, by the key that the firmware is to be given, by mokutil --import.
signed() {
	local subject signer
	subject=$(there openssl x509 -inform DER -in /var/lib/dkms/mok.pub -noout -subject)
	signer=$(there modinfo -k "$kernel" -F signer upcall)
	[ -n "$signer" ] && [[ $subject == *"$signer"* ]]
}
