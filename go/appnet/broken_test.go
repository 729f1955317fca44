package appnet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

func output(body string) *grpc_testing.StreamingOutputCallRequest {
	return &grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(body)}}
}

// A stream that its caller left does not look as if it had ended well, whatever the caller does after that.
func TestStreamsThatAreLeftSaySo(t *testing.T) {
	eachSide(t, "streams", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		ctx, cancel := context.WithCancel(within(t))
		stream, err := c.FullDuplexCall(ctx)
		if err == nil {
			err = stream.Send(output("hello"))
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		waitFor(t, func() bool { return strings.Contains(e.state(), "duplex.ends = 1\n") }, e.state)
		for range 2 {
			if err := stream.Send(output("more")); err == nil {
				t.Error("it goes on")
			}
			if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
				t.Errorf("it ended with %v", err)
			}
		}
	})
}

// An answer of an element is gone when its caller has left.
func TestAnswersOfCallsThatAreLeft(t *testing.T) {
	e := endWith(t, "calls", false)
	answered := func(ctx context.Context) grpc.ClientStream {
		stream, err := e.streamClient(ctx, &grpc.StreamDesc{}, nil, grpc_testing.TestService_UnaryCall_FullMethodName, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(request("answer")); err != io.EOF {
			t.Fatal(err)
		}
		return stream
	}
	ctx, cancel := context.WithCancel(within(t))
	stream := answered(ctx)
	cancel()
	waitFor(t, func() bool {
		s := stream.(*clientStream)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.over
	}, e.state)
	other := answered(within(t))
	out := &grpc_testing.SimpleResponse{}
	if err := stream.RecvMsg(out); status.Code(err) != codes.Canceled {
		t.Errorf("%v %v", out, err)
	}
	if err := other.RecvMsg(out); err != nil || string(out.Payload.Body) != "made here" {
		t.Errorf("%v %v", out, err)
	}
}

// Whoever has a context for long, and makes many calls with it, has nothing of them in the end.
func TestCallsLeaveNothingInContexts(t *testing.T) {
	s, e := &service{}, endWith(t, "streams", false)
	c := connected(t, s, nil, clientOptions(e))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapObjects)
	}
	var before int
	for i := range 1100 {
		if i == 100 {
			before = heap()
		}
		stream, err := c.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.CloseAndRecv(); err != nil {
			t.Fatal(err)
		}
	}
	if more := heap() - before; more > 1000 {
		t.Errorf("%d objects of 1000 calls", more)
	}
}

