# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts of tests/vm share: messages, the cache, and an apt that
# reads Debian's archive from the machine's own mirror without changing the
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

# What a kernel for the test guests has beyond allnoconfig: debug.config, without what
# makes it slow.
guest_config() { # guest_config DEBUG-CONFIG
	sed '/^# what checks it/,$d' "$1" | grep '^CONFIG_'
	printf 'CONFIG_%s=y\n' EXPERT KALLSYMS BUG
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Installs what only some targets need, when they need it.
need_packages() { # need_packages PACKAGE...
	local package missing=()
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	note "installing ${missing[*]}"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Prints the machine's mirror for a label of Debian's ("Debian",
# "Debian-Security"), as its own apt sources name it.
mirror() {
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label { print $3; exit }'
}

# What the private apt reads: Debian 12 and its backports, or wherever a newer
# kernel may be found.
private_apt=bookworm
private_apt_suites() {
	case $private_apt in
	bookworm) echo bookworm bookworm-updates bookworm-backports ;;
	newest) echo trixie trixie-backports sid ;;
	esac
}

private_apt_dir() {
	if [ $private_apt = bookworm ]; then
		echo "$(cache_dir)/apt"
	else
		echo "$(cache_dir)/apt-$private_apt"
	fi
}

private_apt_options() {
	local dir
	dir=$(private_apt_dir)
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

# Reads the lists, once a run.
private_apt_update() {
	local dir main security suite
	[ "${private_apt_updated:-}" = $private_apt ] && return 0
	dir=$(private_apt_dir)
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	main=$(mirror Debian)
	[ -n "$main" ] || die "apt knows no Debian mirror; run apt-get update first"
	security=$(mirror Debian-Security)
	security=${security:-${main%/debian*}/debian-security/}
	{
		for suite in $(private_apt_suites); do
			echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $main $suite main"
		done
		[ $private_apt != bookworm ] ||
			echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $security bookworm-security main"
	} >"$dir/sources.list"
	private_apt_get update -qq || return
	private_apt_updated=$private_apt
}

# The Debians that there are packages for, by their release.
codenames=([12]=bookworm [13]=trixie)
codename_of() { # codename_of RELEASE
	[ -n "${codenames[$1]-}" ] || die "Debian ${!codenames[*]} are known, not $1"
	echo "${codenames[$1]}"
}

# Makes a Debian of the machine's mirror: of the first of the suites, and apt there has
# the others too.
make_root() { # make_root "SUITE..." TARGET [mmdebstrap option...]
	local suites=$1 target=$2 main
	shift 2
	need_packages mmdebstrap
	main=$(mirror Debian)
	[ -n "$main" ] || die "apt knows no Debian mirror; run apt-get update first"
	# shellcheck disable=SC2086 # words
	printf "deb $main %s main\n" $suites |
		as_root mmdebstrap --quiet --aptopt='APT::Install-Recommends "false"' "$@" \
			"${suites%% *}" "$target" -
}

# One that is kept in the cache, and made anew when what it is made of has changed.
# Prints its archive's path.
kept_root() { # kept_root NAME WHAT-IT-IS-MADE-OF SUITE [mmdebstrap option...]
	local name=$1 made_of=$2 archive
	shift 2
	archive=$(cache_dir)/$name.tar.zst
	if [ ! -e "$archive" ] || [ "$(cat "$archive.of" 2>/dev/null)" != "$made_of" ]; then
		note "making $archive"
		mkdir -p "$(cache_dir)"
		need_packages zstd
		rm -f "$archive.of"
		make_root "$1" "$archive.part.tar.zst" "${@:2}" || return
		mv -f "$archive.part.tar.zst" "$archive"
		echo "$made_of" >"$archive.of"
	fi
	echo "$archive"
}

# One with what the packages' build needs, and the programs that are named.
build_root() { # build_root NAME SUITE PROGRAM,...
	local control
	control=$(dirname "${BASH_SOURCE[0]}")/../../packaging/debian/control
	# shellcheck disable=SC2016 # for mmdebstrap's own shell
	kept_root "$1" "$3 $(sed '/^$/q' "$control")" "$2" --variant=buildd --include="$3" \
		--customize-hook='mkdir -p "$1/tmp/source/debian"' \
		--customize-hook="copy-in $control /tmp/source/debian" \
		--customize-hook='chroot "$1" apt-get build-dep --yes -qq /tmp/source >/dev/null' \
		--customize-hook='rm -r "$1/tmp/source"'
}

unpack_root() { # unpack_root ARCHIVE FOLDER
	as_root mkdir "$2"
	as_root tar -C "$2" --zstd -xpf "$1"
}

# Runs a command in such a Debian, with a /proc. It sees nothing of this machine but its
# kernel, of which it can change nothing: no processes, no network, none of its files.
inside() { # inside ROOT COMMAND...
	local root=$1
	shift
	as_root setpriv --bounding-set=-sys_module,-sys_boot,-sys_time,-sys_rawio \
		unshare --mount --pid --net --ipc --uts --fork --root="$root" --mount-proc "$@"
}
