package appnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// testEngine runs the chains of tests, nil: the machine itself. The file wasm/testdata/isolated_test.go sets it.
var testEngine object.Engine

// The chains of these tests are compiled from programs by tests/processors/grpc/chains.py; its pytest runs all tests here.
func chainsFolder(t testing.TB) string {
	folder := os.Getenv("APPNET_CHAINS")
	if folder == "" {
		t.Skip("pytest tests/processors/grpc compiles the chains, and runs this")
	}
	return folder
}

func part(t testing.TB, name string, server bool) *control.Version {
	side := ".client"
	if server {
		side = ".server"
	}
	bytes, err := os.ReadFile(filepath.Join(chainsFolder(t), name+side+suffix))
	if err != nil {
		t.Fatal(err)
	}
	signed, out := &control.SignedVersion{}, &control.Version{}
	if err := proto.Unmarshal(bytes, signed); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(signed.Version, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// endWith is an end that runs the chains of this name.
func endWith(t testing.TB, name string, server bool) *end {
	service := "frontend"
	if server {
		service = "server"
	}
	e := newEnd(service, server, settings{patience: time.Second, engine: testEngine})
	it := part(t, name, server)
	it.Chains[0].Name += t.Name() // state goes on by this name, and none is to go on from another test
	v, err := e.versionOf([]*control.Version{it})
	if err != nil {
		t.Fatal(err)
	}
	e.use(v)
	return e
}

func (e *end) state() string {
	var all strings.Builder
	for _, it := range e.current.Load().chains {
		all.WriteString(it.instance.State())
	}
	return all.String()
}

func clientOptions(e *end) []grpc.DialOption { return e.dialOptions() }

func serverOptions(e *end) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(e.unaryServer), grpc.ChainStreamInterceptor(e.streamServer)}
}

// service answers with what it got.
type service struct {
	grpc_testing.UnimplementedTestServiceServer
	seen    atomic.Pointer[metadata.MD]
	calls   atomic.Int64
	cut     chan error
	request atomic.Pointer[grpc_testing.SimpleRequest]
}

func (s *service) note(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.seen.Store(&md)
	s.calls.Add(1)
}

func (s *service) EmptyCall(context.Context, *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	return &grpc_testing.Empty{}, nil
}

func (s *service) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	s.note(ctx)
	s.request.Store(in)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-handler", "header"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-handler-trailer", "trailer"))
	switch body := string(in.GetPayload().GetBody()); body {
	case "fail":
		st, _ := status.New(codes.FailedPrecondition, "as told").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7)})
		return nil, st.Err()
	case "missing":
		return nil, status.Error(codes.NotFound, "nothing there")
	case "slow", "hurry":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload(), Username: "somebody"}, nil
}

