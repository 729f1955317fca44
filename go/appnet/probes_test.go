//go:build linux

package appnet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestProbes measures the interceptor of a client with each of the chains that APPNET_PROBES names, by the CPU time of its
// thread, in short batches that take turns. Their method has a string as the first field of both messages. Each line of the
// output has the name of a chain and nanoseconds for each round.
func TestProbes(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("APPNET_BENCH"))
	names := strings.Split(os.Getenv("APPNET_PROBES"), ",")
	if rounds == 0 || names[0] == "" {
		t.Log("APPNET_BENCH=ROUNDS and APPNET_PROBES=NAME,… measure")
		return
	}
	const batch, path, text = 1_000, "/probe.Probe/Call", "sixteen letters!"
	ends, took := map[string]*end{}, map[string][]float64{}
	for _, name := range names {
		ends[name] = endWith(t, name, false)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "user", "probe")
	req, reply := wrapperspb.String(text), wrapperspb.String(text)
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	for range rounds + 1 {
		for _, name := range names {
			e := ends[name]
			runtime.LockOSThread()
			at := threadCPU()
			for range batch {
				reply.Value = text
				if err := e.unaryClient(ctx, path, req, reply, nil, invoke); err != nil {
					t.Fatal(name, err)
				}
			}
			took[name] = append(took[name], float64(threadCPU()-at)/batch)
			runtime.UnlockOSThread()
			for _, c := range e.current.Load().chains {
				c.instance.Records(c.time())
			}
		}
	}
	for _, name := range names {
		after := took[name][1:] // the first round warms up
		sort.Float64s(after)
		line, _ := json.Marshal(map[string]any{"probe": name, "ns": after[len(after)/2]})
		fmt.Println(string(line))
	}
}
