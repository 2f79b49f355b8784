#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The packages of packaging/make-deb in a Debian of their release, $RELEASE, with the
# headers of its stock kernel: apt installs, upgrades, removes and purges them. Nothing
# runs there, so what would be asked of the service manager and of the kernel is noted.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
RELEASE=${RELEASE:-12}
built=$(readlink -f "${O:-$top/build}")/packages/debian-$RELEASE
version=$(cat "$top/VERSION")
debs=("$built"/{vmctl,vmctl-agent,upcall-dkms}_*.deb)
root=$BATS_FILE_TMPDIR/root
load common

# All that ours need of others is there, and depmod has been.
test_root() {
	local needs
	needs=$(for deb in "${debs[@]}"; do dpkg-deb -f "$deb" Depends; done |
		sed '/^$/d' | sort -u | paste -sd,)
	kept_root "test-root-$RELEASE" "$needs" "$(codename_of "$RELEASE")" --variant=apt \
		--include=linux-headers-amd64 \
		--customize-hook="chroot \"\$1\" apt-get satisfy --yes -qq '$needs' >/dev/null" \
		--customize-hook='chroot "$1" depmod "$(ls "$1/lib/modules")" 2>/dev/null'
}

apt() { there apt-get --yes -qq -o=Dpkg::Use-Pty=0 -o=DPkg::Path=$path "$@"; }

# What apt knows is what is in these packages.
offer() { # offer DEB...
	as_root rm -rf "$root/repository"
	as_root mkdir "$root/repository"
	as_root cp "$@" "$root/repository"
	there sh -ec 'cd /repository && dpkg-scanpackages . >Packages'
	apt update
}

# A package as it would be of the release after this one.
next_release() { # next_release DEB FOLDER
	local tree=$BATS_FILE_TMPDIR/next
	rm -rf "$tree"
	dpkg-deb -R "$1" "$tree"
	[ ! -d "$tree/usr/src" ] || mv "$tree"/usr/src/upcall-* "$tree/usr/src/upcall-99.1"
	find "$tree" \( -path '*/DEBIAN/*' -o -path '*/usr/src/*' \) -type f \
		-exec sed -i "s/${version//./\\.}/99.1/g" {} +
	dpkg-deb --root-owner-group -b "$tree" "$2" >/dev/null
}

# Which have come and gone since before there were ours.
changed() { diff "$BATS_FILE_TMPDIR/before" <(files) | grep '^[<>]' | tee /dev/stderr; }

setup_file() {
	local archive deb
	[ -e "${debs[0]}" ] || die "run packaging/make-deb $RELEASE first"
	archive=$(test_root)
	unpack_root "$archive" "$root"
	echo 'deb [trusted=yes] file:/repository ./' >"$root/etc/apt/sources.list"
	rm -rf "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*
	as_if_running
	mkdir "$BATS_FILE_TMPDIR/offered"
	for deb in "${debs[@]}"; do
		next_release "$deb" "$BATS_FILE_TMPDIR/offered"
	done
	files >"$BATS_FILE_TMPDIR/before"
}

teardown_file() { as_root rm -rf "$root"; }

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	kernel=$(ls "$root/lib/modules")
	rm -f "$root/calls"
}

@test "apt installs the packages, and starts what is to run" {
	offer "${debs[@]}"
	apt install vmctl vmctl-agent upcall-dkms
	for program in vmctl vsockd vmctl-agent; do
		[[ $(there $program --version) == *$version* ]]
	done
	# They may come in any order.
	grep -qx 'systemctl .*start vmctl-agent.service' "$root/calls"
	grep -q '^modprobe .*upcall' "$root/calls"
	[ "$(grep -cE '^systemctl .*(start|stop)|^(modprobe|rmmod)' "$root/calls")" -eq 2 ]
	[ -L "$root/etc/systemd/system/multi-user.target.wants/vmctl-agent.service" ]
	there getent group vmctl
	# What the page says to write is where the program is.
	there zgrep -q ExecStart=/usr/sbin/vmctl-agent /usr/share/man/man8/vmctl-agent.8.gz
}

