#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The packages in a Debian guest and on a Debian host ($DEBIAN, 12 or 13), both run by
# systemd: the guest in QEMU, without ACPI, the host in namespaces of this machine's. What
# README.md says of packages is what is done here.
#
# Tests build on each other: the guest stays what the one before made of it.

load ../vm/common
bats_require_minimum_version 1.5.0

top=$here/../..
guest=$top/tests/guest
DEBIAN=${DEBIAN:-12}
work=$O/guest/$DEBIAN

host() { "$guest/host" run "$work/host" "$@"; }
# In the guest, past everything under test.
shell() { "$top/tests/vm/guest-shell" "$work/host/share/shell.sock" "${2:-120}" "$1"; }

setup_file() {
	[ "$(id -u)" -eq 0 ] || { echo "it has to be root"; return 1; }
	"$guest/image" guest "$DEBIAN" "$work/guest"
	"$guest/image" host "$DEBIAN" "$work/host"
	mkdir -p "$work/host/share"
	mv "$work/guest"/{disk.img,vmlinuz,initrd.img} "$work/host/share"
	"$guest/host" up "$work/host"
}

teardown_file() {
	"$guest/host" down "$work/host"
	rm -rf "$work"
}

setup() { cd "$BATS_TEST_TMPDIR" || return; }

# The guest's console, when something failed.
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 60 "$work/host/share/console.log" || true
}


# README.md's QEMU in a unit, so that it stays; emulated, which takes slots to spare; with
# its console in a file, and the tests' shell.
start_vm() {
	local ours=(-accel tcg,thread=multi -nodefaults
		-chardev file,id=console,path=console.log,append=on -serial chardev:console
		-chardev socket,id=shell,path=shell.sock,server=on,wait=off -serial chardev:shell)
	{
		echo 'cd /srv/share'
		doc_block README.md 'file=disk.img' |
			sed "s|--max-cpus 4 --memory|--spare 12 &|; s|qemu-system-x86_64|& ${ours[*]}|"
		echo wait
	} >"$work/host/share/start-vm"
	cat "$work/host/share/start-vm"
	host systemd-run --quiet --unit=qemu-vm1 sh -eu /srv/share/start-vm
}

# RUN runs commands in the guest, or on the host.
none_failed() { # none_failed RUN
	run "$1" 'systemctl --failed --no-legend --no-pager'
	echo "$output"
	[ "$status:$output" = 0: ]
}
on_host() { host sh -c "$1"; }

# Of the guest as it is when it has booted: what nobody asked for is there.
is_installed() {
	host vmctl wait vm1 --timeout 300
	# All units are done; none has failed.
	run shell 'systemctl is-system-running --wait' 300
	echo "$output"
	[ "$output" = running ]
	none_failed shell
	# There is nothing left to be done.
	shell "cd /srv/packages && $(doc_block README.md 'apt install ./vmctl-agent')"
	shell 'test ! -d /sys/firmware/acpi && grep -qw acpi=off /proc/cmdline'
	run host vmctl exec vm1 -- systemctl show -P Type -P StatusText -P ActiveState vmctl-agent.service
	echo "$output"
	[ "$(sort <<<"$output" | xargs)" = "active listens on vsock port 220 notify" ]
	shell 'journalctl -b --no-pager | grep "systemd-modules-load.*Inserted module .upcall"'
	shell 'modinfo -n upcall | grep updates/dkms/'
	host vmctl module-status vm1
}

# What an operator does with it.
works() {
	local file=$work/host/share/file
	[ "$(host vmctl exec vm1 -- nproc)" = 1 ]
	host vmctl hotplug-cpu vm1 --to 3
	[ "$(host vmctl exec vm1 -- nproc)" = 3 ]
	shell 'grep -c ^processor /proc/cpuinfo | grep -x 3'
	host vmctl unplug-cpu vm1 --to 1
	[ "$(host vmctl exec vm1 -- nproc)" = 1 ]
	before=$(shell 'grep MemTotal /proc/meminfo' | tr -dc 0-9)
	host vmctl hotplug-mem vm1 128M
	after=$(shell 'grep MemTotal /proc/meminfo' | tr -dc 0-9)
	[ $((after - before)) -ge $((128 * 1024)) ]
	host vmctl hotplug-mem vm1 --to 1G
	head -c 3000000 /dev/urandom >"$file"
	host vmctl cp /srv/share/file vm1:/var/tmp/file
	host vmctl cp vm1:/var/tmp/file /srv/share/back
	cmp "$file" "$work/host/share/back"
	[ "$(shell 'sha256sum </var/tmp/file')" = "$(sha256sum <"$file")" ]
	run -7 host vmctl exec vm1 -- sh -c 'exit 7'
}

main_pid() { host systemctl show -P MainPID "$1"; }
agent_pid() { shell 'systemctl show -P MainPID vmctl-agent.service'; }

