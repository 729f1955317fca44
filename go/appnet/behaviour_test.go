package appnet

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What users of gRPC know goes on as they know it. Elements stand where interceptors do: above retries and waiting, and
// above compression.

// order is what interceptors of the program note.
type order struct {
	mu    sync.Mutex
	noted []string
}

func (o *order) note(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noted = append(o.noted, what)
}

func (o *order) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	noted := o.noted
	o.noted = nil
	return noted
}

func (o *order) client(name string) []grpc.DialOption {
	tenant := func(ctx context.Context) string {
		md, _ := metadata.FromOutgoingContext(ctx)
		return strings.Join(md.Get("x-tenant"), "")
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			o.note(name + " " + string(req.(*grpc_testing.SimpleRequest).Payload.Body) + " " + tenant(ctx))
			err := invoker(ctx, method, req, reply, cc, opts...)
			o.note(name + " " + status.Code(err).String() + " " + string(reply.(*grpc_testing.SimpleResponse).GetPayload().GetBody()))
			return err
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			o.note(name + " " + tenant(ctx))
			return streamer(ctx, desc, cc, method, opts...)
		}),
	}
}

func (o *order) server(name string) []grpc.ServerOption {
	tenant := func(ctx context.Context) string {
		return strings.Join(metadata.ValueFromIncomingContext(ctx, "x-tenant"), "")
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			o.note(name + " " + string(req.(*grpc_testing.SimpleRequest).Payload.Body) + " " + tenant(ctx))
			reply, err := handler(ctx, req)
			body := ""
			if it, ok := reply.(*grpc_testing.SimpleResponse); ok {
				body = string(it.GetPayload().GetBody())
			}
			o.note(name + " " + status.Code(err).String() + " " + body)
			return reply, err
		}),
		grpc.ChainStreamInterceptor(func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			o.note(name + " " + tenant(stream.Context()))
			return handler(service, stream)
		}),
	}
}

// Interceptors of the program see the call as it is at their place among the options, on both sides.
func TestOrderOfInterceptors(t *testing.T) {
	o := &order{}
	sides := map[string]grpc_testing.TestServiceClient{
		"client": connected(t, &service{}, nil, slices.Concat(o.client("first"), clientOptions(endWith(t, "calls", false)), o.client("second"))),
		"server": connected(t, &service{}, slices.Concat(o.server("first"), serverOptions(endWith(t, "calls", true)), o.server("second")), nil),
	}
	calls := []struct {
		body string
		want []string
	}{
		{"change", []string{"first change ", "second changed of ann", "second OK changed", "first OK changed"}},
		{"change back", []string{"first change back ", "second change back of ann", "second OK change back", "first OK changed back"}},
		{"refuse", []string{"first refuse ", "first Aborted "}},
		{"answer", []string{"first answer ", "first OK made here"}},
		{"missing", []string{"first missing ", "second missing of ann", "second NotFound ", "first Unavailable "}},
	}
	for side, c := range sides {
		for _, it := range calls {
			_, _ = c.UnaryCall(metadata.AppendToOutgoingContext(within(t), "x-user", "ann"), request(it.body))
			if got := o.take(); !slices.Equal(got, it.want) {
				t.Errorf("%s, %s: %q, not %q", side, it.body, got, it.want)
			}
		}
	}
	streams := map[string]grpc_testing.TestServiceClient{
		"client": connected(t, &service{}, nil, slices.Concat(o.client("first"), clientOptions(endWith(t, "streams", false)), o.client("second"))),
		"server": connected(t, &service{}, slices.Concat(o.server("first"), serverOptions(endWith(t, "streams", true)), o.server("second")), nil),
	}
	for side, c := range streams {
		stream, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(within(t), "x-user", "ann"))
		if err == nil {
			_ = stream.CloseSend()
			_, err = stream.Recv()
		}
		if got, want := o.take(), []string{"first ", "second of ann"}; err != io.EOF || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %q, not %q", side, err, got, want)
		}
	}
}

// failing refuses calls until so many have come.
func failing(attempts *atomic.Int64, until int64, seen *atomic.Pointer[metadata.MD]) []grpc.ServerOption {
	refuse := func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		seen.Store(&md)
		if attempts.Add(1) < until {
			return status.Error(codes.Unavailable, "again")
		}
		return nil
	}
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := refuse(ctx); err != nil {
				return nil, err
			}
			return handler(ctx, req)
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if err := refuse(stream.Context()); err != nil {
				return err
			}
			return handler(service, stream)
		}),
	}
}

