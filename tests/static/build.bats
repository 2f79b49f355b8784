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
		lib/systemd/system/vsockd@.socket; do
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

@test "every option that the man pages name is one that the program knows" {
	for page in docs/vmctl.1 docs/vsockd.8 docs/vmctl-agent.8; do
		program=$(basename "${page%.*}")
		for option in $(grep -oE '^\.(It Fl|Op|Fl).*-[a-z][a-z-]+' "$page" |
			grep -oE 'Fl +-[a-z][a-z-]+' | sed 's/Fl *//' | sort -u); do
			strings "$O/$program" | grep -qx -- "${option#-}" ||
				strings "$O/$program" | grep -q -- "-$option" ||
				{ echo "$page names -$option"; return 1; }
		done
	done
}
