package appnet

import (
	"context"
	"fmt"
	"net"
	"strconv"
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

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

// named is a service that says which host it is.
type named struct {
	service
	name string
}

func (s *named) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	s.note(ctx)
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload(), Username: s.name}, nil
}

func (s *named) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	s.note(stream.Context())
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: []byte(s.name)}})
}

// hostAt serves at an address, an own one if it is empty.
func hostAt(t *testing.T, address, name string) (*named, string, *grpc.Server) {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s, it := &named{name: name}, grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(it, s)
	go it.Serve(listener)
	t.Cleanup(it.Stop)
	return s, listener.Addr().String(), it
}

// several are hosts, and a client whose chain chooses among them; it addresses the first.
func several(t *testing.T, name string, count int, more ...grpc.DialOption) (hosts []*named, client grpc_testing.TestServiceClient) {
	t.Helper()
	var addresses []string
	for i := range count {
		s, address, _ := hostAt(t, "", strconv.Itoa(i))
		hosts, addresses = append(hosts, s), append(addresses, address)
	}
	return hosts, choosing(t, name, addresses, addresses[0], more...)
}

func choosing(t *testing.T, name string, addresses []string, target string, more ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	e := newEnd("frontend", false, settings{patience: time.Second, engine: testEngine})
	it := part(t, name, false)
	it.Hosts = addresses
	it.Chains[0].Name += t.Name()
	v, err := e.versionOf([]*control.Version{it})
	if err != nil {
		t.Fatal(err)
	}
	e.use(v)
	return clientOf(t, "passthrough:///"+target, append(append(e.dialOptions(), quickly), more...)...)
}

func toHost(ctx context.Context, number int) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-host", strconv.Itoa(number))
}

func TestAnElementChoosesTheHost(t *testing.T) {
	_, c := several(t, "hosts", 3)
	for i := range 30 {
		answer, err := c.UnaryCall(toHost(within(t), i%3), request("hello"))
		if err != nil || answer.Username != strconv.Itoa(i%3) {
			t.Fatal(i, answer, err)
		}
		stream, err := c.FullDuplexCall(toHost(within(t), i%3))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || string(got.Payload.Body) != strconv.Itoa(i%3) {
			t.Fatal(i, got, err)
		}
	}
}

// A number that no host has means any of them: the calls take turns.
func TestAnyHost(t *testing.T) {
	hosts, c := several(t, "hosts", 3)
	waitFor(t, func() bool {
		_, err := c.UnaryCall(toHost(within(t), 7), request("hello"))
		return err == nil && hosts[0].calls.Load() > 0 && hosts[1].calls.Load() > 0 && hosts[2].calls.Load() > 0
	}, func() string { return "a host has got no call" })
}

// A host that flaps costs its own calls alone, and none goes to another host.
func TestNoCallGoesAstrayWhileAHostFlaps(t *testing.T) {
	var addresses []string
	for i := range 2 {
		_, address, _ := hostAt(t, "", strconv.Itoa(i))
		addresses = append(addresses, address)
	}
	_, flapping, server := hostAt(t, "", "2")
	c := choosing(t, "hosts", append(addresses, flapping), addresses[0])
	var astray, failed atomic.Int64
	var calls, stopping sync.WaitGroup
	stop := make(chan struct{})
	spawn(&stopping, func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			server.Stop()
			time.Sleep(20 * time.Millisecond)
			listener, err := net.Listen("tcp", flapping)
			if err != nil {
				t.Error(err)
				return
			}
			server = grpc.NewServer()
			grpc_testing.RegisterTestServiceServer(server, &named{name: "2"})
			go server.Serve(listener)
		}
	})
	for i := range 300 {
		spawn(&calls, func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			answer, err := c.UnaryCall(toHost(within(t), i%3), request("hello"), grpc.WaitForReady(true))
			switch {
			case err != nil && (i%3 != 2 || status.Code(err) != codes.Unavailable):
				t.Error(i, err)
			case err != nil:
				failed.Add(1) // it was cut off
			case answer.Username != strconv.Itoa(i%3):
				astray.Add(1)
			}
		})
	}
	calls.Wait()
	close(stop)
	stopping.Wait()
	server.Stop()
	if astray.Load() > 0 || failed.Load() >= 100 { // 100 are for the host that flaps
		t.Errorf("%d of 300 went astray, %d failed", astray.Load(), failed.Load())
	}
	t.Logf("%d of 300 were cut off, 0 went astray", failed.Load())
}

