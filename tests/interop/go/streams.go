// SPDX-License-Identifier: Apache-2.0

//go:build streams

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
)

func init() {
	tests = append(tests,
		test{"a server stream", serverStream},
		test{"a client stream", clientStream},
		test{"a stream both ways", bothWays},
		test{"streams at once", streamsAtOnce},
		test{"a stream whose time is up", streamTimeout},
	)
}

func open(client *ttrpc.Client, method string, sends, receives bool, first []byte) (ttrpc.ClientStream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	_ = cancel // with the stream
	desc := &ttrpc.StreamDesc{StreamingClient: sends, StreamingServer: receives}
	if sends {
		return client.NewStream(ctx, desc, testService, method, nil)
	}
	return client.NewStream(ctx, desc, testService, method, &message{Value: first})
}

func count(client *ttrpc.Client, n, size uint32) error {
	numbers := binary.AppendUvarint(nil, uint64(n))
	numbers = binary.AppendUvarint(numbers, uint64(size))
	stream, err := open(client, "Count", false, true, numbers)
	if err != nil {
		return err
	}
	for i := uint32(0); i < n; i++ {
		var m message
		if err := stream.RecvMsg(&m); err != nil {
			return err
		}
		if got := binary.LittleEndian.Uint32(m.Value); got != i {
			return fmt.Errorf("message %d came as %d", got, i)
		}
	}
	if err := stream.RecvMsg(&message{}); err != io.EOF {
		return fmt.Errorf("expected the end, got %v", err)
	}
	return nil
}

func serverStream(client *ttrpc.Client) error {
	if err := count(client, 0, 0); err != nil {
		return err
	}
	return count(client, 5000, 4000)
}

func clientStream(client *ttrpc.Client) error {
	stream, err := open(client, "Sum", true, false, nil)
	if err != nil {
		return err
	}
	for i := 0; i < 1000; i++ {
		if err := stream.SendMsg(&message{Value: make([]byte, 1000)}); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var sum message
	if err := stream.RecvMsg(&sum); err != nil {
		return err
	}
	if string(sum.Value) != "1000000 bytes in 1000" {
		return fmt.Errorf("got %q", sum.Value)
	}
	return nil
}

func bothWays(client *ttrpc.Client) error {
	stream, err := open(client, "Echo", true, true, nil)
	if err != nil {
		return err
	}
	for i := 0; i < 1000; i++ {
		var m message
		text := fmt.Sprintf("message %d", i)
		if err := stream.SendMsg(&message{Value: []byte(text)}); err != nil {
			return err
		}
		if err := stream.RecvMsg(&m); err != nil {
			return err
		}
		if string(m.Value) != text {
			return fmt.Errorf("sent %q, got %q", text, m.Value)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(&message{}); err != io.EOF {
		return fmt.Errorf("expected the end, got %v", err)
	}
	return ping(client, "still there")
}

func streamsAtOnce(client *ttrpc.Client) error {
	errs := make(chan error, 20)
	for i := 0; i < 10; i++ {
		go func() { errs <- count(client, 500, 2000) }()
		go func() { errs <- bothWays(client) }()
	}
	for i := 0; i < 20; i++ {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func streamTimeout(client *ttrpc.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	stream, err := client.NewStream(ctx, &ttrpc.StreamDesc{StreamingServer: true}, testService,
		"Count", &message{Value: []byte{0xff, 0x93, 0xeb, 0xdc, 0x03, 0}})
	if err != nil {
		return err
	}
	err = stream.RecvMsg(&message{})
	if err == context.DeadlineExceeded {
		return ping(client, "still there")
	}
	return expect(client, err, codes.DeadlineExceeded)
}
