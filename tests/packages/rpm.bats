#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The RPMs of packaging/make-rpm in a Debian 12 with rpm, DKMS and the headers of its stock
# kernel: rpm installs, upgrades and removes them, and runs their scriptlets. No Fedora is
# to be had of a Debian mirror: that its own macros and dependencies fit is not shown here.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
built=$(readlink -f "${O:-$top/build}")/packages/rpm
version=$(cat "$top/VERSION")
root=$BATS_FILE_TMPDIR/root
load common

packages=(vmctl vmctl-agent upcall-dkms)

test_root() {
	local programs=rpm,dkms,systemd,kmod,openssl,linux-headers-amd64
	local libraries=libprotobuf-c1,libjansson4,libmd0,libseccomp2,libnl-3-200,libnl-genl-3-200
	local needs=$programs,$libraries,libnl-route-3-200
	# shellcheck disable=SC2016 # for mmdebstrap's own shell
	kept_root test-root-rpm "$needs" bookworm --variant=apt --include="$needs" \
		--customize-hook='chroot "$1" depmod "$(ls "$1/lib/modules")"'
}

# rpm knows nothing of what Debian has installed, and has a PATH of its own for scriptlets.
rpm() {
	there rpm --define "_install_script_path $path" "$@"
}

# What stays without packages is their database.
rest() { files | grep -v '^\./[a-z]*/\.rpmdb'; }
left() { # left: what is there beside what was there before
	local file
	while read -r file; do
		# Fedora's directories are others' packages'.
		[ -d "$root/$file" ] && [ ! -L "$root/$file" ] && [[ $file != */upcall* ]] || echo "$file"
	done < <(rest | comm -13 "$BATS_FILE_TMPDIR/before" -)
	rest | comm -23 "$BATS_FILE_TMPDIR/before" - | sed 's/^/gone: /'
}

# The programs of the packages that are installed, and words that make take them for new.
programs() { # programs FOLDER
	mkdir "$1"
	cp "$root"/usr/{bin/vmctl,sbin/vsockd,sbin/vmctl-agent} "$1"
}
taken_for_new() { printf "O=$1 -o $1/%s " vmctl vsockd vmctl-agent; } # taken_for_new FOLDER

