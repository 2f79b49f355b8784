#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The examples of vmctl(1), taken from the page and run, on the machine that its first one
# makes; and what its section JSON says of what each verb prints. What is in their way is
# put right in the guest, or named here: a file that is not there, a time that is short.
#
# Those of devices and memory are run where such machines are: devices.bats, mmio.bats,
# viommu.bats; ssh in verbs.bats.

load common

# Runs a script in the guest, whose only way in is vmctl's.
in_vm1() { vmctl exec vm1 -- sh -c "$1" </dev/null; }

setup_file() {
	[ "$VM_KERNEL" = 6.12 ] || return 0
	make_registry
	cd "$BATS_FILE_TMPDIR" || return
	link_kernel
	run_block "$(man_block vmctl.1 'mkdir -p' | mended | sed '$ s/$/ \&/')"
	run_block "$(man_block vmctl.1 'vmctl wait vm1')"
	# What a guest with a distribution in it has.
	in_vm1 'echo "nobody::65534:65534::/nonexistent:/bin/sh
admin::1000:1000::/home/admin:/bin/sh" >>/etc/passwd
		mkdir -p /srv/www /var/log /var/tmp /home/admin
		chown 1000:1000 /home/admin
		echo a line >/var/log/syslog
		modprobe dummy && ip link add eth0 address 02:00:00:00:00:01 type dummy'
}
teardown_file() { [ "$VM_KERNEL" != 6.12 ] || end_blocks; }
setup() {
	once
	export NO_COLOR=1
	cd "$BATS_TEST_TMPDIR" || return
	# jq, as far as the examples go.
	mkdir bin
	cat >bin/jq <<-'END'
		#!/usr/bin/python3
		import functools, json, sys
		print(functools.reduce(dict.__getitem__, sys.argv[1][1:].split("."), json.load(sys.stdin)))
	END
	chmod +x bin/jq
	PATH=$PWD/bin:$PATH
}

@test "CPUs: shown what would be, all of them, listed, one to rest" {
	run_block "$(man_block vmctl.1 '--to 4 --dry-run')"
	expect 1 "$(vmctl info vm1 --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["cpus"]["online"]))')"
	run_block "$(man_block vmctl.1 '$ vmctl hotplug-cpu vm1 --to 4' | sed -n 's/^\$ //p')"
	run_block "$(man_block vmctl.1 'vmctl devices vm1')"
	block_said $'\ncpu  *3 '
	# Memory is plugged elsewhere, and online by then: of none that is offline all come.
	run_block "$(man_block vmctl.1 'vmctl cpus vm1 --offline 1')"
	expect '0,2-3' "$(in_vm1 'cat /sys/devices/system/cpu/online')"
	described cpus vm1 --online all
	expect '0-3' "$(in_vm1 'cat /sys/devices/system/cpu/online')"
	described cpus vm1
	described cpus vm1 --offline 1
	described cpus vm1 --online 1 --dry-run
	vmctl cpus vm1 --online 1
	described memory vm1
	described memory vm1 --online all
	described devices vm1
	described module-status vm1
	described hotplug-cpu vm1 --to 4
	# ... and back.
	run_block "$(man_block vmctl.1 'jq .after.online')"
	expect '[0]' "$(tail -n 1 block.log)"
	described unplug-cpu vm1 --to 1
}

@test "all machines, two of them; a proxy; the vsock device" {
	run_block "$(man_block vmctl.1 'vmctl info --all' | sed 's/vm1,vm2/vm1/')"
	described info vm1
	described ping vm1
	described list
	described wait vm1
	described qemu-args vm1
	port=22$((RANDOM % 900 + 100))
	# Until it is told to end.
	run_block "$(man_block vmctl.1 'vmctl proxy vm1' | mended |
		sed "s/^vmctl/timeout --preserve-status 2 &/; s/2222/$port/")"
	# A connection that works, and one that the guest refuses.
	in_vm1 'socat VSOCK-LISTEN:22,fork EXEC:cat >/dev/null 2>&1 &'
	vmctl proxy vm1 unix:one=22 unix:two=23 --json >objects 2>&1 3>&- &
	proxy=$!
	echoes() { [ "$(echo word | socat -t 10 - UNIX-CONNECT:one)" = word ]; }
	eventually echoes
	socat - UNIX-CONNECT:two </dev/null || true
	eventually grep '"event":"failed"' objects
	kill $proxy
	wait $proxy
	grep '"event":"closed"' objects
	"$here/../static/check-json" --objects proxy <objects
	described nc vm1 22
	in_vm1 'kill $(pidof socat)'
	run_block "$(man_block vmctl.1 'vmctl vsock list vm1')"
	block_said $'\nTYPE '
	described vsock stats vm1
	described vsock list vm1
}