# A later version of a package, which does the same.
later() { # later PACKAGE: prints its path, under share
	local tree=$BATS_TEST_TMPDIR/$1 old new deb=$work/host/share/$1_later.deb
	old=$(cat "$top/VERSION")
	new=$old.1
	dpkg-deb -R "$O/packages/debian-$DEBIAN/$1"_*.deb "$tree"
	[ "$1" != upcall-dkms ] || mv "$tree/usr/src/upcall-$old" "$tree/usr/src/upcall-$new"
	grep -rlF "$old" "$tree/DEBIAN" "$tree/usr/src" 2>/dev/null | xargs sed -i "s/${old//./\\.}/$new/g"
	dpkg-deb --root-owner-group -b "$tree" "$deb" >/dev/null
	echo "$deb"
}

@test "the packaged vsockd@vm1.service serves a VM, as a user of its own" {
	host sh -euxc "cd /srv/packages; $(doc_block README.md 'systemctl enable --now vsockd@vm1.socket')"
	start_vm
	host vmctl wait vm1 --timeout 300
	[ "$(host systemctl is-active vsockd@vm1.service)" = active ]
	user=$(host stat -c %u "/proc/$(main_pid vsockd@vm1.service)")
	echo "vsockd runs as $user"
	# systemd's range of dynamic users.
	[ "$user" -ge 61184 ]
	[ "$user" -le 65519 ]
}

@test "module and agent are there without anybody asking, and nothing has failed" {
	is_installed
}

@test "hotplug-cpu, hotplug-mem, exec and cp work" {
	works
}

@test "README: what one does with it first" {
	block=$(doc_block README.md 'vmctl status vm1')
	[[ $block == *hotplug-cpu* ]]
	host sh -euxc "$block" </dev/null
	[ "$(host vmctl exec vm1 -- nproc)" = 1 ]
}

@test "after a reboot of the guest all is there, and works again" {
	boot=$(shell 'cat /proc/sys/kernel/random/boot_id')
	host vmctl reboot vm1
	again() { now=$(shell 'cat /proc/sys/kernel/random/boot_id' 5) && [ -n "$now" ] && [ "$now" != "$boot" ]; }
	eventually again
	is_installed
	works
}

@test "shutdown halts the guest, which starts again with its machine" {
	host vmctl shutdown vm1
	# A machine without ACPI cannot switch itself off.
	halted() { tail -n 3 "$work/host/share/console.log" | grep -E "reboot: .*(ystem halted|ower down)"; }
	eventually halted
	# 7 where it is turned away, 11 where the last try is under way when the time has passed.
	run host vmctl ping vm1 --timeout 5
	[ "$status" -eq 7 ] || [ "$status" -eq 11 ]
	host systemctl stop qemu-vm1.service
	start_vm
	is_installed
}

@test "an upgrade on the host: the VM goes on, its connections end and can be made again" {
	later vmctl
	boot=$(shell 'cat /proc/sys/kernel/random/boot_id')
	vsockd=$(main_pid vsockd@vm1.service)
	qemu=$(main_pid qemu-vm1.service)
	host vmctl exec vm1 -- sh -c 'echo begun; exec sleep 1000' >"$BATS_TEST_TMPDIR/out" 3>&- &
	client=$!
	eventually grep -q begun "$BATS_TEST_TMPDIR/out"
	host dpkg -i /srv/share/vmctl_later.deb
	status=0
	wait $client || status=$?
	[ "$status" -eq 125 ]
	host vmctl ping vm1
	[ "$(main_pid vsockd@vm1.service)" != "$vsockd" ]
	[ "$(main_pid qemu-vm1.service)" = "$qemu" ]
	[ "$(shell 'cat /proc/sys/kernel/random/boot_id')" = "$boot" ]
	[ "$(host cat /etc/vmctl/vm1.conf)" = CID=3 ]
}

@test "an upgrade in the guest, by way of vmctl" {
	for package in vmctl-agent upcall-dkms; do
		later $package
		host vmctl cp /srv/share/${package}_later.deb vm1:/srv/
	done
	# The policy is the administrator's.
	shell 'echo "deny *Reboot" >>/etc/vmctl/agent-policy.conf; systemctl reload vmctl-agent'
	agent=$(agent_pid)
	host vmctl hotplug-cpu vm1 --to 3 # it compiles
	# Not as a child of what it ends.
	host vmctl exec vm1 -- systemd-run --unit=upgrade --setenv=DEBIAN_FRONTEND=noninteractive \
		sh -c 'dpkg -i /srv/*_later.deb >/var/tmp/upgrade.log 2>&1; echo done >>/var/tmp/upgrade.log'
	is_done() { shell 'tail -n 1 /var/tmp/upgrade.log' | grep -qx done; }
	PATIENCE=1800 eventually is_done
	shell 'cat /var/tmp/upgrade.log'
	host vmctl wait vm1
	shell 'dpkg-query -W -f "\${db:Status-Status} \${Version}\n" vmctl-agent upcall-dkms' |
		grep -c "^installed $(cat "$top/VERSION").1-" | grep -qx 2
	[ "$(agent_pid)" != "$agent" ]
	shell 'grep -x "deny \*Reboot" /etc/vmctl/agent-policy.conf'
	# The new module is there for the next boot; the old one is at work.
	run shell 'dkms status upcall'
	echo "$output"
	[[ $(grep -c installed <<<"$output") -eq 1 && $output == *"$(cat "$top/VERSION").1"*installed* ]]
	host vmctl module-status vm1
	host vmctl hotplug-cpu vm1 --to 4
	host vmctl hotplug-cpu vm1 --to 1
}

