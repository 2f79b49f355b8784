#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the documents say that can be compared without a guest.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
export O=${O:-$top/build}

load ../vm/common

setup_file() { cd "$top" && make --no-print-directory build; }
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

@test "each library that the Makefile links is in dependencies.md" {
	libraries=$(sed -n 's/^AGENT_LIBS := //p; s/.*pkg-config --libs \([^)]*\).*/\1/p' Makefile |
		tr ' ' '\n' | grep '^[a-z]' | sed 's/\.0$//; s/^libprotobuf/protobuf/' | sort -u)
	[[ $libraries == *jansson*libnl-route-3* ]]
	for library in $libraries; do
		grep -q "^|[^|]*\<$library\>" docs/dependencies.md || { echo "no $library"; return 1; }
	done
}

# Settings of vmctl-agent(8) beside its unit: what systemd does not know of them it says.
drop_in() { # drop_in LINES [DROP-IN-BEFORE-IT]
	local dest=$BATS_TEST_TMPDIR/dest unit=$BATS_TEST_TMPDIR/dest/units/vmctl-agent.service said
	[ -n "$1" ] || { echo "no such block"; return 1; }
	rm -rf "$dest"
	make --no-print-directory install DESTDIR="$dest" PREFIX=/usr/local UNITDIR=/units >/dev/null
	mkdir "$unit.d"
	[ -z "${2:-}" ] || cp "$2" "$unit.d/1.conf"
	# What comes on top of the sandbox is in its section.
	{ grep '^\[Service\]' <<<"$1" || echo '[Service]'; cat <<<"$1"; } >"$unit.d/2.conf"
	sed -i "s,^ExecStart=/,ExecStart=$dest/," "$unit" "$unit.d/2.conf"
	said=$(systemd-analyze --man=no verify "$unit" 2>&1) || { echo "$said"; return 1; }
	[[ $said != *vmctl-agent* ]] || { echo "$said"; return 1; }
	# The program knows its options.
	bash -e -c "$(sed -n 's/^ExecStart=\(..*\)/\1 --version/p' "$unit.d/2.conf")"
}

@test "vmctl-agent(8): systemd knows the settings, and the agent the options" {
	drop_in "$(man_block vmctl-agent.8 '/etc/systemd/system/vmctl-agent.service.d/kata.conf')"
	drop_in "$(man_block vmctl-agent.8 '--files-root /srv')"
	drop_in "$(man_block vmctl-agent.8 'service.d/kata-sandbox.conf')" packaging/systemd/vmctl-agent-sandbox.conf
	drop_in "$(man_block vmctl-agent.8 'service.d/files-sandbox.conf')" packaging/systemd/vmctl-agent-sandbox.conf
	drop_in "$(man_block vmctl-agent.8 'PrivateMounts=no')" packaging/systemd/vmctl-agent-sandbox.conf
	# What they would not know is found.
	run drop_in 'PrivateMount=no'
	[ "$status" -eq 1 ] && [[ $output == *PrivateMount* ]]
	run drop_in $'ExecStart=\nExecStart=/usr/local/sbin/vmctl-agent --file-root /srv'
	[ "$status" -ne 0 ] && [[ $output == *--file-root* ]]
}

# Blocks that no test runs: the document, words of it, and why.
not_run='docs/vmctl.1|the guest has no upcall module (port 219 refused)|a message
docs/vmctl-agent.8|systemctl enable --now vmctl-agent|its package does, make check-guest
docs/architecture.md|vmctl  --QMP--> QEMU|a picture
docs/architecture.md|server -> conn -> devmgr|a picture
docs/architecture.md|main -> holder -> vsockd|a picture
docs/architecture.md|main -> agent -> loop|a picture
docs/architecture.md|main -> verbs|a picture
docs/protocol.md|CONNECT 219|bytes, such as upcall.bats sends
docs/kata.md|git clone|a network, and the sources of another project
docs/kata.md|./build-kernel.sh|as that; tests/check-kata does what it does
docs/kata.md|make HYPERVISOR=dragonball|the sources of another project, and of its crates
docs/kata.md|sudo ctr|KVM, containerd and a network
README.md|make demo|they run the tests'

# Which words of which document the tests take blocks by, a line each: "DOCUMENT|WORDS".
claims() {
	grep -ohE "(man_block [a-z.-]+[0-9]|doc_block [A-Za-z./-]+|man_example) ('[^']+'|[A-Za-z]+)" \
		tests/{vm,guest}/*.bats tests/static/{docs,kata}.bats |
		sed "s/^man_block \([^ ]*\)/docs\/\1/; s/^doc_block //; s/^man_example/docs\/vmctl.1/
			s/ /|/; s/'//g"
	sed 's/|[^|]*$//' <<<"$not_run"
}

# Says which blocks below a directory nobody takes, and which words find not just one.
unclaimed() { # unclaimed DIRECTORY
	local document block words claim wrong=0
	local -A found=()
	while read -r claim; do found[$claim]=0; done < <(claims)
	for document in README.md docs/*.md docs/*.[1-9]; do
		while IFS= read -r -d $'\x1e' block; do
			words=
			for claim in "${!found[@]}"; do
				[[ ${claim%%|*} = "$document" && $block == *"${claim#*|}"* ]] || continue
				found[$claim]=$((found[$claim] + 1))
				words=$claim
			done
			[ -n "$words" ] || { wrong=1; echo "$document: no test runs: $block"; }
		done < <(doc_blocks "$1/$document")
	done
	for claim in "${!found[@]}"; do
		[ "${found[$claim]}" -eq 1 ] || { wrong=1; echo "$claim: ${found[$claim]} blocks"; }
	done
	return $wrong
}

@test "each block of the documents is run by a test, or it is said why not" {
	unclaimed .
}

@test "a block that no test runs is found, and a test's that is no more" {
	cp README.md "$BATS_TEST_TMPDIR"
	unclaimed "$BATS_TEST_TMPDIR"
	doctored() { # doctored DOCUMENT SED-SCRIPT WORDS
		sed "$2" "$1" >"$BATS_TEST_TMPDIR/$1"
		run unclaimed "$BATS_TEST_TMPDIR"
		cp "$1" "$BATS_TEST_TMPDIR/$1"
		[ "$status" -eq 1 ]
		[[ $output == *"$3"* ]] || { echo "$2: $output"; return 1; }
	}
	doctored docs/vmctl.1 '/^\.Sh CAVEATS/i .Bd -literal\nvmctl fly vm1\n.Ed' 'docs/vmctl.1: no test runs: vmctl fly vm1'
	doctored docs/vmctl-agent.8 '/^\.Sh SEE ALSO/i .Dl # vmctl-agent --fly' 'docs/vmctl-agent.8: no test runs: # vmctl-agent --fly'
	doctored docs/dependencies.md '$ a \\n```\nmake fly\n```' 'docs/dependencies.md: no test runs: make fly'
	doctored README.md '$ a \\n    make fly' 'README.md: no test runs: make fly'
	doctored docs/vmctl.1 's/vmctl top/&/; s/^vmctl df vm1/vmctl trim vm1/' 'docs/vmctl.1|vmctl df vm1: 0 blocks'
	doctored docs/vsockd.8 '/^\.Sh SEE ALSO/i .Bd -literal\nCONNECT 5000\n.Ed' 'docs/vsockd.8|CONNECT 5000: 2 blocks'
}
