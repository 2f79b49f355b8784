#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What can be shown without a guest: the builds are clean, the install is whole,
# the documents are true.

top=$BATS_TEST_DIRNAME/../..
export O=${O:-$top/build}

setup() { cd "$top"; }

@test "upcall.ko is clean under W=1 and sparse, for both kernels" {
	for kernel in 6.1 6.12; do
		# sparse runs on every file; build-module fails on any warning.
		tests/vm/build-module $kernel "$BATS_TEST_TMPDIR/$kernel" C=2 CF=-Wsparse-error
	done
}

@test "the build has no compiler warning" {
	run make O="$BATS_TEST_TMPDIR/build" build
	[ "$status" -eq 0 ]
	[[ $output != *warning:* ]] || { echo "$output"; return 1; }
}

@test "install puts programs, unit and man pages below DESTDIR" {
	make install DESTDIR="$BATS_TEST_TMPDIR/dest" PREFIX=/usr
	for file in bin/vmctl sbin/vsockd sbin/vmctl-agent share/man/man1/vmctl.1 \
		share/man/man8/vsockd.8 share/man/man8/vmctl-agent.8 \
		lib/systemd/system/vmctl-agent.service lib/systemd/system/vsockd@.service \
		lib/systemd/system/vsockd@.socket lib/sysusers.d/vmctl.conf; do
		[ -f "$BATS_TEST_TMPDIR/dest/usr/$file" ] || { echo "no $file"; return 1; }
	done
	grep -q 'ExecStart=/usr/sbin/vmctl-agent' \
		"$BATS_TEST_TMPDIR/dest/usr/lib/systemd/system/vmctl-agent.service"
}

@test "vsockd's units are right, and expose little" {
	make install DESTDIR="$BATS_TEST_TMPDIR/dest" UNITDIR=/units
	cd "$BATS_TEST_TMPDIR/dest/units"
	# An instance, of a program that is there.
	sed "s,^ExecStart=[^ ]*,ExecStart=/bin/true," vsockd@.service >vsockd@vm1.service
	cp vsockd@.socket vsockd@vm1.socket
	run systemd-analyze --man=no verify ./vsockd@vm1.service
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output != *vsockd@* ]]
	# In tenths: 2.0.
	systemd-analyze security --offline=yes --threshold=20 ./vsockd@vm1.service
}

# Of the agent's unit with some of the page's drop-ins, and the sandbox if that is named
# first, as 10-sandbox.conf or by another name.
agents_unit() { # agents_unit [NAME=sandbox] [DROP-IN...]
	units=$BATS_TEST_TMPDIR/units
	rm -rf "$units" "$BATS_TEST_TMPDIR/page"
	mkdir -p "$units/vmctl-agent.service.d" "$BATS_TEST_TMPDIR/page"
	tests/static/merged-unit --page docs/vmctl-agent.8 "$BATS_TEST_TMPDIR/page"
	sed 's,@SBINDIR@/vmctl-agent,/bin/true,' packaging/systemd/vmctl-agent.service.in \
		>"$units/vmctl-agent.service"
	if [[ ${1-} == *=sandbox ]]; then
		cp packaging/systemd/vmctl-agent-sandbox.conf \
			"$units/vmctl-agent.service.d/${1%=sandbox}"
		shift
	fi
	for name in "$@"; do
		sed 's,^ExecStart=/[^ ]*,ExecStart=/bin/true,' "$BATS_TEST_TMPDIR/page/$name" \
			>"$units/vmctl-agent.service.d/$name"
	done
	(cd "$units" && systemd-analyze --man=no verify ./vmctl-agent.service) \
		>"$BATS_TEST_TMPDIR/verified" 2>&1 || { cat "$BATS_TEST_TMPDIR/verified"; return 1; }
	if grep vmctl-agent "$BATS_TEST_TMPDIR/verified"; then return 1; fi
	merged=$(tests/static/merged-unit "$units/vmctl-agent.service")
}

has() { # has LINE...: each is in what was merged
	local line
	for line in "$@"; do
		grep -qxF -- "$line" <<<"$merged" || { echo "not so: $line"; return 1; }
	done
}

