package wasm_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/appnet-org/appnet/go/appnet"
	"github.com/appnet-org/appnet/go/appnet/wasm"
)

type service struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (service) UnaryCall(_ context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload()}, nil
}

// client is one whose chain of this name runs in a module. The tests of package appnet run in modules as well: the chain of
// their tests comes from the same folder, and pytest runs both.
func client(t *testing.T, name string, options ...wasm.Option) grpc_testing.TestServiceClient {
	t.Helper()
	folder := os.Getenv("APPNET_CHAINS")
	if folder == "" {
		t.Skip("pytest tests/processors/grpc compiles the chains, and runs this")
	}
	file, err := os.ReadFile(filepath.Join(folder, name+".client.chains"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, service{})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	files := fstest.MapFS{"it.chains": {Data: file}}
	dial := appnet.Dial("frontend", appnet.Embedded(files), wasm.Runtime(options...), appnet.Patience(time.Second))
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_testing.NewTestServiceClient(conn)
}

func call(t *testing.T, c grpc_testing.TestServiceClient, body string, opts ...grpc.CallOption) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	answer, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: []byte(body)}}, opts...)
	return string(answer.GetPayload().GetBody()), err
}

// A module that faults is an error of its call. The next call finds another, whose state is new.
func TestFaults(t *testing.T) {
	c := client(t, "faulty")
	count := func() string {
		var header metadata.MD
		if got, err := call(t, c, "change", grpc.Header(&header)); err != nil || got != "changed" {
			t.Fatal(got, err)
		}
		return strings.Join(header.Get("x-count"), " ")
	}
	for _, body := range []string{"refuse", "refuse back", "refuse"} {
		if one, two := count(), count(); one != "1" || two != "2" {
			t.Fatal(one, two)
		}
		_, err := call(t, c, body)
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "appnet: chain faulty failed: wasm error: ") {
			t.Fatal(err)
		}
	}
}

// Calls that are under way in a module that faults end with it.
func TestFaultsUnderLoad(t *testing.T) {
	c := client(t, "faulty")
	done := make(chan error)
	for i := range 16 {
		go func() {
			body := "change"
			if i%4 == 0 {
				body = "refuse back"
			}
			for range 20 {
				_, err := call(t, c, body)
				if (err == nil && i%4 == 0) || (err != nil && status.Code(err) != codes.Internal) {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got, err := call(t, c, "change"); err != nil || got != "changed" {
		t.Fatal(got, err)
	}
}

// A chain gets no more memory than it may have. A call that needs more is refused, and the module goes on.
func TestMemoryIsBounded(t *testing.T) {
	c := client(t, "hoard", wasm.Memory(2<<20))
	for i := range 100 {
		if _, err := call(t, c, strings.Repeat("x", 64<<10)); err != nil && status.Code(err) != codes.ResourceExhausted {
			t.Fatal(i, err)
		}
	}
	_, err := call(t, c, strings.Repeat("x", 3<<20))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "out of memory") {
		t.Fatal(err)
	}
	if got, err := call(t, c, "x"); err != nil || got != "x" {
		t.Fatal(err)
	}
}
