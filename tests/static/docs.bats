#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the documents say that can be compared without a guest.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
export O=${O:-$top/build}

setup_file() { cd "$top" && make --no-print-directory "$O/vmctl"; }
setup() {
	cd "$top" || return
	mkdir "$BATS_TEST_TMPDIR/docs"
	cp docs/* "$BATS_TEST_TMPDIR/docs"
}

@test "the members of --json and the verbs are those of vmctl(1)" {
	tests/static/check-json "$O"
}

@test "a member that is in one of them alone is found, and one that only a guest shows" {
	doctored() { # doctored SED-SCRIPT WORDS
		sed "$1" docs/vmctl.1 >"$BATS_TEST_TMPDIR/docs/vmctl.1"
		run tests/static/check-json "$O" "$BATS_TEST_TMPDIR/docs"
		[ "$status" -eq 1 ]
		[[ $output == *"$2"* ]] || { echo "$1: $output"; return 1; }
	}
	doctored 's/ resumed_bytes / /; s/^\.Cm resumed_bytes/.Cm bytes/' 'resumed_bytes: in the sources, not in'
	doctored 's/^\.Cm resumed_bytes/.Cm taken_bytes/' 'cp: taken_bytes: in the section JSON, not in'
	doctored 's/^\.It Cm trim/.It Cm thaw/' 'trim: a verb that the section JSON has nothing of'
	object='{"schema":1,"verb":"df","vm":"v","ok":true,"exit_code":0,"status":"ok","filesystems":[{"name":1}],"steps":[],"ms":1.0}'
	tests/static/check-json --objects df <<<"${object/name/source}"
	run tests/static/check-json --objects df <<<"${object/name/colour}"
	[ "$status:$output" = '1:df: colour: printed, not in the section JSON' ]
}
