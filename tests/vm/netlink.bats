#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a process in the guest has of the module: events and the list over generic
# netlink, tracepoints, parameters; and that it can do nothing by any of them.

load common

setup_file() {
	boot --max-cpus 14
	guest 'chmod 755 / && echo nobody:x:1000:1000::/tmp:/bin/sh >/etc/passwd'
}
teardown_file() { halt; }
teardown() { vm check guest; }

client() { upcall-client "$(sock)" "$@"; }

create() { # create APIC-ID...
	for id; do
		qmp device_add "{\"driver\": \"max-x86_64-cpu\", \"id\": \"test$id\",
			\"socket-id\": $id, \"core-id\": 0, \"thread-id\": 0}"
	done
}

# A command in the guest, as nobody in particular.
unprivileged() { guest "start-stop-daemon -S -c 1000:1000 -x /bin/$1 -- $2"; }

@test "each plug, unplug and refusal is an event, with the request's number" {
	create 1
	listen 3
	run client add 1
	expect_match 'request=([0-9]+)' "$output"
	first=${BASH_REMATCH[1]}
	client del 1
	run client del 1
	expect_match 'reason="([^"]+)"' "$output"
	reason=${BASH_REMATCH[1]}
	run heard 3
	expect_match "request=$first type=0x1 name=ADD_CPU ret=0 kernel_ns=[1-9][0-9]* total_ns=[1-9][0-9]* plugged=\[\{class=cpu key=0x1 type=0x1 request=$first " "${lines[1]}"
	expect_match "request=$((first + 1)) type=0x2 name=DEL_CPU ret=0 .* unplugged=\[\{class=cpu key=0x1 type=0x1 request=$first " "${lines[2]}"
	expect_match "request=$((first + 2)) type=0x2 name=DEL_CPU ret=-19 .* reason=\"$reason\"$" "${lines[3]}"
	expect 4 "${#lines[@]}"
}

@test "questions are no events" {
	listen 2
	client list
	client status
	client raw 0x7777 0 '' || true
	client add 0 || true
	run heard 1
	expect_match 'name=ADD_CPU ret=-16' "${lines[1]}"
	client del 0 || true # and lets the listener go
	heard 2
}

@test "a process without CAP_NET_ADMIN does not hear events" {
	run unprivileged upcall-events "listen 1"
	[ "$status" -ne 0 ]
	expect_match 'upcall-events: ' "$output"
	[[ $output != *listening* ]]
}

@test "an event of more things than there is room for says so" {
	needs_module
	# No request of today has so many: so the module is built with less room.
	variant 's/^#define EVENT_SIZE .*/#define EVENT_SIZE 64/' events.c
	create {2..13}
	listen 2
	client add {1..13}
	run heard 1
	expect_match 'name=ADD_CPU ret=0 .* plugged=\[[{]class=cpu key=0x1 .*[}]\] cut$' "${lines[1]}"
	things=$(grep -o '{class=cpu' <<<"${lines[1]}" | wc -l)
	[ "$things" -ge 1 ]
	[ "$things" -lt 13 ]
	expect 13 "$(list | wc -l)"
	client del {1..13}
	run heard 2
	expect_match 'name=DEL_CPU ret=0 .* unplugged=\[[{].*[}]\] cut$' "${lines[2]}"
	guest 'rmmod upcall && modprobe upcall'
}

@test "the dump has what LIST has, in the same order" {
	expect '' "$(list)"
	expect '' "$(guest 'upcall-events list')"
	[ "$(vcpus)" -gt 2 ] || create {2..13}
	client add {1..13} # two parts of a LIST
	run list
	expect 13 "${#lines[@]}"
	expect "$output" "$(guest 'upcall-events list')"
	client del 5 7
	run list
	expect 11 "${#lines[@]}"
	expect "$output" "$(guest 'upcall-events list')"
	# The records outlive the module.
	reload
	expect "$output" "$(guest 'upcall-events list')"
	client del 1 2 3 4 6 8 9 10 11 12 13
	expect '' "$(guest 'upcall-events list')"
}

@test "STATUS counts requests and errors of each type, from the module's load on" {
	reload
	before=$(client status)
	client add 1
	client add 1 || true
	client del 1
	run python3 - "$before" "$(client status)" <<'END'
import json, sys
b, s = (json.loads(a)["types"] for a in sys.argv[1:])
for name in "ADD_CPU", "DEL_CPU", "ADD_CPU2":
    t = s[name]
    assert t["total_ns"] >= t["max_ns"] >= 0
    print(t["available"], *(t[k] - b[name][k] for k in ("requests", "errors")),
          t["total_ns"] > b[name]["total_ns"])
END
	expect $'True 2 1 True\nTrue 1 0 True\nTrue 0 0 False' "$output"
	built_in || expect_match '"ADD_CPU": [{][^}]*"requests": 0,' "$before"
}

@test "a process without CAP_NET_ADMIN is not told what is plugged" {
	run unprivileged id -u
	expect_match '(^|[^0-9])1000' "$output"
	run unprivileged upcall-events list
	expect_match 'error=1 ' "$output"
	[ "$status" -ne 0 ]
}

@test "the family has no commands but the dump" {
	for command in 0 1 2 3 255; do # 1 is LIST, which is for a dump only
		run guest "upcall-events send $command"
		expect_match 'error=95 ' "$output"
		run unprivileged upcall-events "send $command"
		expect_match 'error=(95|1) ' "$output"
	done
}

@test "random messages to the family do nothing, from root or from anybody" {
	create_once=$(vcpus)
	client add 1
	before=$(list)
	guest "upcall-events fuzz $RANDOM 5000"
	unprivileged upcall-events "fuzz $RANDOM 5000"
	expect "$before" "$(list)"
	expect '0-1 0-1' "$(cpus)"
	expect "$create_once" "$(vcpus)"
	client del 1
}

@test "parameters are readable by all, and written by root only" {
	run guest 'cd /sys/module/upcall/parameters && head -n 1 port max_connections timeout_ms request_timeout_ms require_privileged_peer'
	expect_match '219' "$output"
	run unprivileged cat /sys/module/upcall/parameters/port
	expect_match '219' "$output"
	for parameter in port max_connections timeout_ms request_timeout_ms require_privileged_peer eject_port; do
		guest "cp /sys/module/upcall/parameters/$parameter /tmp/before"
		run unprivileged sh "-c 'echo 1 >/sys/module/upcall/parameters/$parameter'"
		[ "$status" -ne 0 ]
		guest "cmp /sys/module/upcall/parameters/$parameter /tmp/before"
	done
	run client connect
	expect 0 "$status"
}

@test "tracepoints tell of a request's start and end" {
	guest 'mount -t tracefs none /sys/kernel/tracing && cd /sys/kernel/tracing &&
		echo 1 >events/upcall/enable'
	run client add 0
	expect_match 'request=([0-9]+)' "$output"
	number=${BASH_REMATCH[1]}
	run guest 'cat /sys/kernel/tracing/trace; echo 0 >/sys/kernel/tracing/events/upcall/enable;
		umount /sys/kernel/tracing'
	expect_match "upcall_request_start: request=$number type=0x1" "$output"
	expect_match "upcall_request_end: request=$number type=0x1 ret=-16 kernel_ns=0 total_ns=[0-9]" "$output"
	# With events in use, the module still goes.
	reload
}