@test "commands and a shell" {
	echo content >file
	command -v script >/dev/null || skip "no script(1)"
	# What the guest's root is on, its df does not find; a shell has a terminal, and an end.
	run_block "$(man_block vmctl.1 'vmctl exec vm1 --timeout 60' |
		sed "s,df -h /,&tmp,; s,^vmctl shell.*,script -qec '&' /dev/null <<<exit,")"
	block_said 'uid=65534'
	block_said 'load average'
	expect content "$(in_vm1 'cat /srv/file')"
	described exec vm1 --json -- true
	vmctl shell vm1 --json <<<exit 2>&1 >/dev/null | grep '^{' | "$here/../static/check-json" --objects shell
}

@test "files to the guest, and from it" {
	mkdir htdocs
	echo 1 >site.conf
	echo 2 >htdocs/index.html
	head -c 4M /dev/urandom >image.raw
	run_block "$(man_block vmctl.1 'vmctl cp site.conf')"
	expect '1 2' "$(in_vm1 'cat /srv/www/site.conf /srv/www/htdocs/index.html' | xargs)"
	expect 'a line' "$(cat syslog)"
	expect "$(sha256sum <image.raw)" "$(in_vm1 'sha256sum </var/tmp/image.raw')"
	described cp site.conf vm1:/srv/www/
	described cp vm1:/var/log/syslog . --dry-run
}

@test "file systems: usage, trim, and a freeze" {
	# One that can be frozen, in the guest's memory.
	truncate -s 16M disk
	mke2fs -q -t ext4 disk
	vmctl cp disk vm1:/tmp/
	in_vm1 'modprobe loop; modprobe ext4; mkdir -p /mnt; mount -t ext4 -o loop /tmp/disk /mnt'
	run_block "$(man_block vmctl.1 'vmctl df vm1')"
	block_said ' ext4 .* /mnt'
	block_said '/mnt: trimmed'
	# A busy host may take longer than ten seconds.
	run_block "$(man_block vmctl.1 'vmctl freeze vm1' | sed 's/10$/100/')"
	block_said '/mnt: frozen'
	block_said '/mnt: thawed'
	described df vm1
	described freeze vm1 --thaw-after 100
	described freeze vm1 --status
	described thaw vm1
	described trim vm1
}

@test "what is in the guest, and what happens there" {
	run_block "$(man_block vmctl.1 'vmctl events vm1' |
		sed 's/oom --json/& --count 1/; s,/var/lib/prometheus/node-exporter/,,')"
	block_said $'\nmodule +[0-9.]+, '
	block_said '"kind":"agent_start"'
	expect '# EOF' "$(tail -n 1 vm1.prom)"
	described status vm1
	described net vm1
	described net vm1 --vsock
	described events vm1 --count 1
	described metrics vm1
	described top vm1 --count 2 --interval 0.1
}

@test "an address and a way out for an interface" {
	run_block "$(man_block vmctl.1 'vmctl net vm1 --interface')"
	expect_match 'mtu 1400 .*inet 192\.0\.2\.2/24' "$(in_vm1 'ip addr show eth0')"
	expect_match 'default via 192\.0\.2\.1 dev eth0' "$(in_vm1 'ip route')"
	described net vm1 --remove-route default --via 192.0.2.1
}

@test "how fast the agent answers, and bytes go" {
	# A guest in emulation on a busy host may take longer than thirty seconds.
	run_block "$(man_block vmctl.1 'vmctl bench vm1' | sed 's/ vm1/& --timeout 300/')"
	block_said $'\nfrom the guest '
	expect_match '^[0-9.]+$' "$(tail -n 1 block.log)"
	described bench vm1 --count 100 --size 1M
}

# The last one: it ends the guest.
@test "the host's time, a name and a key, and an end" {
	mkdir .ssh
	echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA test" >.ssh/id_ed25519.pub
	block=$(man_block vmctl.1 'vmctl time vm1 --sync')
	HOME=$PWD run_block "$(head -n -1 <<<"$block")"
	expect 'web1 web1' "$(in_vm1 'hostname; cat /etc/hostname' | xargs)"
	expect "$(cat .ssh/id_ed25519.pub)" "$(in_vm1 'cat /home/admin/.ssh/authorized_keys')"
	described time vm1 --sync
	described hostname vm1
	described hostname vm1 web2
	described ssh-keys vm1 --user admin
	described suspend vm1 --dry-run
	described reboot vm1 --dry-run
	run_block "$(tail -n 1 <<<"$block")"
	block_said 'vm1: shuts down \(kernel\)'
	gone() { ! vmctl ping vm1 --timeout 2; }
	eventually gone
}
