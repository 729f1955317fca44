//go:build linux

package appnet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// TestTelemetryBenchmark measures what telemetry costs a client's interceptor, by the CPU time of its thread, for
// benchmarks/telemetry.py: APPNET_TELEMETRY lists the ways, which take turns, and APPNET_BENCH says how many rounds. It prints
// a line of JSON for each way.
func TestTelemetryBenchmark(t *testing.T) {
	ways := []*struct {
		Name   string
		Traced int  // one call in so many is sampled, and the context of others says no; 0: callers send none
		Tells  bool // there is a receiver, so that the interceptor looks for traces
	}{}
	told := os.Getenv("APPNET_TELEMETRY")
	if told == "" {
		t.Log("make bench-telemetry measures")
		return
	}
	if err := json.Unmarshal([]byte(told), &ways); err != nil {
		t.Fatal(err)
	}
	rounds, _ := strconv.Atoi(os.Getenv("APPNET_BENCH"))
	const batch = 2_000
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
	plain := context.Background()
	sampled := metadata.AppendToOutgoingContext(plain, "traceparent", parent+"1")
	notSampled := metadata.AppendToOutgoingContext(plain, "traceparent", parent+"0")
	req, reply := request(strings.Repeat("x", 100)), &grpc_testing.SimpleResponse{}
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	path := grpc_testing.TestService_UnaryCall_FullMethodName
	ends, cpu := make([]*end, len(ways)), make([][]float64, len(ways))
	for i, it := range ways {
		ends[i] = endWith(t, it.Name, false)
		for _, c := range ends[i].current.Load().chains {
			if it.Tells {
				c.records = "nobody:0" // nothing is posted
			}
		}
	}
	runtime.LockOSThread()
	for round := range rounds + 1 {
		for i, it := range ways {
			at := threadCPU()
			for call := range batch {
				ctx := plain
				if it.Traced > 0 && call%it.Traced == it.Traced-1 {
					ctx = sampled
				} else if it.Traced > 0 {
					ctx = notSampled
				}
				if err := ends[i].unaryClient(ctx, path, req, reply, nil, invoke); err != nil {
					t.Fatal(it.Name, err)
				}
			}
			if took := float64(threadCPU()-at) / batch; round > 0 { // in the first, all of it is new
				cpu[i] = append(cpu[i], took)
			}
			for _, c := range ends[i].current.Load().chains {
				c.instance.Records(c.time())
				c.instance.Spans(c.time())
			}
		}
	}
	for i, it := range ways {
		line, _ := json.Marshal(map[string]any{"way": it.Name, "rounds": cpu[i]})
		fmt.Println(string(line))
	}
}
