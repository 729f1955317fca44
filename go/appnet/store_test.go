package appnet

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

const unaryCall = "/grpc.testing.TestService/UnaryCall"

// sharing is a version of the chain `shared`, by a name within the process, with state that belongs to the scope.
func sharing(t *testing.T, name, scope string, timeout time.Duration) *control.Version {
	it := part(t, "shared", true)
	script, err := os.ReadFile(filepath.Join(chainsFolder(t), "state.lua"))
	if err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("APPNET_STORE")
	if path == "" {
		t.Skip("pytest tests/processors/grpc starts a store, and runs this")
	}
	it.Chains[0].Name = name
	it.Chains[0].Store = &control.Store{
		Path: path, Scope: scope, Script: script, TimeoutMs: uint32(timeout.Milliseconds()), MergeMs: 20,
	}
	return it
}

func served(t *testing.T, e *end, version *control.Version) {
	v, err := e.versionOf([]*control.Version{version})
	if err != nil {
		t.Fatal(err)
	}
	e.use(v)
}

func called(e *end) codes.Code {
	_, err := e.unaryServer(context.Background(), &testpb.SimpleRequest{}, &grpc.UnaryServerInfo{FullMethod: unaryCall},
		func(context.Context, any) (any, error) { return &testpb.SimpleResponse{}, nil })
	return status.Code(err)
}

// Instances have one limit, whatever versions come and go meanwhile.
func TestSharedState(t *testing.T) {
	scope := newID() // state of a run before may outlive it
	version := sharing(t, "one", scope, 20*time.Second)
	if testEngine != nil {
		e := newEnd("server", true, settings{engine: testEngine})
		if _, err := e.versionOf([]*control.Version{version}); err == nil || !strings.Contains(err.Error(), "shares state") {
			t.Fatalf("a module of wasm shares no state: %v", err)
		}
		return
	}
	ends := []*end{newEnd("server", true, settings{}), newEnd("server", true, settings{})}
	served(t, ends[0], version)
	served(t, ends[1], sharing(t, "other", scope, 20*time.Second))
	var passed, refused atomic.Int32
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for n := range 10 {
				switch code := called(ends[i%2]); code {
				case codes.OK:
					passed.Add(1)
				case codes.ResourceExhausted:
					refused.Add(1)
				default:
					t.Error(code)
				}
				if i == 0 && n%4 == 3 {
					served(t, ends[0], sharing(t, "one", scope, 20*time.Second))
					runtime.GC() // so that the one before ends
				}
			}
		}()
	}
	calls.Wait()
	if passed.Load() != 40 || refused.Load() != 40 {
		t.Fatalf("%d passed, %d were refused", passed.Load(), refused.Load())
	}
	for _, it := range ends {
		eventually(t, func() bool {
			return strings.Contains(it.current.Load().chains[0].instance.State(), "limit.seen = 80\n")
		})
	}
	called(ends[0]) // and it sees all that ended
	eventually(t, func() bool {
		return strings.Contains(ends[0].current.Load().chains[0].instance.State(), "limit.begun = 0\n")
	})
	for _, it := range ends {
		it.close()
	}
	if code := called(ends[0]); code != codes.Unavailable {
		t.Fatalf("after the end: %s", code)
	}
}

// Calls do not wait for a store that is not there for longer than they may.
func TestNoStore(t *testing.T) {
	if testEngine != nil {
		return
	}
	version := sharing(t, "none", t.Name(), 20*time.Millisecond)
	version.Chains[0].Store.Path = filepath.Join(t.TempDir(), "nobody")
	e := newEnd("server", true, settings{})
	served(t, e, version)
	for range 3 {
		if code := called(e); code != codes.Unavailable {
			t.Fatal(code)
		}
	}
	e.close()
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it does not come")
		}
	}
}
