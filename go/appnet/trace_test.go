package appnet

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

const aTrace, aCaller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

var sampled = "00-" + aTrace + "-" + aCaller + "-01"

// receiver takes what chains tell, unless it is away.
type receiver struct {
	at       string
	away     atomic.Bool
	mu       sync.Mutex
	posts    map[string][][]byte // by path
	refusing atomic.Int64        // posts of spans that were refused
}

func newReceiver() *receiver {
	r := &receiver{posts: map[string][][]byte{}}
	// It stays as long as the process: chains that the garbage collector ends tell it something later.
	it := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		if r.away.Load() {
			r.refusing.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts[q.URL.Path] = append(r.posts[q.URL.Path], body)
	}))
	r.at = strings.TrimPrefix(it.URL, "http://")
	return r
}

func (r *receiver) told(path string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Join(r.posts[path], nil)
}

// span is what a post says of one.
type span struct{ trace, id, parent, chain, status string }

// fields of an encoded message that have bytes, by their numbers.
func fields(t *testing.T, message []byte) map[protowire.Number][][]byte {
	found := map[protowire.Number][][]byte{}
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		message = message[size:]
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			found[number] = append(found[number], value)
		}
		size = protowire.ConsumeFieldValue(number, kind, message)
		message = message[size:]
	}
	return found
}

// spans are those of all posts.
func (r *receiver) spans(t *testing.T) []span {
	var found []span
	for _, resource := range fields(t, r.told(spans))[1] {
		for _, scope := range fields(t, resource)[2] {
			for _, it := range fields(t, scope)[2] {
				of := fields(t, it)
				s := span{trace: hex.EncodeToString(of[1][0]), id: hex.EncodeToString(of[2][0])}
				if len(of[4]) > 0 {
					s.parent = hex.EncodeToString(of[4][0])
				}
				for _, attribute := range of[9] {
					pair := fields(t, attribute)
					switch value := string(fields(t, pair[2][0])[1][0]); string(pair[1][0]) {
					case "appnet.chain":
						s.chain = value
					case "rpc.response.status_code":
						s.status = value
					}
				}
				found = append(found, s)
			}
		}
	}
	return found
}

// tracedPair is a service whose calls pass a chain at both ends, which tell the receiver.
type tracedPair struct {
	*receiver
	service
	ends   []*end
	client grpc_testing.TestServiceClient
}

func newPair(t *testing.T, name string, share uint32, client []grpc.DialOption, server ...grpc.ServerOption) *tracedPair {
	p := &tracedPair{receiver: newReceiver()}
	for _, server := range []bool{false, true} {
		e := newEnd(map[bool]string{false: "frontend", true: "server"}[server], server, settings{patience: time.Second, engine: testEngine})
		p.ends = append(p.ends, e)
		p.use(t, e, name, share)
	}
	p.client = connected(t, &p.service, append(serverOptions(p.ends[1]), server...), append(clientOptions(p.ends[0]), client...))
	return p
}

// use makes an end run the chain of this name, anew where it did before.
func (p *tracedPair) use(t *testing.T, e *end, name string, share uint32) {
	it := part(t, name, e.server)
	it.Chains[0].Name += t.Name()
	it.Chains[0].TraceShare = share
	it.Records = p.at
	v, err := e.versionOf([]*control.Version{it})
	if err != nil {
		t.Fatal(err)
	}
	e.use(v)
}

// told flushes, until so many spans have come.
func (p *tracedPair) told(t *testing.T, count int) []span {
	t.Helper()
	var found []span
	waitFor(t, func() bool {
		for _, e := range p.ends {
			e.flush(false)
		}
		found = p.spans(t)
		return len(found) >= count
	}, func() string { return fmt.Sprint(found) })
	if len(found) != count {
		t.Fatal(found)
	}
	return found
}

// of is the span of a chain.
func of(t *testing.T, found []span, chain string) span {
	t.Helper()
	for _, it := range found {
		if strings.HasSuffix(it.chain, chain) {
			return it
		}
	}
	t.Fatal("no span of", chain, "in", found)
	return span{}
}

func with(t *testing.T, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(within(t), pairs...)
}