@test "an upgrade that the agent runs itself ends, and leaves the agent" {
	agent=$(agent_pid)
	run host vmctl exec vm1 -- env DEBIAN_FRONTEND=noninteractive dpkg -i /srv/vmctl-agent_later.deb
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"restart it afterwards"* ]]
	[ "$(agent_pid)" = "$agent" ]
}

@test "the group vmctl may use the sockets, others may not" {
	as() { host setpriv --reuid=nobody --regid=nogroup "$@"; } # as GROUPS COMMAND...
	run -5 as --clear-groups env VMCTL_RUN_DIR=/run/vmctl vmctl ping vm1
	[[ $output == *"ermission denied"* ]]
	as --groups=vmctl env VMCTL_RUN_DIR=/run/vmctl vmctl ping vm1
}

# A removal that its package's own script ends with an error.
fail_removal() { # fail_removal RUN PACKAGE
	"$1" "sh -c 'cp /var/lib/dpkg/info/$2.prerm /var/tmp; echo exit 1 >>/var/lib/dpkg/info/$2.prerm'"
	run "$1" "dpkg --remove $2"
	echo "$output"
	[ "$status" -ne 0 ]
	"$1" "cp /var/tmp/$2.prerm /var/lib/dpkg/info"
	[ "$("$1" "dpkg-query -W -f '\${db:Status-Status}' $2")" = installed ]
}

@test "a removal in the guest that fails leaves the agent at work" {
	agent=$(agent_pid)
	fail_removal shell vmctl-agent
	host vmctl wait vm1
	[ "$(agent_pid)" != "$agent" ]
}

# Files by our names, but for what dpkg and its logs say, and the repository.
left() {
	shell 'cd / && find . -xdev \( -name "*vmctl*" -o -name "*upcall*" \) -not -path "./srv/*" -not -path "./proc/*" \
		-not -path "./sys/*" -not -path "./var/tmp/*" -not -path "./var/log/*" -not -path "./var/cache/*" \
		-not -path "./var/lib/dpkg/*" -not -path "./var/lib/apt/*" -not -path "./etc/apt/*" 2>/dev/null'
}

@test "a removal in the guest stops the agent and unloads the module; a purge leaves nothing" {
	shell 'DEBIAN_FRONTEND=noninteractive apt-get remove -y vmctl-agent upcall-dkms' 600
	[ "$(shell 'systemctl is-active vmctl-agent.service; true')" = inactive ]
	shell 'test ! -d /sys/module/upcall'
	run -7 host vmctl ping vm1 --timeout 5
	run -6 host vmctl module-status vm1 --timeout 5
	shell 'test -e /etc/vmctl/agent-policy.conf'
	shell 'DEBIAN_FRONTEND=noninteractive apt-get purge -y vmctl-agent upcall-dkms' 600
	run left
	echo "$output"
	[ -z "$output" ]
	none_failed shell
}

@test "README's command installs them in a guest that runs, and CPUs can be plugged at once" {
	# As one is that has never built a module.
	shell 'DEBIAN_FRONTEND=noninteractive apt-get purge -y "linux-headers-*amd64"' 300
	shell "cd /srv/packages && $(doc_block README.md 'apt install ./vmctl-agent' | sed 's/install/& -y/') </dev/null" 1800
	host vmctl wait vm1
	host vmctl hotplug-cpu vm1 --to 3
	[ "$(host vmctl exec vm1 -- nproc)" = 3 ]
	host vmctl unplug-cpu vm1 --to 1
	none_failed shell
	shell sync # the machine is switched off next
}

@test "a removal on the host that fails leaves its VM's socket, for the VM to start again" {
	fail_removal on_host vmctl
	[ "$(host systemctl is-active vsockd@vm1.socket)" = active ]
	# The device of one that ran is gone for good.
	host systemctl stop qemu-vm1.service
	start_vm
	host vmctl wait vm1 --timeout 300
}

@test "a removal on the host ends its services; a purge leaves what its administrator wrote" {
	host systemctl stop qemu-vm1.service
	[ "$(host systemctl is-active vsockd@vm1.service || true)" = active ]
	host env DEBIAN_FRONTEND=noninteractive apt-get remove -y vmctl
	for unit in vsockd@vm1.service vsockd@vm1.socket; do
		[ "$(host systemctl is-active $unit || true)" = inactive ]
	done
	run -1 host pidof vsockd
	host env DEBIAN_FRONTEND=noninteractive apt-get purge -y vmctl
	[ "$(host find /etc/vmctl /etc/systemd/system -name '*vm1*')" = /etc/vmctl/vm1.conf ]
	none_failed on_host
}
