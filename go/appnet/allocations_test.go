//go:build linux && !race

package appnet

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
)

// A chain allocates no more than what one would write by hand in its place.
func TestAllocations(t *testing.T) {
	if testEngine != nil {
		t.Log("modules of wasm are another matter")
		return
	}
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	in, out := request("any"), &grpc_testing.SimpleResponse{}
	allocations := func(call grpc.UnaryClientInterceptor) float64 {
		return testing.AllocsPerRun(1_000, func() {
			if err := call(context.Background(), grpc_testing.TestService_UnaryCall_FullMethodName, in, out, nil, invoke); err != nil {
				t.Fatal(err)
			}
		})
	}
	hand := handwritten()
	for _, name := range []string{"none", "one", "four", "twelve"} {
		most := 0.0
		if call := hand[name]; call != nil {
			most = allocations(call)
		}
		if got := allocations(endWith(t, name, false).unaryClient); got > most {
			t.Errorf("%s: %v, not %v", name, got, most)
		}
	}
}
