package appnet

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

func TestGRPCSaysWhereMetadataAre(t *testing.T) {
	if givenType == nil {
		t.Fatal("it has them in another way")
	}
	if got, known := givenIn(context.Background()); got != nil || !known {
		t.Error(got, known)
	}
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD{"One": {"a", "b"}})
	ctx = metadata.AppendToOutgoingContext(metadata.AppendToOutgoingContext(ctx, "two", "c"), "three", "d", "Two", "e")
	got, known := givenIn(ctx)
	want := &given{metadata.MD{"One": {"a", "b"}}, [][]string{{"two", "c"}, {"three", "d", "two", "e"}}}
	if !known || !reflect.DeepEqual(got, want) {
		t.Error(got, known)
	}
	for key, there := range map[string]bool{"one": true, "two": true, "three": true, "four": false, "c": false, "a": false} {
		if got.has(key) != there {
			t.Error(key)
		}
	}
}

// Requests that get the same metadata share them, and nobody notices: neither who adds to them, nor who changes a copy.
func TestMetadataAreShared(t *testing.T) { addedTo(t) }

// A gRPC that has metadata in another way gives copies.
func TestMetadataAreCopied(t *testing.T) {
	known := givenType
	defer func() { givenType = known }()
	givenType = nil
	addedTo(t)
}

func addedTo(t *testing.T) {
	e := endWith(t, "calls", false)
	for _, given := range []metadata.MD{
		nil, {"x-user": {"ann"}, "x-secret": {"any"}}, nil, {"x-user": {"bob"}}, {"X-Tenant": {"none"}}, {"x-other": {"a", "b"}},
	} {
		ctx, user := within(t), ""
		if given != nil {
			ctx = metadata.NewOutgoingContext(ctx, given)
			user = strings.Join(given["x-user"], "")
		}
		want := metadata.Join(given, metadata.MD{}) // in lower case
		want.Delete("x-secret")
		want.Set("x-tenant", "of "+user)
		delete(want, "X-Tenant")
		for range 4 {
			invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
				more := metadata.AppendToOutgoingContext(ctx, "x-tenant", "mine")
				if got, _ := metadata.FromOutgoingContext(more); !reflect.DeepEqual(got["x-tenant"], []string{"of " + user, "mine"}) {
					t.Error(got)
				}
				got, _ := metadata.FromOutgoingContext(ctx)
				if !reflect.DeepEqual(got, want) {
					t.Error(got, want)
				}
				got["x-tenant"][0] = "spoilt"
				got.Set("x-user", "spoilt")
				return nil
			}
			path, reply := grpc_testing.TestService_UnaryCall_FullMethodName, &grpc_testing.SimpleResponse{}
			if err := e.unaryClient(ctx, path, request("any"), reply, nil, invoke); err != nil {
				t.Fatal(err)
			}
		}
	}
}
