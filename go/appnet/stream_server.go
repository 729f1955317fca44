package appnet

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// serverStream is a stream of a server, as its handler sees it.
type serverStream struct {
	grpc.ServerStream
	events
	inner   atomic.Pointer[context.Context]
	cancel  context.CancelFunc // of the inner
	waits   bool               // the response's metadata wait for its first message
	sent    bool
	header  metadata.MD
	trailer metadata.MD
	first   proto.Message // of the requests, where it had to be judged before the handler began
	firstIn error
	held    any // the only response, until it is known that the call ends well
}

func (m *method) streamServer(service any, below grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(below.Context())
	defer cancel()
	s := &serverStream{ServerStream: below, events: events{method: m, call: m.call()}, cancel: cancel}
	s.inner.Store(&ctx)
	defer s.finish()
	s.waits = m.chain.wants&object.WantsResponseMetadata != 0
	s.reply, _ = emptyMessage(info.FullMethod, true)
	s.show = func(c *object.Call) { m.offerRequest(s.Context(), c, nil, nil) }
	s.remind = func(c *object.Call) { m.remind(s.Context(), c, nil, nil) }
	s.show(s.call)
	m.tick(s.call)
	s.mu.Lock()
	_, err := s.goesOn(s.call.Open(), nil, nil, s.begin)
	s.mu.Unlock()
	if err == nil && m.Request.Holds && s.prefetch(info.FullMethod) {
		err = s.outcome()
	}
	if err != nil {
		return s.close(nil)
	}
	return s.close(handler(service, s))
}

func (s *serverStream) begin(f *object.Frame) {
	switch f.Verdict {
	case object.Refuse:
		s.trailer = metadata.Join(s.trailer, entriesOf(f.Own))
		return
	case object.Answer:
		s.header, s.trailer = entriesOf(f.Own), entriesOf(f.Trailers)
		return
	}
	ctx := s.Context()
	if f.Edited() || f.DeadlineNs != object.NoDeadline {
		ctx, _ = bounded(s.requestContext(ctx, s.call), f) // ends with the one around it
		s.inner.Store(&ctx)
	}
	if err := wait(ctx, f); err != nil {
		_ = s.refuse(err)
	}
}

// prefetch judges the first message before the handler runs, which may see what elements make of the headers then.
func (s *serverStream) prefetch(path string) bool {
	message, err := emptyMessage(path, false)
	if err != nil {
		return false
	}
	if s.firstIn = s.ServerStream.RecvMsg(message); s.firstIn != nil {
		if s.firstIn == io.EOF && s.unasked() {
			_, _ = s.judgeRequest(nil, s.begin)
		}
		return true
	}
	out, err := s.judgeRequest(message, s.begin)
	if err == nil {
		s.first = out.(proto.Message)
	}
	return true
}

func (s *serverStream) Context() context.Context { return *s.inner.Load() }

func (s *serverStream) RecvMsg(message any) error {
	if s.first != nil {
		out, ok := message.(proto.Message)
		if !ok {
			return unreadable(errors.New("a request that is no message of protobuf"))
		}
		err := become(out, s.first)
		s.first = nil
		return err
	}
	if s.firstIn != nil {
		return s.firstIn
	}
	if err := s.outcome(); err != nil {
		return s.told(err)
	}
	err := s.ServerStream.RecvMsg(message)
	if err == io.EOF && s.unasked() {
		if _, refused := s.judgeRequest(nil, s.begin); refused != nil {
			return s.told(refused)
		}
	}
	if err != nil {
		return err
	}
	out, err := s.judgeRequest(message, s.begin)
	if err != nil {
		s.cancel()
		return s.told(err)
	}
	if out != message {
		return become(message.(proto.Message), out.(proto.Message))
	}
	return nil
}

// become makes a message what another is, which may be known by another descriptor: over the wire then.
func become(out, from proto.Message) error {
	proto.Reset(out)
	if out.ProtoReflect().Descriptor() == from.ProtoReflect().Descriptor() {
		proto.Merge(out, from)
		return nil
	}
	encoded, err := proto.MarshalOptions{AllowPartial: true}.Marshal(from)
	if err == nil {
		err = proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(encoded, out)
	}
	if err != nil {
		return unreadable(err)
	}
	return nil
}

// told is what a handler hears of a call that the chain ended.
func (s *serverStream) told(err error) error {
	if err == errAnswered || err == errOver {
		return context.Canceled
	}
	return err
}

func (s *serverStream) SetHeader(md metadata.MD) error {
	if !s.waits || s.sent {
		return s.ServerStream.SetHeader(md)
	}
	s.header = metadata.Join(s.header, md)
	return nil
}

func (s *serverStream) SendHeader(md metadata.MD) error {
	if !s.waits || s.sent {
		return s.ServerStream.SendHeader(md)
	}
	return s.SetHeader(md)
}

func (s *serverStream) SetTrailer(md metadata.MD) { s.trailer = metadata.Join(s.trailer, md) }

func (s *serverStream) SendMsg(message any) error {
	if err := s.outcome(); err != nil {
		return s.told(err)
	}
	if !s.Response.Streams {
		s.held = message
		return nil
	}
	out, err := s.judgeResponse(message, s.header, nil, false, s.responded)
	if err != nil {
		s.cancel()
		return s.told(err)
	}
	s.sendHeader()
	return s.ServerStream.SendMsg(out)
}

// responded takes over what elements made of the metadata of the response.
func (s *serverStream) responded(f *object.Frame) {
	if f.Verdict == object.Refuse {
		s.trailer = metadata.Join(s.trailer, entriesOf(f.Own))
		return
	}
	if f.Edited() {
		s.header, s.trailer = edit(s.call, object.ResponseMetadata, s.header), edit(s.call, object.ResponseTrailers, s.trailer)
	}
}

func (s *serverStream) sendHeader() {
	if s.waits && !s.sent && len(s.header) > 0 {
		_ = s.ServerStream.SetHeader(s.header)
	}
	s.sent = true
}

// close ends the call after its handler has; with what.
func (s *serverStream) close(end error) error {
	defer s.cancel()
	if ctx := s.Context().Err(); end == nil && ctx == context.DeadlineExceeded && s.ServerStream.Context().Err() == nil {
		end = ctx
	}
	switch err := s.outcome(); {
	case err == errAnswered:
		return s.sendAnswer()
	case err != nil:
		s.ServerStream.SetTrailer(s.trailer)
		return err
	}
	if end == nil && s.held != nil {
		out, err := s.judgeResponse(s.held, s.header, s.trailer, false, s.responded)
		if err == nil {
			s.sendHeader()
			err = s.ServerStream.SendMsg(out)
		}
		s.ServerStream.SetTrailer(s.trailer)
		return err
	}
	end = s.judgeEnd(end, s.header, s.trailer, s.responded)
	s.sendHeader()
	s.ServerStream.SetTrailer(s.trailer)
	return end
}

func (s *serverStream) sendAnswer() error {
	if s.reply == nil {
		return unreadable(errors.New("the response's type is not in the program's registry"))
	}
	if len(s.header) > 0 {
		_ = s.ServerStream.SetHeader(s.header)
	}
	s.ServerStream.SetTrailer(s.trailer)
	return s.ServerStream.SendMsg(s.reply)
}
