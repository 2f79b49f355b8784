// SPDX-License-Identifier: Apache-2.0

//go:build streams

// containerd's ttrpc from 1.2 on.
package main

import "google.golang.org/protobuf/types/known/wrapperspb"

// On the wire the same as PingRequest, and as OnlineCpusRequest with packed numbers.
type message = wrapperspb.BytesValue
