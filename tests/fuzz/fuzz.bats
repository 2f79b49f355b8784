#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every fuzzer, for $FUZZ_SECONDS each (short ones by default). Their seeds are new
# each time and stand in what a failed run prints.

here=$BATS_TEST_DIRNAME

@test "libFuzzer finds nothing in the validation of messages" {
	"$here/fuzz-request" --seconds "${FUZZ_SECONDS:-10}"
}

@test "it is told when a good message that it begins from is refused" {
	printf 'this is no message' >"$BATS_TEST_TMPDIR/bad"
	MUST_ACCEPT=1 run "$here/fuzz-request" "$BATS_TEST_TMPDIR/bad"
	[ "$status" -ne 0 ]
	[[ $output == *"not so: ret == 0"* ]]
}

# The validation with one check less, and whether libFuzzer notices.
@test "libFuzzer finds a message that is accepted and should not be" {
	local tree=$BATS_TEST_TMPDIR/tree
	mkdir -p "$tree/tests"
	cp -rL "$here/../../"{Makefile,VERSION,kmod-upcall,proto} "$tree"
	cp -r "$here" "$tree/tests"
	sed -i 's/if (range->last < range->first)/if (0)/' "$tree/kmod-upcall/request.c"
	run cmp -s "$tree/kmod-upcall/request.c" "$here/../../kmod-upcall/request.c"
	[ "$status" -eq 1 ]
	(unset MAKEFLAGS MFLAGS MAKELEVEL &&
		make --no-print-directory -C "$tree" O="$tree/build" "$tree/build/fuzz/fuzz_request")
	O=$tree/build run "$tree/tests/fuzz/fuzz-request" --seconds 120 # it ends when it has it
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"not so: range->first <= range->last"* ]]
}

@test "libFuzzer finds nothing in the rings of a hostile guest, split and packed" {
	"$here/fuzz-target" ring --seconds "${FUZZ_SECONDS:-10}"
}

@test "libFuzzer finds nothing in the messages of a hostile front-end" {
	"$here/fuzz-target" front --seconds "${FUZZ_SECONDS:-10}"
}

@test "libFuzzer finds nothing in the packets of a hostile guest and the programs it talks to" {
	"$here/fuzz-target" packet --seconds "${FUZZ_SECONDS:-10}"
}

@test "libFuzzer finds nothing in the lines that open connections" {
	"$here/fuzz-target" line --seconds "${FUZZ_SECONDS:-10}"
}

@test "libFuzzer finds nothing in what a host sends to the guest agent" {
	"$here/fuzz-target" agent --seconds "${FUZZ_SECONDS:-10}"
}

@test "libFuzzer finds nothing in what else the guest agent reads" {
	"$here/fuzz-target" parse --seconds "${FUZZ_SECONDS:-10}"
}

@test "a live guest lives through anything, and good requests work meanwhile: 6.12" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-10}"
}

@test "the same on 6.1" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-10}" --kernel 6.1
}

@test "so does one of QEMU's microvm, with virtio-mmio windows to plug: 6.12" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-10}" --machine microvm
}

@test "the same on 6.1, with virtio-mmio windows" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-10}" --machine microvm --kernel 6.1
}

@test "so does one with a virtio-iommu to plug, for which 6.1 has no driver" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-10}" --machine microvm-pcie
}