# The RPMs of another VERSION and Release, of which the module tells. Programs are not
# compiled again.
other() { # other VERSION RELEASE
	local tree=$BATS_FILE_TMPDIR/source-$1-$2
	git clone -q "$top" "$tree"
	echo "$1" >"$tree/VERSION"
	programs "$tree/made"
	sed -i "s/^\(Version: *\).*/\1$1/; s/^\(Release: *\)1/\1$2/; s,^%make_install,& $(taken_for_new made),
		s/^%make_build.*/:/; /^%check/,/^done/d; s/ - $version-1$/ - $1-$2/" "$tree/packaging/rpm/vmctl.spec"
	sed -i "s/^MODULE_DESCRIPTION(\"/&of $1-$2: /" "$tree/kmod-upcall/main.c"
	git -C "$tree" add -A
	git -C "$tree" -c user.name=test -c user.email=test@localhost commit -qm "$1-$2"
	O=$tree/build "$tree/packaging/make-rpm"
	as_root cp "$tree"/build/packages/rpm/*.rpm "$root/repository"
}

setup_file() {
	local archive
	compgen -G "$built/vmctl-$version-*.rpm" >/dev/null || die "run packaging/make-rpm first"
	archive=$(test_root)
	unpack_root "$archive" "$root"
	as_if_running
	# As Fedora has it.
	mkdir -p "$root/etc/systemd/system-preset" "$root/repository"
	echo 'disable *' >"$root/etc/systemd/system-preset/99-default-disable.preset"
	cp "$built"/*.rpm "$root/repository"
	rest >"$BATS_FILE_TMPDIR/before"
}

teardown_file() { as_root rm -rf "$root"; }

setup() {
	kernel=$(ls "$root/lib/modules")
	rm -f "$root/calls"
}

of() { # of VERSION-RELEASE: the three, for rpm
	local package
	for package in "${packages[@]}"; do
		(cd "$root" && ls "repository/$package-$1".*.rpm | grep -v src.rpm)
	done
}

wants=etc/systemd/system/multi-user.target.wants

@test "where the preset says nothing of it the agent is not enabled; and nothing of it stays" {
	rpm -i --nodeps "$(of "$version-1" | grep agent)"
	[ -x "$root/usr/sbin/vmctl-agent" ]
	[ ! -e "$root/$wants/vmctl-agent.service" ]
	rpm -e vmctl-agent
	[ -z "$(left)" ] || { left; return 1; }
}

@test "rpm installs the packages, and the preset enables what it names" {
	echo 'enable vmctl-agent.service' >"$root/etc/systemd/system-preset/50-test.preset"
	mapfile -t rpms < <(of "$version-1")
	rpm -i --nodeps "${rpms[@]}"
	for program in vmctl vsockd vmctl-agent; do
		[[ $(there $program --version) == *$version* ]]
		[ -e "$root"/usr/share/man/man[18]/$program.[18].gz ]
	done
	[ -L "$root/$wants/vmctl-agent.service" ]
	there getent group vmctl
	grep -q '^modprobe .*upcall' "$root/calls"
	if grep -E 'start|stop|rmmod' "$root/calls"; then return 1; fi
}

@test "all that make install has is in the packages, and documents and licences beside it" {
	programs "$BATS_TEST_TMPDIR/programs"
	# shellcheck disable=SC2046 # words
	make -C "$top" --no-print-directory install \
		$(taken_for_new "$BATS_TEST_TMPDIR/programs") DESTDIR="$BATS_TEST_TMPDIR/dest" PREFIX=/usr \
		DOCDIR=/usr/share/doc/vmctl-agent UNITDIR=/usr/lib/systemd/system >/dev/null
	(cd "$BATS_TEST_TMPDIR/dest" && find . -type f) | sed 's,^\.,,; s,/man./.*,&.gz,' | sort >"$BATS_TEST_TMPDIR/made"
	for file in $(rpm -ql "${packages[@]}"); do
		[ -d "$root/$file" ] && [ ! -L "$root/$file" ] || echo "$file"
	done | sort -u | grep -vE '^/usr/(lib/\.build-id|share/licenses)/|\.md$' >"$BATS_TEST_TMPDIR/packaged"
	diff "$BATS_TEST_TMPDIR/made" "$BATS_TEST_TMPDIR/packaged"
	[ "$(rpm -q --configfiles "${packages[@]}")" = /etc/vmctl/agent-policy.conf ]
	rpm -V --nodeps "${packages[@]}"
}

@test "DKMS builds the module for the stock kernel, signed with its key" {
	[[ $(there dkms status upcall) == *"upcall/$version, $kernel, x86_64: installed"* ]]
	[ "$(there modinfo -k "$kernel" -F version upcall)" = "$version" ]
	signed
}

@test "an upgrade to another release of the same version restarts what runs, and builds anew" {
	other "$version" 2
	echo '#changed' >>"$root/etc/vmctl/agent-policy.conf"
	echo CID=3 >"$root/etc/vmctl/vm1.conf"
	mapfile -t rpms < <(of "$version-2")
	rpm -U --nodeps "${rpms[@]}"
	grep -qx '#changed' "$root/etc/vmctl/agent-policy.conf"
	# No machine's sockets are closed, and the module stays.
	grep -q '^systemctl try-restart vsockd@\*.service' "$root/calls"
	grep -q '^systemctl try-restart vmctl-agent.service' "$root/calls"
	if grep -E 'stop|rmmod|disable' "$root/calls"; then return 1; fi
	[ -L "$root/$wants/vmctl-agent.service" ]
	[ "$(there dkms status upcall | wc -l)" -eq 1 ]
	[[ $(there modinfo -k "$kernel" -F description upcall) == "of $version-2: "* ]]
	signed
}

@test "so does one to another version, and the agent outlives one that it runs itself" {
	other 99.1 1
	# As /proc/self/cgroup would have it.
	printf '#!/bin/sh\ncase "$*" in *vmctl-agent*cgroup) exit 0 ;; esac\nexec /bin/grep "$@"\n' \
		>"$root/usr/local/sbin/grep"
	chmod +x "$root/usr/local/sbin/grep"
	mapfile -t rpms < <(of 99.1-1)
	run rpm -U --nodeps "${rpms[@]}"
	rm "$root/usr/local/sbin/grep"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *'vmctl-agent runs this upgrade'* ]]
	grep -q '^systemctl try-restart vsockd@\*.service' "$root/calls"
	if grep -E 'stop|rmmod|disable|vmctl-agent' "$root/calls"; then return 1; fi
	[[ $(there dkms status) == "upcall/99.1, $kernel, x86_64: installed"* ]]
	[ "$(there modinfo -k "$kernel" -F version upcall)" = 99.1 ]
	[ ! -e "$root/usr/src/upcall-$version" ]
}

@test "removal stops all of it, and leaves no file but configuration" {
	mkdir -p "$root/run/vmctl/vm1"
	there systemctl enable vsockd@vm1.service
	[ -L "$root/$wants/vsockd@vm1.service" ]
	rpm -e "${packages[@]}"
	grep -qx 'systemctl stop vsockd@\*.service vsockd@\*.socket' "$root/calls"
	grep -qx 'systemctl stop vmctl-agent.service' "$root/calls"
	grep -qx 'rmmod upcall' "$root/calls"
	[ ! -e "$root/run/vmctl" ]
	left
	[ "$(left)" = './etc/systemd/system-preset/50-test.preset
./etc/vmctl/agent-policy.conf.rpmsave
./etc/vmctl/vm1.conf' ]
	[ -z "$(there dkms status)" ]
}
