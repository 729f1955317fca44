package appnet

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

var quickly = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond},
	MinConnectTimeout: time.Second,
})

// toNobody is a client of an address where nobody is yet.
func toNobody(t *testing.T, options []grpc.DialOption) (grpc_testing.TestServiceClient, string) {
	t.Helper()
	place, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := place.Addr().String()
	place.Close()
	return clientOf(t, "passthrough:///"+address, append(options, quickly)...), address
}

func clientOf(t *testing.T, target string, options ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(target, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_testing.NewTestServiceClient(conn)
}

// Addresses of a name that change are the business of gRPC alone: no call is lost, and elements keep their state.
func TestAddressesChange(t *testing.T) {
	for name, policy := range map[string]string{
		"usual": "",
		"own":   `{"loadBalancingConfig": [{"round_robin": {}}]}`,
		"below": `{"loadBalancingConfig": [{"appnet": {"childPolicy": [{"round_robin": {}}]}}]}`,
	} {
		t.Run(name, func(t *testing.T) { testAddressesChange(t, policy) })
	}
}

func testAddressesChange(t *testing.T, policy string) {
	e := endWith(t, "counts-a", false)
	var hosts []*named
	var all []resolver.Address
	for _, name := range []string{"0", "1", "2"} {
		s, address, _ := hostAt(t, "", name)
		hosts, all = append(hosts, s), append(all, resolver.Address{Addr: address})
	}
	names := manual.NewBuilderWithScheme("names")
	names.InitialState(resolver.State{Addresses: all[:1]})
	options := append(clientOptions(e), grpc.WithResolvers(names))
	if policy != "" {
		options = append(options, grpc.WithDefaultServiceConfig(policy))
	}
	c := clientOf(t, "names:///server", options...)
	made := 0
	call := func() string {
		made++
		answer, err := c.UnaryCall(within(t), request("hello"))
		if err != nil {
			t.Fatal(policy, made, err)
		}
		return answer.Username
	}
	if got := call(); got != "0" {
		t.Fatal(got)
	}
	for i := range 30 {
		names.UpdateState(resolver.State{Addresses: all[i%3 : i%3+1]})
		for range 10 {
			call()
		}
	}
	names.UpdateState(resolver.State{Addresses: all[1:2]})
	waitFor(t, func() bool { return call() == "1" }, e.state)
	if policy != "" {
		names.UpdateState(resolver.State{Addresses: all})
		waitFor(t, func() bool {
			call()
			return hosts[0].calls.Load() > 0 && hosts[2].calls.Load() > 0
		}, e.state)
	}
	if want := "counts.count = " + strconv.Itoa(made) + "\n"; !strings.Contains(e.state(), want) {
		t.Errorf("%s: %s is not %s", policy, e.state(), want)
	}
	names.UpdateState(resolver.State{})
	names.CC().ReportError(status.Error(codes.Unavailable, "no such name"))
	waitFor(t, func() bool {
		_, err := c.UnaryCall(within(t), request("hello"))
		return status.Code(err) == codes.Unavailable
	}, e.state)
}

// Connections that servers end, as they do to spread load anew, cost no call.
func TestConnectionsGrowOld(t *testing.T) {
	client, server := endWith(t, "calls", false), endWith(t, "calls", true)
	old := grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 20 * time.Millisecond, MaxConnectionAgeGrace: time.Second})
	var connections atomic.Int64
	options := append(clientOptions(client), grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		connections.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	c := connected(t, &service{}, append(serverOptions(server), old), append(options, grpc.WithContextDialer(dial)))
	for begun, made := time.Now(), 1; connections.Load() < 3 && time.Since(begun) < 20*time.Second; made++ {
		answer, err := c.UnaryCall(within(t), request("change"))
		if err != nil || string(answer.Payload.Body) != "changed" {
			t.Fatal(made, err)
		}
		if want := "calls.ends = " + strconv.Itoa(made) + "\n"; !strings.Contains(client.state(), want) {
			t.Fatal(client.state(), want)
		}
	}
	if connections.Load() < 3 {
		t.Error(connections.Load())
	}
}

// A peer that says nothing any more ends a call when keepalive finds out: handlers and elements are told.
func TestKeepalive(t *testing.T) {
	e := endWith(t, "streams", true)
	s := &service{cut: make(chan error, 1)}
	probes := grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, Timeout: 100 * time.Millisecond})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(serverOptions(e), probes)...)
	grpc_testing.RegisterTestServiceServer(server, s)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	between, silence := blackHole(t, listener.Addr().String())
	stream, err := clientOf(t, "passthrough:///"+between).FullDuplexCall(metadata.AppendToOutgoingContext(within(t), "x-user", "ann"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	silence.Store(true)
	select {
	case err := <-s.cut:
		if status.Code(err) != codes.Canceled {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the handler was not told")
	}
	waitFor(t, func() bool { return strings.Contains(e.state(), "duplex.left = 1\n") }, e.state)
}

// blackHole passes bytes on to an address until there is silence.
func blackHole(t *testing.T, to string) (string, *atomic.Bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	silence := &atomic.Bool{}
	pass := func(from, to net.Conn) {
		buffer := make([]byte, 1<<12)
		for {
			n, err := from.Read(buffer)
			if !silence.Load() {
				_, _ = to.Write(buffer[:n])
			}
			if err != nil {
				if err != io.EOF || !silence.Load() {
					to.Close()
				}
				return
			}
		}
	}
	go func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				here.Close()
				return
			}
			t.Cleanup(func() { here.Close(); there.Close() })
			go pass(here, there)
			go pass(there, here)
		}
	}()
	return listener.Addr().String(), silence
}