// Every way in which a call may end leaves a span at each end that it reached, in the caller's trace.
func TestTraces(t *testing.T) {
	for _, chain := range []string{"calls", "none"} { // one that reads metadata and knows the time, and one that does neither
		for body, want := range map[string]string{
			"hello": "OK OK", "change": "OK OK", "fail": "FAILED_PRECONDITION FAILED_PRECONDITION", "missing": "UNAVAILABLE UNAVAILABLE",
			"refuse": "ABORTED", "answer": "OK", "refuse back": "DATA_LOSS DATA_LOSS",
		} {
			if chain == "none" {
				want = map[string]string{"fail": want, "missing": "NOT_FOUND NOT_FOUND"}[body]
				if want == "" {
					want = "OK OK"
				}
			}
			t.Run(chain+" "+body, func(t *testing.T) {
				p := newPair(t, chain, 0, nil)
				_, _ = p.client.UnaryCall(with(t, "traceparent", sampled, "tracestate", "a=b"), request(body))
				count := strings.Count(want, " ") + 1
				found := p.told(t, count)
				client := of(t, found, ".client")
				got := client.status
				if client.trace != aTrace || client.parent != aCaller {
					t.Error(client)
				}
				if count == 2 {
					server, seen := of(t, found, ".server"), *p.seen.Load()
					got += " " + server.status
					if server.trace != aTrace || server.parent != client.id {
						t.Error(client, server)
					}
					if on := seen.Get("traceparent"); len(on) != 1 || on[0] != "00-"+aTrace+"-"+server.id+"-01" {
						t.Error("the handler saw", on)
					}
					if state := seen.Get("tracestate"); len(state) != 1 || state[0] != "a=b" {
						t.Error("the handler saw", state)
					}
				}
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

func TestTracesOfStreams(t *testing.T) {
	p := newPair(t, "streams", 0, nil)
	for sent, want := range map[string]codes.Code{"hello": codes.OK, "refuse": codes.Aborted, "refuse back": codes.DataLoss} {
		stream, err := p.client.FullDuplexCall(with(t, "b3", aTrace+"-"+aCaller+"-1"))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(sent)}})
		_ = stream.CloseSend()
		for err == nil {
			_, err = stream.Recv()
		}
		if err != io.EOF && status.Code(err) != want {
			t.Fatal(sent, err)
		}
	}
	ctx, cancel := context.WithCancel(with(t, "b3", aTrace+"-"+aCaller+"-1"))
	stream, err := p.client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&grpc_testing.StreamingOutputCallRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	statuses := map[string]int{}
	ids := map[string]bool{}
	found := p.told(t, 7) // the client's chain refuses one before it reaches the server
	for _, it := range found {
		if strings.HasSuffix(it.chain, ".client") {
			statuses[it.status]++
			ids[it.id] = it.parent == aCaller
		}
	}
	for _, it := range found {
		if strings.HasSuffix(it.chain, ".server") && !ids[it.parent] {
			t.Error(it)
		}
	}
	if statuses["OK"] != 1 || statuses["ABORTED"] != 1 || statuses["DATA_LOSS"] != 1 || statuses["CANCELLED"] != 1 {
		t.Error(statuses)
	}
	if on := (*p.seen.Load()).Get("b3"); len(on) != 1 || !strings.HasPrefix(on[0], aTrace) || len((*p.seen.Load()).Get("traceparent")) > 0 {
		t.Error("the handler saw", on)
	}
}

// What the caller does not want traced stays as it is.
func TestNothingIsTracedThatNobodyTraces(t *testing.T) {
	for _, chain := range []string{"calls", "none"} {
		p := newPair(t, chain, 0, nil)
		for _, pairs := range [][]string{{}, {"traceparent", sampled[:53] + "00"}, {"b3", "0"}, {"traceparent", "00-" + strings.Repeat("0", 32)}, {"b3", strings.Repeat("d", 9000)}} {
			if _, err := p.client.UnaryCall(with(t, pairs...), request("hello")); err != nil {
				t.Fatal(err)
			}
			seen := *p.seen.Load()
			for i := 0; i < len(pairs); i += 2 {
				if on := seen.Get(pairs[i]); len(on) != 1 || on[0] != pairs[i+1] {
					t.Error("the handler saw", on)
				}
			}
			if len(pairs) == 0 && len(seen.Get("traceparent")) > 0 {
				t.Error("the handler saw", seen)
			}
		}
		_, _ = p.client.UnaryCall(with(t, "traceparent", sampled), request("hello"))
		p.told(t, 2)
	}
}

func TestAShareIsTraced(t *testing.T) {
	p := newPair(t, "one", math.MaxUint32, nil)
	if _, err := p.client.UnaryCall(within(t), request("hello")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"b3", "x-b3-sampled"} {
		if _, err := p.client.UnaryCall(with(t, key, "0"), request("hello")); err != nil {
			t.Fatal(err)
		}
	}
	found := p.told(t, 2)
	client, server := of(t, found, ".client"), of(t, found, ".server")
	if client.parent != "" || server.parent != client.id || server.trace != client.trace {
		t.Error(client, server)
	}
}

// A retry is another call to the server, in the same trace.
func TestRetriesAreTraced(t *testing.T) {
	retry := `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
		"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	busy := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		return nil, status.Error(codes.Unavailable, "busy")
	}
	p := newPair(t, "none", 0, []grpc.DialOption{grpc.WithDefaultServiceConfig(retry)}, grpc.ChainUnaryInterceptor(busy))
	_, err := p.client.UnaryCall(with(t, "traceparent", sampled), request("hello"))
	if it := status.Convert(err); it.Code() != codes.Unavailable || !strings.HasSuffix(it.Message(), "busy") { // newer ones count attempts
		t.Error(it)
	}
	found := p.told(t, 3)
	client := of(t, found, ".client")
	for _, it := range found {
		if it != client && it.parent != client.id {
			t.Error(client, it)
		}
	}
}

// What an interceptor between chain and wire says of the trace goes on: it is that of OpenTelemetry, as a rule.
func TestAnInnerInterceptorHasTheLastWord(t *testing.T) {
	inner := func(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		before := md.Get("traceparent")
		if len(before) != 1 || before[0] == sampled || !strings.HasPrefix(before[0], "00-"+aTrace) {
			t.Error("it saw", before)
		}
		md.Set("traceparent", "00-"+aTrace+"-1111111111111111-01")
		return invoker(metadata.NewOutgoingContext(ctx, md), path, request, response, cc, opts...)
	}
	p := newPair(t, "calls", 0, []grpc.DialOption{grpc.WithChainUnaryInterceptor(inner)})
	if _, err := p.client.UnaryCall(with(t, "traceparent", sampled), request("hello")); err != nil {
		t.Fatal(err)
	}
	if server := of(t, p.told(t, 2), ".server"); server.parent != "1111111111111111" {
		t.Error(server)
	}
}

func TestSpansThatNobodyTakesAreCounted(t *testing.T) {
	p := newPair(t, "none", 0, nil)
	p.away.Store(true)
	if _, err := p.client.UnaryCall(with(t, "traceparent", sampled), request("hello")); err != nil {
		t.Fatal(err)
	}
	p.ends[0].flush(false)
	if p.refusing.Load() == 0 {
		t.Fatal("nothing was posted")
	}
	p.away.Store(false)
	p.ends[0].flush(true)
	if !bytes.Contains(p.receiver.told(metrics), []byte("appnet.spans.dropped")) {
		t.Error("they are not counted")
	}
	if len(p.spans(t)) != 0 {
		t.Error("they came all the same")
	}
}

// What a call does in a chain that was replaced meanwhile is told when it ends, and not only once the chain does.
func TestReplacedChainsTellWhatCallsDo(t *testing.T) {
	p := newPair(t, "none", 0, nil)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would end the chain
	ctx, cancel := context.WithCancel(with(t, "traceparent", sampled))
	ended := make(chan error)
	go func() {
		_, err := p.client.UnaryCall(ctx, request("slow"))
		ended <- err
	}()
	waitFor(t, func() bool { return p.calls.Load() == 1 }, func() string { return "it does not reach the server" })
	for _, e := range p.ends {
		p.use(t, e, "none", 0)
		e.flush(true)
	}
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
	p.told(t, 2)
}

// Where nothing is told, nothing is traced either, and the context goes on as it came.
func TestWithoutAReceiverNothingIsTraced(t *testing.T) {
	eachSide(t, "calls", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		if _, err := c.UnaryCall(with(t, "traceparent", sampled), request("hello")); err != nil {
			t.Fatal(err)
		}
		if on := s.seen.Load().Get("traceparent"); len(on) != 1 || on[0] != sampled {
			t.Error("the handler saw", on)
		}
		at, wall := e.current.Load().chains[0].time()
		if _, count := e.current.Load().chains[0].instance.Spans(at, wall); count != 0 {
			t.Error(count)
		}
	})
}