const retryPolicy = `"retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "0.01s",
	"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE", "ABORTED"]}`

func withPolicy(policy string) grpc.DialOption {
	return grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], ` + policy + `}]}`)
}

// All attempts of a call are one call for elements, whose request goes out as they made it each time. What an element
// refuses is no attempt.
func TestRetries(t *testing.T) {
	var attempts atomic.Int64
	var seen atomic.Pointer[metadata.MD]
	e := endWith(t, "calls", false)
	s := &service{}
	c := connected(t, s, failing(&attempts, 3, &seen), append(clientOptions(e), withPolicy(retryPolicy)))
	ctx := metadata.AppendToOutgoingContext(within(t), "x-user", "ann")
	var header metadata.MD
	if _, err := c.UnaryCall(ctx, request("change"), grpc.Header(&header)); err != nil || string(s.request.Load().Payload.Body) != "changed" {
		t.Fatal(err)
	}
	if got := *seen.Load(); attempts.Load() != 3 || strings.Join(got.Get("x-tenant"), "") != "of ann" || strings.Join(got.Get("grpc-previous-rpc-attempts"), "") != "2" {
		t.Error(attempts.Load(), got)
	}
	if got := header.Get("x-count"); len(got) != 1 || got[0] != "1" {
		t.Error("the caller saw", header)
	}
	if !strings.Contains(e.state(), "calls.count = 1\n") || !strings.Contains(e.state(), "calls.failed = 0\n") || !strings.Contains(e.state(), "calls.ends = 1\n") {
		t.Error(e.state())
	}
	attempts.Store(-100) // more than there are attempts
	_, err := c.UnaryCall(ctx, request("change"))
	codeOfLast(t, err, codes.Unavailable, "again")
	if attempts.Load() != -96 || !strings.Contains(e.state(), "calls.count = 2\n") || !strings.Contains(e.state(), "calls.failed = 1\n") {
		t.Error(attempts.Load(), e.state())
	}
	attempts.Store(0)
	_, err = c.UnaryCall(ctx, request("refuse"))
	code(t, err, codes.Aborted, "refused")
	if attempts.Load() != 0 {
		t.Error("what an element refused was tried", attempts.Load(), "times")
	}
	// A server's elements are asked for each attempt: there, each is a call.
	server := endWith(t, "calls", true)
	c = connected(t, &service{}, serverOptions(server), []grpc.DialOption{withPolicy(retryPolicy)})
	_, err = c.UnaryCall(ctx, request("refuse"))
	codeOfLast(t, err, codes.Aborted, "refused")
	if !strings.Contains(server.state(), "calls.count = 4\n") {
		t.Error(server.state())
	}
}

// Streams are retried as long as nothing has come back; elements do not see it.
func TestRetriesOfStreams(t *testing.T) {
	var attempts atomic.Int64
	var seen atomic.Pointer[metadata.MD]
	e := endWith(t, "streams", false)
	c := connected(t, &service{}, failing(&attempts, 3, &seen), append(clientOptions(e), withPolicy(retryPolicy)))
	stream, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(within(t), "x-user", "ann"))
	if err != nil {
		t.Fatal(err)
	}
	message := &grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte("change")}}
	if err := stream.Send(message); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || string(got.Payload.Body) != "changed" {
		t.Fatal(got, err)
	}
	_ = stream.CloseSend()
	if _, err := stream.Recv(); err != io.EOF {
		t.Fatal(err)
	}
	if attempts.Load() != 3 || !strings.Contains(e.state(), "duplex.sent = 1\n") || !strings.Contains(e.state(), "duplex.ends = 1\n") {
		t.Error(attempts.Load(), e.state())
	}
}

// gRPC-Go has no hedging: it takes the policy for none. When it gets one, this test tells us to look at what elements see.
func TestHedging(t *testing.T) {
	var attempts atomic.Int64
	var seen atomic.Pointer[metadata.MD]
	c := connected(t, &service{}, failing(&attempts, 3, &seen), append(clientOptions(endWith(t, "calls", false)),
		withPolicy(`"hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "0s", "nonFatalStatusCodes": ["UNAVAILABLE"]}`)))
	_, err := c.UnaryCall(within(t), request("hello"))
	code(t, err, codes.Unavailable, "again")
	if attempts.Load() != 1 {
		t.Error("hedging came to gRPC-Go:", attempts.Load())
	}
}

