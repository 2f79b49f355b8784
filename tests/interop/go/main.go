// SPDX-License-Identifier: Apache-2.0

// containerd's own ttrpc client against the agent; prints TAP.
//
//	interop PATH-OF-SOCKET
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	agentService = "vmctl.agent.v1.GuestAgent"
	testService  = "vmctl.test.Streams"
)

type test struct {
	name string
	run  func(*ttrpc.Client) error
}

var tests = []test{
	{"a unary call", unary},
	{"many calls at once", concurrent},
	{"an unknown method and service", unknown},
	{"a time-out", timeout},
	{"garbage in a payload", garbage},
	{"an oversize message", oversize},
}

func call(client *ttrpc.Client, service, method string, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var response message
	err := client.Call(ctx, service, method, &message{Value: payload}, &response)
	return response.Value, err
}

func ping(client *ttrpc.Client, text string) error {
	got, err := call(client, agentService, "Ping", []byte(text))
	if err == nil && string(got) != text {
		err = fmt.Errorf("sent %q, got %q", text, got)
	}
	return err
}

// Expects an error with a code, and a connection that still works.
func expect(client *ttrpc.Client, err error, code codes.Code) error {
	if status.Code(err) != code {
		return fmt.Errorf("expected %v, got %v", code, err)
	}
	return ping(client, "still there")
}

func unary(client *ttrpc.Client) error {
	return ping(client, "hello")
}

func concurrent(client *ttrpc.Client) error {
	var wait sync.WaitGroup
	errs := make(chan error, 50)
	for i := 0; i < 50; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			for j := 0; j < 100; j++ {
				if err := ping(client, fmt.Sprintf("%d of %d", j, i)); err != nil {
					errs <- err
					return
				}
			}
		}(i)
	}
	wait.Wait()
	close(errs)
	return <-errs
}

func unknown(client *ttrpc.Client) error {
	_, err := call(client, agentService, "Explode", nil)
	if err := expect(client, err, codes.Unimplemented); err != nil {
		return err
	}
	_, err = call(client, "no.Service", "Ping", nil)
	return expect(client, err, codes.Unimplemented)
}

func timeout(client *ttrpc.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var response message
	err := client.Call(ctx, testService, "Hang", &message{}, &response)
	// Whichever of the two ends sees it first.
	if errors.Is(err, context.DeadlineExceeded) {
		return ping(client, "still there")
	}
	return expect(client, err, codes.DeadlineExceeded)
}

func garbage(client *ttrpc.Client) error {
	// Packed numbers, of which the last has no end.
	_, err := call(client, agentService, "OnlineCpus", bytes.Repeat([]byte{0xff}, 20))
	return expect(client, err, codes.InvalidArgument)
}

func oversize(client *ttrpc.Client) error {
	_, err := call(client, agentService, "Ping", make([]byte, 5<<20))
	return expect(client, err, codes.ResourceExhausted)
}

func main() {
	failed := false
	fmt.Printf("1..%d\n", len(tests))
	for i, t := range tests {
		conn, err := net.Dial("unix", os.Args[1])
		if err == nil {
			client := ttrpc.NewClient(conn)
			err = t.run(client)
			client.Close()
		}
		if err != nil {
			failed = true
			fmt.Printf("not ok %d %s\n# %v\n", i+1, t.name, err)
		} else {
			fmt.Printf("ok %d %s\n", i+1, t.name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
