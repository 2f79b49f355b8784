#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is packaged for Kata Containers, as far as it needs no guest. The kernel itself is
# built and booted by tests/check-kata.

top=$(readlink -f "$BATS_TEST_DIRNAME/../..")
export O=${O:-$top/build}

load ../vm/common

setup() { cd "$BATS_TEST_TMPDIR" || return; }

# A kernel's source, as far as the patch and into-tree look at it. What is behind the
# heads of its files differs between kernels.
kernel_tree() { # kernel_tree DIRECTORY FIRST-OPTION
	mkdir -p "$1/drivers/misc"
	sed -n '/^cat >"$misc\/Kconfig"/,/^END/p' "$top/packaging/kata/make-kernel-patch" |
		sed '1d; $d' >"$1/drivers/misc/Kconfig"
	printf 'config %s\n\ttristate\n\nendmenu\n' "$2" >>"$1/drivers/misc/Kconfig"
	sed -n '/^cat >"$misc\/Makefile"/,/^END/p' "$top/packaging/kata/make-kernel-patch" |
		sed '1d; $d' >"$1/drivers/misc/Makefile"
	printf 'obj-$(CONFIG_%s)\t\t+= a.o\n\n#\n\nobj-y\t\t+= b.o\n' "$2" >>"$1/drivers/misc/Makefile"
}

@test "the kernel patch is the same each time, and applies to what into-tree makes" {
	"$top/packaging/kata/make-kernel-patch" one
	"$top/packaging/kata/make-kernel-patch" two fragments
	cmp one/0001-upcall.patch two/0001-upcall.patch
	cmp one/upcall.conf fragments/upcall.conf
	expect 0001-upcall.patch "$(ls two)"
	for option in SENSORS_LIS3LV02D VENDOR; do
		rm -rf patched by-git into
		for tree in patched by-git into; do kernel_tree $tree $option; done
		patch --fuzz=0 -d patched -p1 <one/0001-upcall.patch
		(cd by-git && git apply ../one/0001-upcall.patch)
		"$top/kmod-upcall/into-tree" into
		diff -r patched into
		diff -r by-git into
		expect 1 "$(grep -c upcall into/drivers/misc/Kconfig)"
		expect 1 "$(grep -c upcall into/drivers/misc/Makefile)"
		"$top/kmod-upcall/into-tree" into # again, and nothing more
		diff -r patched into
	done
}

# What osbuilder's rootfs.sh leaves, as far as add-to-rootfs looks at it: the C library
# and what kata-agent's installation brings.
root_file_system() { # root_file_system DIRECTORY
	mkdir -p "$1/usr/lib/systemd/system" "$1/lib64"
	printf '[Unit]\nDescription=Kata\n' >"$1/usr/lib/systemd/system/kata-containers.target"
	ldd "$O/vmctl-agent" | grep -o '/[^ ]*/\(libc\.so\|ld-linux\)[^ ]*' | while read -r file; do
		install -D "$file" "$1$file"
	done
}

@test "the agent is added to a root file system: program, libraries, unit, policy" {
	root_file_system root
	"$top/packaging/kata/add-to-rootfs" root
	expect 'allow vmctl.agent.v1.GuestAgent/Ping' "$(grep -m1 ^allow root/etc/vmctl/agent-policy.conf)"
	expect '../../../../usr/lib/systemd/system/vmctl-agent.service' \
		"$(realpath -sm --relative-to root/etc/systemd/system/kata-containers.target.wants \
			"root$(readlink root/etc/systemd/system/kata-containers.target.wants/vmctl-agent.service)")"
	expect ExecStart=/usr/sbin/vmctl-agent "$(grep ^ExecStart= root/usr/lib/systemd/system/vmctl-agent.service)"
	test -n "$(find root -name 'libprotobuf-c.so*')"
	expect 1 "$(find root -name 'libc.so*' | wc -l)"
	# Again, with a policy of one's own and Kata's calls on a port of their own.
	echo 'deny *' >policy
	"$top/packaging/kata/add-to-rootfs" --policy policy --kata=vsock:230 root
	cmp policy root/etc/vmctl/agent-policy.conf
	expect 'ExecStart=/usr/sbin/vmctl-agent --kata=vsock:230' \
		"$(grep ^ExecStart= root/usr/lib/systemd/system/vmctl-agent.service)"
	[ "$(id -u)" -ne 0 ] || chroot root /usr/sbin/vmctl-agent --kata=vsock:230 --version
	expect enabled "$(systemctl --root=root is-enabled vmctl-agent.service)"
}

