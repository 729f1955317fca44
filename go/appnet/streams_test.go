package appnet

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestStreams(t *testing.T) {
	eachSide(t, "streams", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		ctx := metadata.AppendToOutgoingContext(within(t), "x-user", "ann")
		stream, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for sent, want := range map[string]string{"hello": "hello", "change": "changed", "change back": "changed back"} {
			message := &grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(sent)}}
			if err := stream.Send(message); err != nil {
				t.Fatal(err)
			}
			got, err := stream.Recv()
			if err != nil || string(got.Payload.Body) != want {
				t.Fatal(got, err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatal(err)
		}
		if got := stream.Trailer(); strings.Join(got.Get("x-came"), " ") != "3" || len(got.Get("x-handler-trailer")) != 1 {
			t.Error("the caller saw", got)
		}
		if got := s.seen.Load().Get("x-tenant"); len(got) != 1 || got[0] != "of ann" {
			t.Error(got)
		}
		output, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte("change")}})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got, err := output.Recv(); err != nil || string(got.Payload.Body) != "changed" {
				t.Fatal(got, err)
			}
		}
		if _, err := output.Recv(); err != io.EOF {
			t.Fatal(err)
		}
		input, err := c.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := input.Send(&grpc_testing.StreamingInputCallRequest{Payload: &grpc_testing.Payload{Body: []byte("change")}}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := input.CloseAndRecv(); err != nil || got.AggregatedPayloadSize != 14 {
			t.Fatal(got, err)
		}
		waitFor(t, func() bool {
			state := e.state()
			return strings.Contains(state, "duplex.ends = 1\n") && strings.Contains(state, "duplex.sent = 3\n") &&
				strings.Contains(state, "output.ends = 1\n") && strings.Contains(state, "output.came = 3\n") &&
				strings.Contains(state, "input.ends = 1\n") && strings.Contains(state, "input.sent = 2\n") &&
				!strings.Contains(state, "left = 1")
		}, e.state)
	})
}

func waitFor(t *testing.T, there func() bool, show func() string) {
	t.Helper()
	for range 500 {
		if there() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(show())
}

func TestStreamsAreRefused(t *testing.T) {
	eachSide(t, "streams", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		s.cut = make(chan error, 10)
		stream, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(within(t), "x-user", "nobody"))
		if err == nil {
			_, err = stream.Recv()
		}
		code(t, err, codes.Unauthenticated, "who?")
		for sent, want := range map[string]codes.Code{"refuse": codes.Aborted, "refuse back": codes.DataLoss} {
			stream, err := c.FullDuplexCall(within(t))
			if err != nil {
				t.Fatal(err)
			}
			message := &grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(sent)}}
			if err := stream.Send(message); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); status.Code(err) != want {
				t.Fatalf("%s: %v", sent, err)
			}
		}
	})
}

func TestStreamsAreLeft(t *testing.T) {
	eachSide(t, "streams", func(t *testing.T, s *service, c grpc_testing.TestServiceClient, e *end) {
		ctx, cancel := context.WithCancel(within(t))
		stream, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		waitFor(t, func() bool { return strings.Contains(e.state(), "duplex.left = 1\n") }, e.state)
	})
}