has_calls() { local names=("$@"); has "${names[@]/#/call }"; }
has_caps() { local names=("$@"); has "${names[@]/#/cap CAP_}"; }
# What systemd itself says that the merged unit is kept from.
kept_from() {
	(cd "$units" && systemd-analyze security --offline=yes --json=short ./vmctl-agent.service) |
		python3 -c 'import json, sys
for item in json.load(sys.stdin):
    if item["set"]:
        print(item["json_field"])' | sort
}

# The agent's own, whatever it is asked.
needs_its_own() {
	has_caps NET_BIND_SERVICE NET_ADMIN SYS_RESOURCE
	has_calls execve fork clone clone3 socket bind listen accept4 epoll_wait signalfd4 pidfd_open \
		openat2 pipe2 memfd_create prctl setsid kill wait4 sendmsg ioctl statfs prlimit64 \
		fchown write renameat2 linkat fsync close_range
}

@test "the agent's unit keeps its commands from nothing, with Kata's drop-in too" {
	for drop_in in "" kata.conf files.conf; do
		agents_unit $drop_in
		needs_its_own
		# Of these the unit says KeyringMode= and UMask=; the others are systemd's own.
		expected='AmbientCapabilities
Delegate
KeyringMode
NotifyAccess
UMask'
		[ "$(kept_from)" = "$expected" ] || { kept_from; return 1; }
	done
	has 'ExecStart=/bin/true --files-root /srv'
	agents_unit kata.conf
	has 'ExecStart=/bin/true --kata'
}

@test "in the agent's sandbox there is what it needs, and little else" {
	agents_unit 10-sandbox.conf=sandbox
	needs_its_own
	[ "$(grep -c '^cap ' <<<"$merged")" -eq 3 ]
	run has_calls clock_settime
	[ "$status" -eq 1 ]
	(cd "$units" && systemd-analyze security --offline=yes --threshold=20 ./vmctl-agent.service)
}

@test "each drop-in of the page gives the sandboxed agent what it is for" {
	agents_unit 10-sandbox.conf=sandbox kata.conf kata-sandbox.conf
	needs_its_own
	has_caps SYS_ADMIN SYS_MODULE SYS_TIME CHOWN FOWNER FSETID DAC_OVERRIDE NET_RAW
	has_calls clock_settime finit_module sethostname swapon fchown fchownat fchmod umask symlinkat
	has 'ExecStart=/bin/true --kata' ProtectClock=no ProtectKernelModules=no PrivateDevices=no
	[[ $merged == *ReadWritePaths=*/sys/devices/system/memory*/run* ]]
	# As systemd itself has it.
	for name in CapabilityBoundingSet_CAP_SYS_TIME CapabilityBoundingSet_CAP_SYS_MODULE \
		SystemCallFilter_clock SystemCallFilter_module SystemCallFilter_swap ProtectClock; do
		if kept_from | grep -x "$name"; then return 1; fi
	done

	agents_unit 10-sandbox.conf=sandbox files.conf files-sandbox.conf
	needs_its_own
	has_caps DAC_OVERRIDE CHOWN FOWNER FSETID
	has_calls fchown utimensat fchmod
	has 'ExecStart=/bin/true --files-root /srv' RestrictSUIDSGID=no
	[[ $merged == *ReadWritePaths=*/srv* ]]

	agents_unit 10-sandbox.conf=sandbox freeze-sandbox.conf
	needs_its_own
	has_caps SYS_ADMIN
	has PrivateMounts=no ProtectSystem=no ProtectHome=no
}

@test "a sandbox by a name that sorts after a drop-in takes what that gives" {
	agents_unit sandbox.conf=sandbox kata.conf kata-sandbox.conf
	run has ProtectClock=no
	[ "$status" -eq 1 ]
	run has_calls clock_settime
	[ "$status" -eq 1 ]
	kept_from | grep -x ProtectClock
	kept_from | grep -x SystemCallFilter_clock
	# The page, the unit and the sandbox name it as it must be.
	grep -q 'service\.d/10-sandbox\.conf' docs/vmctl-agent.8
	grep -q 'service\.d/10-sandbox\.conf' packaging/systemd/vmctl-agent.service.in
	grep -q 'service\.d/10-sandbox\.conf' packaging/systemd/vmctl-agent-sandbox.conf
}