// A call to a host that cannot be reached fails at once, or waits if its caller says so.
func TestAChosenHostIsGone(t *testing.T) {
	_, here, _ := hostAt(t, "", "0")
	place, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := place.Addr().String()
	place.Close()
	c := choosing(t, "hosts", []string{here, gone}, here)
	_, err = c.UnaryCall(toHost(within(t), 1), request("hello"))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "host "+gone) {
		t.Fatal(err)
	}
	if answer, err := c.UnaryCall(toHost(within(t), 0), request("hello")); err != nil || answer.Username != "0" {
		t.Fatal(answer, err)
	}
	waiting := make(chan error)
	go func() {
		_, err := c.UnaryCall(toHost(within(t), 1), request("hello"), grpc.WaitForReady(true))
		waiting <- err
	}()
	time.Sleep(20 * time.Millisecond)
	hostAt(t, gone, "1")
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
}

// A program may have a service config of its own. Without the policy in it, calls to a chosen host go nowhere.
func TestOwnServiceConfig(t *testing.T) {
	retries := `"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.001s",
		"maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]`
	hosts, c := several(t, "hosts", 2, grpc.WithDefaultServiceConfig("{"+retries+"}"))
	_, err := c.UnaryCall(toHost(within(t), 1), request("hello"), grpc.PerRPCCredentials(token{}))
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), `{"loadBalancingConfig": [{"appnet": {}}]}`) {
		t.Fatal(err)
	}
	if hosts[0].calls.Load()+hosts[1].calls.Load() > 0 {
		t.Fatal("the call went somewhere")
	}
	if _, err := c.UnaryCall(toHost(within(t), 7), request("hello")); err != nil {
		t.Fatal(err) // any host will do, so the policy does not matter
	}
	for _, config := range []string{
		"{" + retries + `, "loadBalancingConfig": [{"appnet": {}}]}`,
		`{"loadBalancingConfig": [{"appnet": {"childPolicy": [{"no_such": {}}, {"round_robin": {}}]}}]}`,
	} {
		hosts, c := several(t, "hosts", 2, grpc.WithDefaultServiceConfig(config))
		answer, err := c.UnaryCall(toHost(within(t), 1), request("hello"), grpc.PerRPCCredentials(token{}))
		if err != nil || answer.Username != "1" {
			t.Fatal(config, answer, err)
		}
		if got := (*hosts[1].seen.Load()).Get("x-token"); len(got) != 1 {
			t.Error("the caller's own credentials are lost")
		}
	}
	for _, config := range []string{`{"childPolicy": [{"no_such": {}}]}`, `{"childPolicy": 1}`, `{"childPolicy": [{"round_robin": 7}]}`} {
		if _, err := (policy{}).ParseConfig([]byte(config)); err == nil && !strings.Contains(config, "round_robin") {
			t.Error(config)
		}
	}
}

type token struct{}

func (token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"x-token": "t"}, nil
}

func (token) RequireTransportSecurity() bool { return false }

// The standard elements that choose hosts do on this host what they do in a proxy.
func TestStandardElementsThatChoose(t *testing.T) {
	t.Run("sticky", func(t *testing.T) {
		_, c := several(t, "sticky", 3)
		at, used := map[string]string{}, map[string]bool{}
		for i := range 80 {
			session := fmt.Sprint("s", i%40)
			answer, err := c.UnaryCall(metadata.AppendToOutgoingContext(within(t), "session", session), request("hello"))
			if err != nil {
				t.Fatal(err)
			}
			if host, there := at[session]; there && host != answer.Username {
				t.Errorf("%s went from %s to %s", session, host, answer.Username)
			}
			at[session], used[answer.Username] = answer.Username, true
		}
		if len(used) != 3 {
			t.Error(used)
		}
	})
	t.Run("canary", func(t *testing.T) {
		_, c := several(t, "canary", 3)
		for range 5 {
			answer, err := c.UnaryCall(metadata.AppendToOutgoingContext(within(t), "x-canary", "true"), request("hello"))
			if err != nil || answer.Username != "2" {
				t.Fatal(answer, err)
			}
		}
	})
	t.Run("servicerouter_client", func(t *testing.T) {
		hosts, c := several(t, "servicerouter_client", 3)
		for range 60 {
			if _, err := c.UnaryCall(within(t), request("hello")); err != nil {
				t.Fatal(err)
			}
		}
		for i, it := range hosts {
			if it.calls.Load() == 0 {
				t.Errorf("host %d got none of 60 calls", i)
			}
		}
	})
}
