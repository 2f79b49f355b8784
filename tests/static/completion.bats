#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The completions of the three shells: installed where each looks, and run in each.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
export O=${O:-$top/build}
scripts=$top/packaging/completion

setup_file() { cd "$top" && make --no-print-directory "$O/vmctl"; }

setup() {
	O=$(cd "$top" && readlink -f "$O")
	export VMCTL_RUN_DIR=$BATS_TEST_TMPDIR/registry
	mkdir -p "$VMCTL_RUN_DIR"/{web1,web2,db}
	cd "$BATS_TEST_TMPDIR"
	touch qmp.one 'qmp two'
	PATH=$O:$PATH
}

expect() { # expect WANTED GOT
	[ "$1" = "$2" ] || {
		echo "wanted: $1"
		echo "   got: $2"
		return 1
	}
}

# What bash would put there, with commas between.
in_bash() { # in_bash LINE
	bash -c '. "$1"; COMP_LINE=$2 COMP_POINT=${#2}; _vmctl; IFS=,; echo "${COMPREPLY[*]}"' \
		- "$scripts/vmctl.bash" "$1"
}

@test "bash: verbs, options, VMs and files" {
	expect 'net,nc' "$(in_bash 'vmctl n')"
	expect 'stats,list' "$(in_bash 'vmctl vsock ')"
	expect '--count' "$(in_bash 'vmctl ping --c')"
	expect 'db,web1,web2' "$(in_bash 'vmctl ping ')"
	expect 'web1,web2' "$(in_bash 'vmctl ping --count 3 w')"
	expect 'web1,db' "$(in_bash 'vmctl ping --vm web1,d')"
	expect 'agent' "$(in_bash 'vmctl wait --for=a')"
	expect 'qmp two,qmp.one' "$(in_bash 'vmctl hotplug-cpu db --qmp q' | tr , '\n' | sort | paste -sd,)"
	expect 'qmp two,qmp.one' "$(in_bash 'vmctl hotplug-cpu db --qmp=q' | tr , '\n' | sort | paste -sd,)"
	expect 'db:' "$(in_bash 'vmctl cp d')"
	expect 'qmp two,qmp.one' "$(in_bash 'vmctl cp db:/x q' | tr , '\n' | sort | paste -sd,)"
	expect 'qmp two,qmp.one,registry,web1:,web2:' \
		"$(rmdir registry/db && in_bash 'vmctl cp ' | tr , '\n' | sort | paste -sd,)"
	mkdir registry/db
	expect '' "$(in_bash 'vmctl cp db:q')"
	expect '' "$(in_bash 'vmctl no-such-verb ')"
	# Bash cuts words at ":"; an address is one operand.
	expect 'virtio' "$(in_bash 'vmctl ping unix:/x ')virtio"
}

@test "bash: the function is registered, and completes in an interactive shell" {
	bash -c '. "$1"; complete -p vmctl' - "$scripts/vmctl.bash" | grep -qx 'complete -F _vmctl vmctl'
	# The tab is typed; what the shell makes of the line is run.
	printf '. "%s"\nvmctl hotplug-c\t--he\t\nexit\n' "$scripts/vmctl.bash" |
		script -qec 'bash --norc --noprofile -i' /dev/null >typed 2>&1 || true
	grep -q 'usage: vmctl hotplug-cpu' typed || {
		cat -v typed
		return 1
	}
}

@test "fish: verbs, options, VMs and files" {
	in_fish() { HOME=$PWD fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
		"$scripts/vmctl.fish" "$1" | cut -f 1 | paste -sd,; }
	fish --no-execute "$scripts/vmctl.fish"
	expect 'nc,net' "$(in_fish 'vmctl n')"
	expect '--count' "$(in_fish 'vmctl ping --c')"
	expect 'db,web1,web2' "$(in_fish 'vmctl ping ')"
	expect 'web1,db' "$(in_fish 'vmctl ping --vm web1,d')"
	expect '--for=agent' "$(in_fish 'vmctl wait --for=a')"
	expect 'qmp two,qmp.one' "$(in_fish 'vmctl hotplug-cpu db --qmp q')"
	expect 'db:' "$(in_fish 'vmctl cp d')"
	expect 'qmp two,qmp.one' "$(in_fish 'vmctl cp db:/x q')"
}

@test "zsh: verbs, options, VMs and files" {
	# What zsh's own functions would be given.
	cat >ask <<-'END'
		_call_program() { shift; eval "$@" }
		_describe() { print -rl -- ${(P)2} }
		compset() { true }
		_files() { print files }
		words=(${(s: :)2}) CURRENT=$#words
		[[ $2 != *' ' ]] || { words+=(''); CURRENT=$#words }
		script=$1
		set --
		source $script
	END
	in_zsh() { zsh -f ask "$scripts/_vmctl" "$1" | sed 's/:.*//' | paste -sd,; }
	zsh -n "$scripts/_vmctl"
	expect '#compdef vmctl' "$(head -n 1 "$scripts/_vmctl")"
	expect 'net,nc' "$(in_zsh 'vmctl n')"
	expect '--count' "$(in_zsh 'vmctl ping --c')"
	expect 'db,web1,web2' "$(in_zsh 'vmctl ping ')"
	expect 'web1,db' "$(in_zsh 'vmctl ping --vm web1,d')"
	expect 'files' "$(in_zsh 'vmctl hotplug-cpu db --qmp q')"
	expect 'db\,files' "$(in_zsh 'vmctl cp d')"
	expect '' "$(in_zsh 'vmctl cp db:/e')"
}

@test "make install puts them where the shells look" {
	make -C "$top" --no-print-directory install O="$O" DESTDIR="$PWD/dest" PREFIX=/usr >/dev/null
	cmp "$scripts/vmctl.bash" dest/usr/share/bash-completion/completions/vmctl
	cmp "$scripts/_vmctl" dest/usr/share/zsh/site-functions/_vmctl
	cmp "$scripts/vmctl.fish" dest/usr/share/fish/vendor_completions.d/vmctl.fish
}
