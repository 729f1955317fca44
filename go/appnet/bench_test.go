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
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// byHand is the chain of four as a Go programmer would write it for this very message.
type byHand struct {
	acl    map[string]string
	mu     sync.Mutex
	rate   float64
	tokens float64
	last   time.Time

	recordMu sync.Mutex
	latency  []float64
}

func newByHand() *byHand {
	return &byHand{acl: map[string]string{"test": "No"}, rate: 1e9, tokens: 1e9, last: time.Now()}
}

func (c *byHand) firewall(request any) error {
	if m, ok := request.(*grpc_testing.SimpleRequest); ok {
		if permission, ok := c.acl[string(m.GetPayload().GetBody())]; ok && permission != "Yes" {
			return status.Error(codes.Aborted, "firewall")
		}
	}
	return nil
}

func (c *byHand) judge(request any) error {
	if err := c.firewall(request); err != nil {
		return err
	}
	now := time.Now()
	c.mu.Lock()
	c.tokens = min(1e9, c.tokens+c.rate*now.Sub(c.last).Seconds())
	c.last = now
	ok := c.tokens >= 1
	if ok {
		c.tokens--
	}
	c.mu.Unlock()
	if !ok {
		return status.Error(codes.ResourceExhausted, "rate limit")
	}
	return nil
}

func (c *byHand) unaryClient(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := c.judge(request); err != nil {
		return err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant", "default")
	at := time.Now()
	err := invoker(ctx, path, request, response, cc, opts...)
	c.record(at)
	return err
}

func (c *byHand) record(at time.Time) {
	c.recordMu.Lock()
	if c.latency = append(c.latency, time.Since(at).Seconds()); len(c.latency) >= 4096 {
		c.latency = c.latency[:0]
	}
	c.recordMu.Unlock()
}

// oneByHand is the first of the four alone.
type oneByHand struct{ *byHand }

func (c oneByHand) unaryClient(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := c.firewall(request); err != nil {
		return err
	}
	return invoker(ctx, path, request, response, cc, opts...)
}

// twelveByHand are the four three times, in one interceptor.
type twelveByHand [3]*byHand

func (c twelveByHand) unaryClient(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var began [3]time.Time
	for i, it := range c {
		if err := it.judge(request); err != nil {
			return err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant", "default")
		began[i] = time.Now()
	}
	err := invoker(ctx, path, request, response, cc, opts...)
	for i, it := range c {
		it.record(began[i])
	}
	return err
}

// handwritten are the chains as one would write them by hand, by their names.
func handwritten() map[string]grpc.UnaryClientInterceptor {
	return map[string]grpc.UnaryClientInterceptor{
		"one":    oneByHand{newByHand()}.unaryClient,
		"four":   newByHand().unaryClient,
		"twelve": twelveByHand{newByHand(), newByHand(), newByHand()}.unaryClient,
	}
}

func threadCPU() int64 {
	const threadClock = 3
	var at syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&at)), 0)
	return at.Nano()
}

// telling is an end whose chains look for traces, as they do where a receiver is.
func telling(t testing.TB, name string, server bool) *end {
	e := endWith(t, name, server)
	for _, it := range e.current.Load().chains {
		it.records = "nobody:0" // nothing is posted
	}
	return e
}

// TestBenchmark measures what an interceptor costs, by the CPU time of its thread: the ways take turns in short batches. It
// runs where APPNET_BENCH says how many rounds, and prints a line of JSON for each way.
func TestBenchmark(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("APPNET_BENCH"))
	if rounds == 0 {
		t.Log("APPNET_BENCH=ROUNDS measures")
		return
	}
	const batch = 2_000
	type way struct {
		name string
		call grpc.UnaryClientInterceptor
		end  *end
	}
	ways := []way{
		{"nothing", func(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoker(ctx, path, request, response, cc, opts...)
		}, nil},
	}
	hand := handwritten()
	for _, name := range []string{"none", "one", "four", "twelve"} {
		if call := hand[name]; call != nil {
			ways = append(ways, way{name + " by hand", call, nil})
		}
		e := telling(t, name, false)
		ways = append(ways, way{name, e.unaryClient, e})
	}
	ctx := context.Background()
	if os.Getenv("APPNET_BENCH_METADATA") != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer x", "x-request-id", "17")
	}
	req, reply := request(strings.Repeat("x", 100)), &grpc_testing.SimpleResponse{}
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	path := grpc_testing.TestService_UnaryCall_FullMethodName
	cpu, allocations := map[string][]float64{}, map[string]float64{}
	for round := range rounds {
		for _, it := range ways {
			runtime.LockOSThread()
			var before, after runtime.MemStats
			if round == 1 {
				runtime.ReadMemStats(&before)
			}
			at := threadCPU()
			for range batch {
				if err := it.call(ctx, path, req, reply, nil, invoke); err != nil {
					t.Fatal(it.name, err)
				}
			}
			took := float64(threadCPU()-at) / batch
			switch round {
			case 0: // all of it is new
			case 1:
				runtime.ReadMemStats(&after)
				allocations[it.name] = float64(after.Mallocs-before.Mallocs) / batch
			default:
				cpu[it.name] = append(cpu[it.name], took)
			}
			runtime.UnlockOSThread()
			if it.end != nil {
				for _, c := range it.end.current.Load().chains {
					c.instance.Records(c.time())
				}
			}
		}
	}
	for _, it := range ways {
		line, _ := json.Marshal(map[string]any{"way": it.name, "rounds": cpu[it.name], "allocations": allocations[it.name]})
		fmt.Println(string(line))
	}
}

func processCPU() int64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return used.Utime.Nano() + used.Stime.Nano()
}

func (c *byHand) unaryServer(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := c.judge(request); err != nil {
		return nil, err
	}
	md, ok := metadata.FromIncomingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	md.Set("x-tenant", "default")
	return handler(metadata.NewIncomingContext(ctx, md), request)
}

// TestEndToEndBenchmark measures the CPU time of all of an echo RPC over loopback, client and server in one process, with
// the chain of four on both sides.
func TestEndToEndBenchmark(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("APPNET_BENCH"))
	if rounds == 0 {
		t.Log("APPNET_BENCH=ROUNDS measures")
		return
	}
	const batch = 100
	type way struct {
		name   string
		client grpc_testing.TestServiceClient
	}
	hand := newByHand()
	client, server := telling(t, "four", false), telling(t, "four", true)
	ways := []way{
		{"nothing", connected(t, &service{}, nil, nil)},
		{"four by hand on both sides", connected(t, &service{}, []grpc.ServerOption{grpc.UnaryInterceptor(hand.unaryServer)}, []grpc.DialOption{grpc.WithUnaryInterceptor(hand.unaryClient)})},
		{"four on both sides", connected(t, &service{}, serverOptions(server), clientOptions(client))},
	}
	req := request(strings.Repeat("x", 100))
	cpu := map[string][]float64{}
	for round := range rounds {
		for _, it := range ways {
			at := processCPU()
			for range batch {
				if _, err := it.client.UnaryCall(context.Background(), req); err != nil {
					t.Fatal(it.name, err)
				}
			}
			if took := float64(processCPU()-at) / batch; round > 0 {
				cpu[it.name] = append(cpu[it.name], took)
			}
		}
		for _, e := range []*end{client, server} {
			for _, c := range e.current.Load().chains {
				c.instance.Records(c.time())
			}
		}
	}
	for _, it := range ways {
		line, _ := json.Marshal(map[string]any{"way": it.name, "rounds": cpu[it.name], "end_to_end": true})
		fmt.Println(string(line))
	}
}
