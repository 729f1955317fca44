package appnet

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
)

// Garbage collections, profiles and many goroutines at a time, while C runs.
func TestUnderPressure(t *testing.T) {
	e := endWith(t, "four", false)
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	profile, err := os.Create(filepath.Join(t.TempDir(), "cpu"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(profile); err == nil {
		defer pprof.StopCPUProfile()
	}
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	each := 20_000
	if told, err := strconv.Atoi(os.Getenv("APPNET_CALLS")); err == nil {
		each = told
	}
	var group sync.WaitGroup
	for range 16 {
		spawn(&group, func() {
			for i := range each {
				in, out := request(strings.Repeat("x", i%300)), &grpc_testing.SimpleResponse{}
				if err := e.unaryClient(context.Background(), grpc_testing.TestService_UnaryCall_FullMethodName, in, out, nil, invoke); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func spawn(group *sync.WaitGroup, f func()) {
	group.Add(1)
	go func() {
		defer group.Done()
		f()
	}()
}