func (s *service) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	s.note(stream.Context())
	stream.SetTrailer(metadata.Pairs("x-handler-trailer", "trailer"))
	for {
		in, err := stream.Recv()
		if err != nil {
			if s.cut != nil && err != io.EOF {
				s.cut <- err
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

func (s *service) StreamingOutputCall(in *grpc_testing.StreamingOutputCallRequest, stream grpc_testing.TestService_StreamingOutputCallServer) error {
	s.note(stream.Context())
	for range 3 {
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) StreamingInputCall(stream grpc_testing.TestService_StreamingInputCallServer) error {
	s.note(stream.Context())
	size := 0
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(in.GetPayload().GetBody())
	}
}

// connected is a client of a server, with these options.
func connected(t testing.TB, s grpc_testing.TestServiceServer, server []grpc.ServerOption, client []grpc.DialOption) grpc_testing.TestServiceClient {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	it := grpc.NewServer(server...)
	grpc_testing.RegisterTestServiceServer(it, s)
	go it.Serve(listener)
	t.Cleanup(it.Stop)
	options := append(client, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_testing.NewTestServiceClient(conn)
}

func request(body string) *grpc_testing.SimpleRequest {
	return &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: []byte(body)}}
}

// eachSide runs a test with the chain beside the client, and then beside the server.
func eachSide(t *testing.T, name string, test func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end)) {
	for _, server := range []bool{false, true} {
		side := map[bool]string{false: "client", true: "server"}[server]
		t.Run(side, func(t *testing.T) {
			s, e := &service{}, endWith(t, name, server)
			if server {
				test(t, s, connected(t, s, serverOptions(e), nil), e)
			} else {
				test(t, s, connected(t, s, nil, clientOptions(e)), e)
			}
		})
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func code(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if s, _ := status.FromError(err); s.Code() != want || s.Message() != text {
		t.Fatalf("got %v, want %v %q", err, want, text)
	}
}

func TestMetadataAndMessages(t *testing.T) {
	eachSide(t, "calls", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		ctx := metadata.AppendToOutgoingContext(within(t), "x-user", "ann", "x-secret", "s")
		var header, trailer metadata.MD
		mine := request("change")
		answer, err := c.UnaryCall(ctx, mine, grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || string(answer.Payload.Body) != "changed" || answer.Username != "somebody" {
			t.Fatal(answer, err)
		}
		if string(mine.Payload.Body) != "change" {
			t.Error("the caller's own message was written")
		}
		seen := *s.seen.Load()
		if got := seen.Get("x-tenant"); len(got) != 1 || got[0] != "of ann" || len(seen.Get("x-secret")) > 0 {
			t.Error("the handler saw", seen)
		}
		if got := header.Get("x-count"); len(got) != 1 || got[0] != "1" || len(header.Get("x-handler")) != 1 {
			t.Error("the caller saw", header)
		}
		if len(trailer.Get("x-trailer")) != 1 || len(trailer.Get("x-handler-trailer")) != 1 {
			t.Error("the caller saw", trailer)
		}
		answer, err = c.UnaryCall(ctx, request("change back"))
		if err != nil || string(answer.Payload.Body) != "changed back" || string(s.request.Load().Payload.Body) != "change back" {
			t.Fatal(answer, err)
		}
		if !strings.Contains(e.state(), "calls.ends = 2\n") {
			t.Error(e.state())
		}
	})
}

func TestRefusals(t *testing.T) {
	eachSide(t, "calls", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		var trailer metadata.MD
		_, err := c.UnaryCall(within(t), request("refuse"), grpc.Trailer(&trailer))
		code(t, err, codes.Aborted, "refused")
		if s.calls.Load() != 0 || len(trailer.Get("x-why")) != 1 {
			t.Error(s.calls.Load(), trailer)
		}
		_, err = c.UnaryCall(within(t), request("refuse back"))
		code(t, err, codes.DataLoss, "refused on its way back")
		_, err = c.UnaryCall(within(t), request("missing"))
		code(t, err, codes.Unavailable, "not here")
		_, err = c.UnaryCall(within(t), request("fail"))
		code(t, err, codes.FailedPrecondition, "as told")
		if details := status.Convert(err).Details(); len(details) != 1 {
			t.Error("details are lost:", details)
		} else if _, ok := details[0].(*errdetails.RetryInfo); !ok {
			t.Error(details)
		}
		if !strings.Contains(e.state(), "calls.failed = 2\n") || !strings.Contains(e.state(), "calls.ends = 3\n") {
			t.Error(e.state())
		}
	})
}

func TestReplies(t *testing.T) {
	eachSide(t, "calls", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		answer, err := c.UnaryCall(within(t), request("answer"))
		if err != nil || string(answer.Payload.Body) != "made here" || s.calls.Load() != 0 {
			t.Fatal(answer, err, s.calls.Load())
		}
	})
}

func TestDeadlinesAndDelays(t *testing.T) {
	eachSide(t, "calls", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		_, err := c.UnaryCall(within(t), request("hurry"))
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatal(err)
		}
		before := time.Now()
		if _, err := c.UnaryCall(within(t), request("wait")); err != nil || time.Since(before) < 30*time.Millisecond {
			t.Fatal(err, time.Since(before))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err = c.UnaryCall(ctx, request("slow"))
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatal(err)
		}
	})
}

