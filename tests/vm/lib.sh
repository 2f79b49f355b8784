# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts of tests/vm share: messages, the cache, and an apt that
# reads Debian 12's archive from the machine's own mirror without changing the
# machine's configuration. Sourced, never run.

PATH=$PATH:/usr/sbin:/sbin # depmod, on a user's PATH too

note() { echo "$(basename "$0"): $*" >&2; }
die() {
	note "$@"
	exit 1
}

# Downloads live here, outside the tree, shared by every checkout.
cache_dir() { echo "${VMCTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl}"; }
kernel_dir() { echo "$(cache_dir)/kernel-$1"; }

# Prints the machine's mirror for a label of Debian's ("Debian",
# "Debian-Security"), as its own apt sources name it.
mirror() {
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label { print $3; exit }'
}

private_apt_options() {
	local dir
	dir=$(cache_dir)/apt
	echo "-oDir::Etc::sourcelist=$dir/sources.list"
	echo "-oDir::Etc::sourceparts=/dev/null"
	echo "-oDir::Etc::preferences=/dev/null"
	echo "-oDir::Etc::preferencesparts=/dev/null"
	echo "-oDir::State::lists=$dir/lists"
	echo "-oDir::Cache=$dir/cache"
	echo "-oAPT::Sandbox::User=root"
	echo "-oAcquire::Languages=none"
}

private_apt_get() {
	local options
	mapfile -t options < <(private_apt_options)
	apt-get "${options[@]}" "$@"
}

private_apt_cache() {
	local options
	mapfile -t options < <(private_apt_options)
	apt-cache "${options[@]}" "$@"
}

# Reads the lists of Debian 12 and its backports, once a run.
private_apt_update() {
	local dir main security suite
	[ -n "${private_apt_updated:-}" ] && return 0
	dir=$(cache_dir)/apt
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	main=$(mirror Debian)
	[ -n "$main" ] || die "apt knows no Debian mirror; run apt-get update first"
	security=$(mirror Debian-Security)
	security=${security:-${main%/debian*}/debian-security/}
	{
		for suite in bookworm bookworm-updates bookworm-backports; do
			echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $main $suite main"
		done
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $security bookworm-security main"
	} >"$dir/sources.list"
	private_apt_get update -qq
	private_apt_updated=yes
}