// A long stream costs no more than a short one.
func TestLongStreams(t *testing.T) {
	eachSide(t, "streams", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		stream, err := c.FullDuplexCall(within(t))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		for i := range 5_100 {
			if i == 100 {
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			if err := stream.Send(output("hello")); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if more := int(after.HeapObjects) - int(before.HeapObjects); more > 2_500 {
			t.Errorf("%d objects more after 5000 messages", more)
		}
	})
}

// A nil message is an empty one for gRPC, also where elements write to it.
func TestNilMessages(t *testing.T) {
	e := endWith(t, "text", true)
	out, err := e.unaryServer(within(t), request("x"), &grpc.UnaryServerInfo{FullMethod: grpc_testing.TestService_UnaryCall_FullMethodName},
		func(context.Context, any) (any, error) { return (*grpc_testing.SimpleResponse)(nil), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proto.Marshal(out.(proto.Message)); err != nil {
		t.Fatal(err)
	}
	e = endWith(t, "calls", false)
	err = e.unaryClient(within(t), grpc_testing.TestService_UnaryCall_FullMethodName, (*grpc_testing.SimpleRequest)(nil), &grpc_testing.SimpleResponse{}, nil,
		func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// A handler may know the messages by descriptors of its own, as a proxy does that got them by reflection.
func TestHandlersWithDescriptorsOfTheirOwn(t *testing.T) {
	file := protodesc.ToFileDescriptorProto((&grpc_testing.SimpleRequest{}).ProtoReflect().Descriptor().ParentFile())
	own, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := endWith(t, "calls", true)
	path := grpc_testing.TestService_UnaryCall_FullMethodName
	got := dynamicpb.NewMessage(own.Messages().ByName("SimpleRequest"))
	err = e.streamServer(nil, &oneRequest{ctx: within(t), body: "change"}, &grpc.StreamServerInfo{FullMethod: path}, func(_ any, stream grpc.ServerStream) error {
		return stream.RecvMsg(got)
	})
	if err != nil {
		t.Fatal(err)
	}
	encoded, _ := proto.Marshal(got)
	seen := &grpc_testing.SimpleRequest{}
	if err := proto.Unmarshal(encoded, seen); err != nil || string(seen.Payload.Body) != "changed" {
		t.Fatal(seen, err)
	}
}

type oneRequest struct {
	grpc.ServerStream
	ctx  context.Context
	body string
}

func (s *oneRequest) Context() context.Context { return s.ctx }

func (s *oneRequest) SetTrailer(metadata.MD) {}

func (s *oneRequest) RecvMsg(message any) error {
	encoded, _ := proto.Marshal(request(s.body))
	return proto.Unmarshal(encoded, message.(proto.Message))
}

// A version that is kept is started with also where the control plane is there and says nothing that can be used, and where
// other files in the folder are broken.
func TestStartsFromKeptBesideBrokenFiles(t *testing.T) {
	kept := t.TempDir()
	encoded, _ := proto.Marshal(signed(part(t, "calls", false)))
	for name, text := range map[string][]byte{"a": []byte("no file"), "b": encoded, "c": encoded[:len(encoded)/2], "d": nil} {
		if err := os.WriteFile(filepath.Join(kept, name+suffix), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPlane(t, "127.0.0.1:0")
	c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
	broken := part(t, "calls", false)
	broken.Id = "broken"
	broken.Chains[0].Code = nil
	if report := p.says(t, broken); report.Accepted {
		t.Fatal(report)
	}
	_, err := c.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")
}

// Handlers and interceptors of the program may panic, if somebody recovers: the chain goes on, and is told how it ended.
func TestPanicsOfThePrograms(t *testing.T) {
	for _, name := range []string{"calls", "streams"} {
		for _, server := range []bool{false, true} {
			e := endWith(t, name, server)
			for range 3 {
				func() {
					ctx, cancel := context.WithCancel(within(t))
					defer cancel()
					defer func() {
						if recover() != "as told" {
							t.Error("no panic")
						}
					}()
					switch {
					case name == "calls" && server:
						_, _ = e.unaryServer(ctx, request("x"), &grpc.UnaryServerInfo{FullMethod: grpc_testing.TestService_UnaryCall_FullMethodName},
							func(context.Context, any) (any, error) { panic("as told") })
					case name == "calls":
						_ = e.unaryClient(ctx, grpc_testing.TestService_UnaryCall_FullMethodName, request("x"), &grpc_testing.SimpleResponse{}, nil,
							func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { panic("as told") })
					case server:
						_ = e.streamServer(nil, &oneRequest{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: grpc_testing.TestService_FullDuplexCall_FullMethodName},
							func(any, grpc.ServerStream) error { panic("as told") })
					default:
						stream, err := e.streamClient(ctx, &grpc.StreamDesc{}, nil, grpc_testing.TestService_FullDuplexCall_FullMethodName,
							func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
								panic("as told")
							})
						if err == nil {
							_ = stream.SendMsg(output("hello"))
						}
					}
				}()
			}
			waitFor(t, func() bool { return strings.Contains(e.state(), "ends = 3\n") }, func() string { return name + " " + e.state() })
		}
	}
}

// Streams that are cut at random, from several goroutines, while versions are replaced.
func TestStreamsAreCut(t *testing.T) {
	for _, name := range []string{"streams", "calls"} {
		client, server := endWith(t, name, false), endWith(t, name, true)
		c := connected(t, &cutService{}, serverOptions(server), clientOptions(client))
		var group sync.WaitGroup
		for range 16 {
			spawn(&group, func() {
				for range 30 {
					cutOne(t, c)
				}
			})
		}
		for range 10 {
			for _, e := range []*end{client, server} {
				it := part(t, name, e.server)
				it.Chains[0].Name += t.Name()
				v, err := e.versionOf([]*control.Version{it})
				if err != nil {
					t.Fatal(err)
				}
				e.use(v)
			}
			time.Sleep(5 * time.Millisecond)
		}
		group.Wait()
	}
}

type cutService struct{ service }

func (s *cutService) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for range 20 {
			if stream.Context().Err() != nil || stream.Send(&grpc_testing.StreamingOutputCallResponse{}) != nil {
				return
			}
		}
	}()
	for {
		if _, err := stream.Recv(); err != nil {
			return nil
		}
	}
}

func cutOne(t *testing.T, c grpc_testing.TestServiceClient) {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Error(err)
		cancel()
		return
	}
	var group sync.WaitGroup
	spawn(&group, func() {
		for stream.Send(output("change")) == nil {
		}
	})
	spawn(&group, func() {
		for {
			if _, err := stream.Recv(); err != nil {
				if status.Code(err) != codes.Canceled {
					t.Errorf("it ended with %v", err)
				}
				return
			}
			_ = stream.Context()
		}
	})
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	cancel()
	group.Wait()
}

// Points of small order are no keys: whoever signs with nothing at all would be trusted.
func TestWeakKeysAreNone(t *testing.T) {
	identity := append([]byte{1}, make([]byte, 31)...)
	nothing := append(identity, make([]byte, 32)...) // R is the neutral element, and s is 0
	top := func(first, last byte) []byte {
		return append(append([]byte{first}, bytes.Repeat([]byte{0xff}, 30)...), last)
	}
	eighth, _ := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	other, _ := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	keys := [][]byte{make([]byte, 32), identity, eighth, other, top(0xec, 0x7f), top(0xed, 0x7f), top(0xee, 0x7f)}
	for _, key := range slices.Clone(keys) {
		negative := slices.Clone(key[:32])
		negative[31] |= 0x80
		keys = append(keys, negative)
	}
	for _, key := range keys {
		forged := false
		for i := range 256 {
			forged = forged || ed25519.Verify(key[:32], []byte{byte(i)}, nothing)
		}
		if !forged {
			t.Errorf("%x is a key", key[:32])
		}
		if _, err := trustedKeys([]string{hex.EncodeToString(key[:32])}); err == nil || !strings.Contains(err.Error(), "anybody could sign") {
			t.Errorf("%x: %v", key[:32], err)
		}
	}
}