@test "lint finds nothing" { make --no-print-directory lint; }

@test "every program knows --help and --version" {
	for program in vmctl vsockd vmctl-agent; do
		run "$O/$program" --version
		[ "$status" -eq 0 ]
		[[ $output == *$(cat VERSION)* ]]
		run "$O/$program" --help
		[ "$status" -eq 0 ]
		[[ $output == *sage* ]]
	done
}

@test "the options of each program and verb are those of its --help and its man page" {
	tests/static/check-options "$O"
}

@test "an option that is in one of them alone is found" {
	mkdir "$BATS_TEST_TMPDIR/docs"
	doctored() { # doctored PAGE SED-SCRIPT WORDS
		cp docs/*.[1-9] "$BATS_TEST_TMPDIR/docs"
		sed -i "$2" "$BATS_TEST_TMPDIR/docs/$1"
		run tests/static/check-options "$O" "$BATS_TEST_TMPDIR/docs"
		[ "$status" -eq 1 ]
		[[ $output == *"$3"* ]] || { echo "$2: $output"; return 1; }
	}
	doctored vmctl.1 '/^\.Op Fl -node/d' 'vmctl hotplug-mem: --node: in --help, not in SYNOPSIS'
	doctored vmctl.1 's/^\.Op Fl -node Ar N/& Fl -more/' 'vmctl hotplug-mem: --more: in SYNOPSIS, not in --help'
	doctored vmctl.1 '/^\.Fl -node/d' 'vmctl hotplug-mem: --node: in --help, not in its section'
	doctored vmctl.1 's/^\.Fl -node/.Fl -apic-id/' 'vmctl hotplug-mem: --apic-id: in its text, not in --help'
	doctored vsockd.8 '/^\.It Fl -uds/d' "vsockd: --uds: in --help, not in the page's list"
	doctored vmctl-agent.8 's/^\.Op Fl -root.*/& Fl -more/' 'vmctl-agent: --more: in SYNOPSIS, not in --help'
}

# A Debian archive of the test's own: it has a kernel 99.1, and nothing to download.
@test "fetch newest looks for a newer kernel, and goes on with the one that is there" {
	local bin=$BATS_TEST_TMPDIR/bin cache=$BATS_TEST_TMPDIR/cache
	mkdir -p "$bin" "$cache/kernel-newest"
	cat >"$bin/apt-get" <<-'END'
		#!/bin/sh
		case "$*" in
		*indextargets*) echo 'Debian|Debian|http://archive.invalid/debian' ;;
		*download*) exit 100 ;;
		esac
	END
	cat >"$bin/apt-cache" <<-'END'
		#!/bin/sh
		case "$*" in
		*madison*) echo 'linux-image-amd64 | 99.1-1 | http://archive.invalid/debian sid/main amd64 Packages' ;;
		*show*) echo 'Depends: linux-image-99.1-amd64 (= 99.1-1)' ;;
		esac
	END
	printf '#!/bin/sh\necho installed\n' >"$bin/dpkg-query"
	chmod +x "$bin"/{apt-get,apt-cache,dpkg-query}
	fetch_newest() {
		PATH=$bin:$PATH VMCTL_CACHE=$cache run tests/vm/fetch newest
		echo "$output"
	}
	echo 99.0-amd64 >"$cache/kernel-newest/release"
	fetch_newest
	[ "$status" -eq 0 ]
	[[ $output == *"99.1-amd64 cannot be downloaded: going on with 99.0-amd64"* ]]
	echo 99.1-amd64 >"$cache/kernel-newest/release"
	fetch_newest
	[ "$status:$output" = 0: ]
	# An archive that does not answer.
	echo 99.0-amd64 >"$cache/kernel-newest/release"
	printf '#!/bin/sh\n' >"$bin/apt-cache"
	fetch_newest
	[ "$status" -eq 0 ]
	[[ $output == *"going on with 99.0-amd64"* ]]
	rm "$cache/kernel-newest/release"
	fetch_newest
	[ "$status" -ne 0 ]
}
