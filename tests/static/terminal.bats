#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a terminal gets of vmctl, and what a file does not: colour and progress.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
export O=${O:-$top/build}

setup_file() { cd "$top" && make --no-print-directory "$O/vmctl"; }

setup() {
	vmctl=$(cd "$top" && readlink -f "$O")/vmctl
	export VMCTL_RUN_DIR=$BATS_TEST_TMPDIR TERM=xterm
	unset NO_COLOR
	mkdir -p "$VMCTL_RUN_DIR/vm1"
}

escape=$'\e'
typed() { script -qec "$1" /dev/null </dev/null 2>&1 || true; }
plain() { ! grep -q "$escape" <<<"$1"; }

@test "a terminal gets colour, unless it is dumb or NO_COLOR is set" {
	[[ $(typed "$vmctl list") = *"${escape}[31mdown"*"${escape}[0m"* ]]
	[[ $(typed "$vmctl ping vm1 --timeout 0.1") = *"${escape}[31mvmctl:"* ]]
	plain "$(NO_COLOR=1 typed "$vmctl list")"
	plain "$(TERM=dumb typed "$vmctl list; $vmctl ping vm1 --timeout 0.1")"
}

@test "a file and a pipe get neither colour nor progress" {
	plain "$("$vmctl" list)"
	plain "$("$vmctl" wait vm1 --timeout 0.3 2>&1)"
}

@test "wait says on a terminal how long it has waited, and -q does not" {
	[[ $(typed "$vmctl wait vm1 --timeout 3.5") = *'waiting for the agent, 1 s'* ]]
	[[ $(typed "$vmctl wait vm1 --timeout 0.3 -q") != *waiting* ]]
}