// Messages are compressed below elements, which read and write them as they are.
func TestCompression(t *testing.T) {
	s := &service{}
	client, server := endWith(t, "calls", false), endWith(t, "calls", true)
	c := connected(t, s, serverOptions(server), clientOptions(client))
	for _, body := range []string{"change", "change back", strings.Repeat("x", 1<<20)} {
		answer, err := c.UnaryCall(within(t), request(body), grpc.UseCompressor(gzip.Name))
		want := strings.ReplaceAll(body, "change", "changed")
		if err != nil || string(answer.Payload.Body) != want {
			t.Fatal(len(answer.GetPayload().GetBody()), err)
		}
	}
	streams := endWith(t, "streams", false)
	c = connected(t, s, serverOptions(endWith(t, "streams", true)), append(clientOptions(streams), grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name))))
	stream, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(within(t), "x-user", "ann"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte("change")}}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || string(got.Payload.Body) != "changed" {
			t.Fatal(got, err)
		}
	}
}

// gRPC's limits are gRPC's: elements see the error as any other, and messages of any size that passes.
func TestLargeMessages(t *testing.T) {
	const usual = 4 << 20
	s := &service{}
	client, server := endWith(t, "calls", false), endWith(t, "calls", true)
	c := connected(t, s, serverOptions(server), clientOptions(client))
	if _, err := c.UnaryCall(within(t), request(strings.Repeat("x", usual-100))); err != nil {
		t.Fatal(err)
	}
	_, err := c.UnaryCall(within(t), request(strings.Repeat("x", usual)))
	if status.Code(err) != codes.ResourceExhausted || s.calls.Load() != 1 {
		t.Fatal(err)
	}
	if !strings.Contains(client.state(), "calls.failed = 1\n") || !strings.Contains(server.state(), "calls.count = 1\n") {
		t.Error(client.state(), server.state())
	}
	_, err = c.UnaryCall(within(t), request(strings.Repeat("x", 1000)), grpc.MaxCallSendMsgSize(999))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(client.state(), "calls.failed = 2\n") {
		t.Error(err, client.state())
	}
	large := append(serverOptions(endWith(t, "calls", true)), grpc.MaxRecvMsgSize(64<<20))
	c = connected(t, &service{}, large, append(clientOptions(client), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20))))
	answer, err := c.UnaryCall(within(t), request(strings.Repeat("x", 32<<20)))
	if err != nil || len(answer.Payload.Body) != 32<<20 {
		t.Fatal(err)
	}
	text := connected(t, &service{}, nil, append(clientOptions(endWith(t, "text", false)), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20))))
	if answer, err = text.UnaryCall(within(t), request(strings.Repeat("x", usual-100))); err != nil || len(answer.Username) != usual-100 {
		t.Fatal(len(answer.GetUsername()), err) // written, as large as it was read
	}
}

// A call that waits for a server is judged once, before it waits; its own deadline ends it.
func TestWaitForReady(t *testing.T) {
	e := endWith(t, "calls", false)
	c, address := toNobody(t, clientOptions(e))
	_, err := c.UnaryCall(within(t), request("hello"))
	if status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err = c.UnaryCall(ctx, request("hello"), grpc.WaitForReady(true)); status.Code(err) != codes.DeadlineExceeded {
		t.Fatal(err)
	}
	if _, err = c.UnaryCall(within(t), request("refuse"), grpc.WaitForReady(true)); status.Code(err) != codes.Aborted {
		t.Fatal("a refused call waited: ", err)
	}
	before := e.state()
	done := make(chan error)
	go func() {
		_, err := c.UnaryCall(within(t), request("hello"), grpc.WaitForReady(true))
		done <- err
	}()
	waitFor(t, func() bool { return e.state() != before }, e.state)
	hostAt(t, address, "late")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(e.state(), "calls.count = 4\n") || !strings.Contains(e.state(), "calls.failed = 2\n") || !strings.Contains(e.state(), "calls.ends = 3\n") {
		t.Error(e.state())
	}
}

// codeOfLast is code for a call that was tried again: newer gRPC puts how often into its text.
func codeOfLast(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if status.Code(err) != want || !strings.HasSuffix(status.Convert(err).Message(), text) {
		t.Errorf("got %v, want %v %q", err, want, text)
	}
}