@test "DKMS builds the module for the release's stock kernel, signed with its key" {
	[[ $(there dkms status upcall) == *"upcall/$version, $kernel, x86_64: installed"* ]]
	there modinfo -k "$kernel" upcall
	signed
}

@test "an upgrade restarts what runs, keeps the configuration, and signs with the key it names" {
	echo '#changed' >>"$root/etc/vmctl/agent-policy.conf"
	echo CID=3 >"$root/etc/vmctl/vm1.conf"
	# From here on, DKMS is to sign with a key of the administrator's.
	there openssl req -new -x509 -nodes -days 1 -subj '/CN=key of this test' -newkey rsa:2048 \
		-keyout /etc/test.key -outform DER -out /etc/test.pub
	printf 'mok_signing_key=/etc/test.key\nmok_certificate=/etc/test.pub\n' \
		>"$root/etc/dkms/framework.conf.d/test.conf"
	offer "$BATS_FILE_TMPDIR/offered"/*.deb
	apt upgrade
	[ "$(there dpkg-query -W -f '${Version}\n' vmctl vmctl-agent upcall-dkms | grep -c ^99.1)" -eq 3 ]
	grep -qx '#changed' "$root/etc/vmctl/agent-policy.conf"
	# No machine's sockets are closed, and the module stays.
	grep -q '^systemctl .*try-restart vsockd@\*.service' "$root/calls"
	grep -q '^systemctl .*restart vmctl-agent.service' "$root/calls"
	if grep -E 'stop|rmmod' "$root/calls"; then return 1; fi
	[[ $(there dkms status) == "upcall/99.1, $kernel, x86_64: installed"* ]]
	[ "$(there modinfo -k "$kernel" -F version upcall)" = 99.1 ]
	[ "$(there modinfo -k "$kernel" -F signer upcall)" = 'key of this test' ]
	[ ! -e "$root/usr/src/upcall-$version" ]
	rm "$root/etc/dkms/framework.conf.d/test.conf" "$root/etc"/test.{key,pub}
}

@test "a removal of the module that fails has it built again, and loaded" {
	prerm=$root/var/lib/dpkg/info/upcall-dkms.prerm
	cp "$prerm" prerm
	echo exit 1 >>"$prerm"
	run there dpkg --remove upcall-dkms
	[ "$status" -ne 0 ]
	cp prerm "$prerm"
	[ "$(there dpkg-query -W -f '${db:Status-Status}' upcall-dkms)" = installed ]
	[[ $(there dkms status) == "upcall/99.1, $kernel, x86_64: installed"* ]]
	[ "$(grep -E '^(rmmod|modprobe)' "$root/calls" | xargs)" = 'rmmod upcall modprobe --quiet upcall' ]
}

@test "removal stops all of it, and leaves the configuration alone" {
	mkdir -p "$root/run/vmctl/vm1"
	# As systemctl enable would.
	ln -s /lib/systemd/system/vsockd@.service \
		"$root/etc/systemd/system/multi-user.target.wants/vsockd@vm1.service"
	apt remove vmctl vmctl-agent upcall-dkms
	grep -q '^systemctl .*stop vsockd@\*.service vsockd@\*.socket' "$root/calls"
	grep -q '^systemctl .*stop vmctl-agent.service' "$root/calls"
	grep -qx 'rmmod upcall' "$root/calls"
	[ ! -e "$root/run/vmctl" ]
	# What dpkg and systemd know of packages is the configuration's.
	[ "$(changed | grep -vE '/var/lib/(dpkg/info|systemd/deb-systemd-helper)')" = '> ./etc/systemd/system/multi-user.target.wants/vmctl-agent.service
> ./etc/systemd/system/multi-user.target.wants/vsockd@vm1.service
> ./etc/vmctl
> ./etc/vmctl/agent-policy.conf
> ./etc/vmctl/vm1.conf' ]
}

@test "purge leaves no file but those that nobody installed" {
	apt purge vmctl vmctl-agent upcall-dkms
	[ "$(changed)" = '> ./etc/vmctl
> ./etc/vmctl/vm1.conf' ]
}