// A unary method that is called as a stream, as proxies do, passes the same chain.
func TestUnaryAsStream(t *testing.T) {
	e := endWith(t, "calls", false)
	s := &service{}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	it := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(it, s)
	go it.Serve(listener)
	t.Cleanup(it.Stop)
	options := append(clientOptions(e), grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for body, want := range map[string]string{"change": "changed", "answer": "made here", "refuse": "", "refuse back": ""} {
		stream, err := conn.NewStream(within(t), &grpc.StreamDesc{}, grpc_testing.TestService_UnaryCall_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		out := &grpc_testing.SimpleResponse{}
		if err := stream.SendMsg(request(body)); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		_ = stream.CloseSend()
		err = stream.RecvMsg(out)
		if (want == "") != (err != nil) || string(out.GetPayload().GetBody()) != want {
			t.Errorf("%s: %v %v", body, out, err)
		}
	}
}

// Calls fail where there is no version, unless they may pass.
func TestClosedByDefault(t *testing.T) {
	s := &service{}
	e := newEnd("frontend", false, settings{patience: 20 * time.Millisecond})
	e.fail(errors.New("nobody has told"))
	_, err := connected(t, s, nil, clientOptions(e)).UnaryCall(within(t), request("hello"))
	code(t, err, codes.Unavailable, "appnet: frontend has no chains: nobody has told")
	if s.calls.Load() != 0 {
		t.Error("the call passed")
	}
	e = newEnd("frontend", false, settings{open: true})
	if _, err := connected(t, s, nil, clientOptions(e)).UnaryCall(within(t), request("hello")); err != nil {
		t.Error(err)
	}
}

func TestEmbedded(t *testing.T) {
	s := &service{}
	folder := t.TempDir()
	for _, server := range []bool{false, true} {
		encoded, _ := proto.Marshal(signed(part(t, "calls", server)))
		name := map[bool]string{false: "a.chains", true: "b.chains"}[server]
		if err := os.WriteFile(filepath.Join(folder, name), encoded, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := connected(t, s, Serve("server", Embedded(os.DirFS(folder)), Engine(testEngine)), Dial("frontend", Embedded(os.DirFS(folder)), Engine(testEngine)))
	_, err := c.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")
	if _, err := c.UnaryCall(within(t), request("hello")); err != nil {
		t.Fatal(err)
	}
	_, err = connected(t, s, nil, Dial("nobody", Embedded(os.DirFS(folder)), Patience(time.Millisecond))).UnaryCall(within(t), request("hello"))
	code(t, err, codes.Unavailable, "appnet: nobody has no chains: no file of the program has any for nobody")
}

// resident is the memory of the process in MiB, and how many mappings it has.
func resident(t testing.TB) (mib, mappings int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0 // in an empty root
	}
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			_, _ = fmt.Sscan(fields[1], &mib)
		}
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	return mib >> 10, strings.Count(string(maps), "\n")
}

// Upgrades under load: no call is lost or judged by a mixture, counts are exact, and memory comes back. APPNET_UPGRADES
// says how many there are, other than 200, and then each 50 ms.
func TestUpgrades(t *testing.T) {
	upgrades, callers, pause := 200, 8, 2*time.Millisecond
	if told, err := strconv.Atoi(os.Getenv("APPNET_UPGRADES")); err == nil {
		upgrades, pause = told, 50*time.Millisecond
	}
	e := endWith(t, "counts-a", false)
	parts := [2]*control.Version{part(t, "counts-a", false), part(t, "counts-b", false)}
	for _, it := range parts {
		it.Chains[0].Name += t.Name()
	}
	s := &service{}
	c := connected(t, s, nil, clientOptions(e))
	stop := make(chan struct{})
	var made, mixed, lost atomic.Int64
	var group sync.WaitGroup
	for range callers {
		spawn(&group, func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var header metadata.MD
				made.Add(1)
				answer, err := c.UnaryCall(context.Background(), request("hello"), grpc.Header(&header))
				if err != nil || string(answer.Payload.Body) != "hello" {
					lost.Add(1)
				}
				if got := header.Get("x-version"); len(got) > 0 && got[0] != "b" {
					mixed.Add(1)
				}
			}
		})
	}
	for i := range upgrades {
		v, err := e.versionOf([]*control.Version{parts[(i+1)%2]})
		if err != nil {
			t.Fatal(err)
		}
		e.use(v)
		time.Sleep(pause)
		if i%(upgrades/10) == 0 {
			mib, mappings := resident(t)
			t.Logf("%4d upgrades, %8d calls: %d MiB, %d mappings", i, made.Load(), mib, mappings)
		}
	}
	close(stop)
	group.Wait()
	// What is not used any more goes with garbage collections. A version has four mappings, each stack two; a version for
	// each upgrade would be 800 and more.
	waitFor(t, func() bool {
		runtime.GC()
		_, mappings := resident(t)
		return mappings < 500
	}, func() string { return fmt.Sprint(resident(t)) })
	if lost.Load() > 0 || mixed.Load() > 0 {
		t.Errorf("%d calls, %d lost, %d mixed", made.Load(), lost.Load(), mixed.Load())
	}
	want := fmt.Sprintf("counts.count = %d\n", made.Load())
	if !strings.Contains(e.state(), want) {
		t.Errorf("%q, not %q", e.state(), want)
	}
	t.Logf("%d calls through %d upgrades", made.Load(), upgrades)
}
