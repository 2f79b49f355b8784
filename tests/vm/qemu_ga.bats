#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docs/coming-from-qemu-ga.md: each command of its table, as it stands there, in the
# order of the table. What would end the guest is a dry run: power.bats does it.

load common

setup_file() {
	boot --max-cpus 2
	export VMCTL_TEST_GUEST=guest
	vmctl hotplug-cpu guest --to 2
}
teardown_file() { halt; }
teardown() { vm check guest; }

page=$BATS_TEST_DIRNAME/../../docs/coming-from-qemu-ga.md

# The commands of the right column, a line each.
commands() {
	sed -n '/^| qemu-ga | vmctl |/,/^$/p' "$page" | tail -n +3 | sed 's/ *|$//' |
		sed 's/\\|/\x01/g; s/^|[^|]*|//' | grep -o '`[^`]*vmctl [^`]*`' | tr -d '`' | tr '\001' '|'
}

@test "every command of qemu-ga that Linux guests have is in the table" {
	for name in sync sync-delimited ping get-time set-time info shutdown \
		file-open file-close file-read file-write file-seek file-flush \
		fsfreeze-status fsfreeze-freeze fsfreeze-freeze-list fsfreeze-thaw fstrim \
		suspend-disk suspend-ram suspend-hybrid network-get-interfaces \
		network-get-route get-vcpus set-vcpus get-disks get-fsinfo set-user-password \
		get-memory-blocks set-memory-blocks get-memory-block-info exec-status exec \
		get-host-name get-users get-timezone get-osinfo get-devices \
		ssh-get-authorized-keys ssh-add-authorized-keys ssh-remove-authorized-keys \
		get-diskstats get-cpustats get-load; do
		grep -q "^|[^|]*\`$name\`[^|]*|" "$page" || { echo "$name"; return 1; }
	done
}

@test "every command on the right does what it says" {
	cd "$BATS_TEST_TMPDIR"
	echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9Zf7wRZ8H4DGcE4jTn3xR2qU6B9nGkY9m9hQ4v5J2A me' >key.pub
	guest 'mkdir -p /root /tmp /etc
		test -s /etc/os-release || echo ID=test >/etc/os-release
		test -s /etc/passwd || echo root:x:0:0::/root:/bin/sh >/etc/passwd
		# busybox has none: what counts is that it gets its input.
		printf "#!/bin/sh\ncat >/tmp/passwords\n" >/bin/chpasswd; chmod 755 /bin/chpasswd'
	commands >list
	test "$(wc -l <list)" -gt 35
	while read -r command; do
		case $command in
		*hibernate*) continue ;; # for guests with systemd
		'vmctl shutdown'* | 'vmctl reboot'* | 'vmctl suspend'*) command+=' --dry-run' ;;
		# Nothing of an initramfs can be frozen or has blocks to give back.
		'vmctl freeze vm1 --thaw'* | 'vmctl thaw'* | 'vmctl trim'*) command+=' --dry-run' ;;
		esac
		command=${command//vm1/guest}
		run bash -c "$command" </dev/null
		[ "$status" -eq 0 ] || { echo "$command: $status: $output"; return 1; }
	done <list
	# Some that left something behind, or were to.
	expect_match "^Linux version $(kernel_release | sed 's/[.+]/[&]/g')" "$(cat version)"
	expect "$(cat version)" "$(guest 'cat /tmp/version')"
	expect root:secret "$(guest 'cat /tmp/passwords')"
	run guest 'cd /root && cat .ssh/authorized_keys'
	expect '' "$output"
}