@test "a root file system that the agent cannot go to is refused, and left alone" {
	mkdir root
	run "$top/packaging/kata/add-to-rootfs" root
	[ "$status" -eq 1 ]
	expect_match 'no kata-containers.target' "$output"
	expect '' "$(ls root)"
	root_file_system root
	run "$top/packaging/kata/add-to-rootfs" --policy none root
	expect_match "no policy 'none'" "$output"
	find root -name 'libc.so*' -delete
	before=$(find root)
	run "$top/packaging/kata/add-to-rootfs" root
	[ "$status" -eq 1 ]
	expect_match 'another C library' "$output"
	expect "$before" "$(find root)"
}

@test "the policy for Kata guests is one, and its patterns match calls" {
	timeout 1 "$O/vmctl-agent" --listen unix:sock --policy "$top/packaging/kata/agent-policy.conf" 2>log ||
		[ $? -eq 124 ]
	[[ $(cat log) != *agent-policy.conf* ]] || { cat log; return 1; }
}

# Kata's tree, as far as the steps look at it.
kata_tree() { # kata_tree DIRECTORY
	mkdir -p "$1"/tools/packaging/kernel/{patches/6.18.x,configs/fragments/build-type}/dragonball-experimental \
		"$1"/tools/osbuilder/{rootfs,image}-builder
	touch "$1"/tools/packaging/kernel/patches/6.18.x/dragonball-experimental/000{1..8}-x.patch
	echo CONFIG_DRAGONBALL_UPCALL_SRV=y \
		>"$1/tools/packaging/kernel/configs/fragments/build-type/dragonball-experimental/upcall.conf"
	{
		echo '#!/bin/bash'
		declare -f root_file_system
		echo 'root_file_system "$2"' # of -r DIRECTORY
	} >"$1/tools/osbuilder/rootfs-builder/rootfs.sh"
	printf '#!/bin/sh\ntar -cf "$2" -C "$3" .\n' >"$1/tools/osbuilder/image-builder/image_builder.sh"
	chmod +x "$1"/tools/osbuilder/*/*.sh
}

# A block as it stands, below a directory of its own instead of / and without sudo.
run_step() { # run_step BLOCK
	mkdir -p bin here
	printf '#!/bin/sh\n[ "$1" != -E ] || shift\nexec env "$@"\n' >bin/sudo
	chmod +x bin/sudo
	(cd here && VMCTL=$top KATA=$BATS_TEST_TMPDIR/kata-containers PATH=$BATS_TEST_TMPDIR/bin:$PATH \
		run_block "$(sed "s,\\(^\\| \\)/\\(etc\\|usr\\)/,\\1$BATS_TEST_TMPDIR/dest/\\2/,
			s,\$VMCTL/build,$O," <<<"$1")")
}

@test "kata.md: the kernel's steps put patch and fragment where Kata has its own" {
	kata_tree kata-containers
	run_step "$(doc_block docs/kata.md 'rm patches/6.18.x')"
	kernel=kata-containers/tools/packaging/kernel
	expect 0001-upcall.patch "$(ls $kernel/patches/6.18.x/dragonball-experimental)"
	expect upcall.conf "$(ls $kernel/configs/fragments/build-type/dragonball-experimental)"
	expect CONFIG_UPCALL=y "$(grep -v '^#' $kernel/configs/fragments/build-type/dragonball-experimental/upcall.conf)"
}

@test "kata.md: the image's steps put the agent into the image" {
	kata_tree kata-containers
	run_step "$(doc_block docs/kata.md 'packaging/kata/add-to-rootfs')"
	tar -tf dest/usr/share/kata-containers/kata-containers-upcall.img >list
	grep -qx ./usr/sbin/vmctl-agent list
	grep -qx ./etc/systemd/system/kata-containers.target.wants/vmctl-agent.service list
}

@test "kata.md: the runtime's settings are TOML, and name what the steps have made" {
	settings=kata-containers/runtime-rs
	mkdir -p dest/usr/share/defaults/$settings
	echo 'hypervisor_name = "dragonball"' >dest/usr/share/defaults/$settings/configuration.toml
	run_step "$(doc_block docs/kata.md 'packaging/kata/dragonball.toml')"
	diff dest/{usr/share/defaults,etc}/$settings/configuration.toml
	python3 - dest/etc/kata-containers/runtime-rs/config.d/50-upcall.toml "$top/packaging/kata/qemu.toml" <<-'END'
		import sys, tomllib
		for path in sys.argv[1:]:
		    with open(path, "rb") as file:
		        settings = tomllib.load(file)
		    assert settings["runtime"]["static_sandbox_resource_mgmt"] is False
		    [(name, hypervisor)] = settings["hypervisor"].items()
		    assert hypervisor["default_maxvcpus"] > hypervisor["default_vcpus"]
		    for made in hypervisor["kernel"], hypervisor["image"]:
		        assert made.startswith("/usr/share/kata-containers/"), made
	END
	grep -q /usr/share/kata-containers/kata-containers-upcall.img "$top/docs/kata.md"
}
