// SPDX-License-Identifier: Apache-2.0

//go:build !streams

// containerd's ttrpc before 1.2: messages of gogo/protobuf, and no streams.
package main

import "github.com/gogo/protobuf/types"

// On the wire the same as PingRequest, and as OnlineCpusRequest with packed numbers.
type message = types.BytesValue
