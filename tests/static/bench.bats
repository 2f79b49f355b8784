#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The benchmark works: it moves data that it checks, whatever the monitor and the
# guest's driver it plays are like. How fast that is decides nothing here.

top=$BATS_TEST_DIRNAME/../..
export O=${O:-$top/build}

setup() { cd "$top"; }

setup_file() { cd "$top" && make --no-print-directory "$O/vsockd" "$O/tests/bench/vsock-ring"; }

ring() { # ring OPTION...
	timeout 120 "$O/tests/bench/vsock-ring" --quick \
		--spawn "$O/vsockd --cid {cid} --vhost-user {vhost-user} --uds {uds}" "$@"
}

@test "every row of the benchmark is measured, and its JSON is whole" {
	# Long enough for the back-end to have its turn on a busy machine.
	ring --seconds 0.5 --json "$BATS_TEST_TMPDIR/vsock.json" >"$BATS_TEST_TMPDIR/table"
	cat "$BATS_TEST_TMPDIR/table"
	python3 - "$BATS_TEST_TMPDIR/vsock.json" <<-'END'
		import json, sys
		figures = {f["name"]: f for f in json.load(open(sys.argv[1]))["figures"]}
		for way in "g2h", "h2g":
		    for size in "64k", "4k", "64b":
		        f = figures[way + "-" + size]
		        assert f["value"] > 0 and f["ceiling"] > 0 and f["ratio"] > 0, f
		        assert figures[f["name"] + "-cpu"]["value"] > 0, f
		for name in ("rtt-p50", "rtt-p99", "rtt-spin-p50", "connect-guest",
		             "connect-host", "idle-100", "idle-10000"):
		    assert figures[name]["value"] > 0 and figures[name]["ceiling"] > 0, name
		assert figures["memory-idle"]["value"] > 0
	END
}

@test "data is whole with every kind of monitor" {
	for sequence in qemu cloud-hypervisor crosvm; do
		ring --sequence $sequence --only g2h-64k,h2g-64k,g2h-4k,h2g-4k,connect-guest,connect-host
	done
}

@test "data is whole with every kind of driver" {
	rows=g2h-64k,h2g-64k,g2h-64b,h2g-64b,rtt
	while read -r -a guest; do
		echo "# ${guest[*]}"
		ring --only $rows "${guest[@]}"
	done <<-'END'
		--indirect
		--eager-credit --tx-interrupts
		--no-event-idx
		--no-event-idx --indirect --tx-interrupts
		--rx-split --rx-size 4140
		--rx-size 1000 --tx-layout one
		--tx-layout pages
		--tx-layout pages --indirect
		--ring 8
		--ring 1024
		--packed
		--packed --no-event-idx --tx-interrupts
		--packed --indirect --tx-layout pages --ring 100
		--packed --rx-split --ring 7
	END
}

@test "a back-end that runs already is measured" {
	dir=$BATS_TEST_TMPDIR
	"$O/vsockd" --cid 42 --vhost-user "$dir/vhost" --uds "$dir/vsock" 3>&- &
	pid=$!
	timeout 120 "$O/tests/bench/vsock-ring" --quick --vhost-user "$dir/vhost" \
		--uds "$dir/vsock" --only g2h-64k,idle-100,memory
	kill "$pid"
	wait "$pid"
}
