#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every fuzzer, for $FUZZ_SECONDS each (short ones by default). Their seeds are new
# each time and stand in what a failed run prints.

here=$BATS_TEST_DIRNAME

@test "libFuzzer finds nothing in the validation of messages" {
	"$here/fuzz-request" --seconds "${FUZZ_SECONDS:-20}"
}

@test "libFuzzer would find a message that is accepted and should not be" {
	# The oracle itself: a good message is known as such.
	printf 'this is no message' >"$BATS_TEST_TMPDIR/bad"
	MUST_ACCEPT=1 run "$here/fuzz-request" "$BATS_TEST_TMPDIR/bad"
	[ "$status" -ne 0 ]
	[[ $output == *"not so: ret == 0"* ]]
}

@test "libFuzzer finds nothing in the rings of a hostile guest, split and packed" {
	"$here/fuzz-transport" ring --seconds "${FUZZ_SECONDS:-20}"
}

@test "libFuzzer finds nothing in the messages of a hostile front-end" {
	"$here/fuzz-transport" front --seconds "${FUZZ_SECONDS:-20}"
}

@test "a live guest lives through anything, and good requests work meanwhile" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-30}"
}

@test "so does one of QEMU's microvm, with virtio-mmio windows to plug" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-15}" --machine microvm
}

@test "so does one with a virtio-iommu to plug" {
	"$here/fuzz-guest" --seconds "${FUZZ_SECONDS:-15}" --machine microvm-pcie
}
