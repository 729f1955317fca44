package appnet

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// clientStream is a stream of a client. The call below it is made at once, or where elements have to see the first message
// before anything goes on, with that.
type clientStream struct {
	events
	outer  context.Context // the caller's
	inner  atomic.Pointer[context.Context]
	cancel context.CancelFunc // of the inner
	forget func() bool        // the caller's context does not end the call any more
	make   func(ctx context.Context) (grpc.ClientStream, error)
	opts   []grpc.CallOption

	made    chan struct{} // closed once there is a call below, or there will be none
	once    sync.Once
	below   grpc.ClientStream
	failed  error // why there is none
	waited  error // elements held the call, and it did not outlive that
	header  metadata.MD
	trailer metadata.MD
	early   metadata.MD // trailers that elements set before they came
	edited  bool
	read    bool // the answer was read
}

func (m *method) streamClient(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, path string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	s := &clientStream{events: events{method: m, call: m.call()}, outer: outer, cancel: cancel, opts: opts, made: make(chan struct{})}
	s.inner.Store(&ctx)
	s.make = func(ctx context.Context) (grpc.ClientStream, error) {
		return streamer(ctx, desc, cc, path, m.confirmed(ctx, opts)...)
	}
	s.show = func(c *object.Call) { m.offerRequest(s.Context(), c, cc, opts) }
	s.remind = func(c *object.Call) { m.remind(s.Context(), c, cc, opts) }
	s.show(s.call)
	m.tick(s.call)
	s.mu.Lock()
	_, err := s.goesOn(s.call.Open(), nil, nil, s.begin)
	s.mu.Unlock()
	s.forget = context.AfterFunc(outer, s.finish)
	switch {
	case err == errAnswered:
		s.settle(nil, nil)
	case err != nil:
		s.end()
		return nil, err
	case !m.Request.Holds:
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// end ends the call for the chain, and the call below.
func (s *clientStream) end() {
	s.forget()
	s.cancel()
	s.finish()
}

// begin takes over what elements made of the request as a whole.
func (s *clientStream) begin(f *object.Frame) {
	switch f.Verdict {
	case object.Answer:
		s.header, s.trailer = entriesOf(f.Own), entriesOf(f.Trailers)
		return
	case object.Refuse:
		s.trailer = entriesOf(f.Own)
		tell(s.opts, nil, s.trailer)
		return
	}
	if s.isMade() {
		return // what only the headers could have said goes nowhere
	}
	ctx, _ := bounded(s.routed(s.requestContext(s.Context(), s.call), f), f) // ends with the one around it
	s.inner.Store(&ctx)
	s.waited = wait(ctx, f)
}

func (s *clientStream) isMade() bool {
	select {
	case <-s.made:
		return true
	default:
		return false
	}
}

// settle says that there is a call below, or none.
func (s *clientStream) settle(below grpc.ClientStream, err error) {
	s.once.Do(func() {
		s.below, s.failed = below, err
		close(s.made)
	})
}

// open makes the call below.
func (s *clientStream) open() error {
	if s.isMade() {
		return s.failed
	}
	err := s.waited
	var below grpc.ClientStream
	if err == nil {
		below, err = s.make(s.Context())
	}
	if err != nil {
		err = s.judgeEnd(err, nil, nil, nothing)
		s.end()
	}
	s.settle(below, err)
	return s.failed // of a caller that left meanwhile, other than err
}

func (s *clientStream) Context() context.Context { return *s.inner.Load() }

// gone is how the call ended that the caller left.
func (s *clientStream) gone() error {
	if err := s.outer.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return io.EOF
}

func (s *clientStream) SendMsg(message any) error {
	out, err := s.judgeRequest(message, s.begin)
	if err != nil {
		return s.stop(err)
	}
	if s.open() != nil {
		return io.EOF // RecvMsg says why
	}
	return s.below.SendMsg(out)
}

// stop ends the call below, as the chain has ended this one: RecvMsg says how.
func (s *clientStream) stop(err error) error {
	if err == errOver {
		err = s.gone()
	}
	s.settle(nil, err)
	s.cancel()
	return io.EOF
}

func (s *clientStream) CloseSend() error {
	if s.unasked() {
		if _, err := s.judgeRequest(nil, s.begin); err != nil {
			_ = s.stop(err)
			return nil
		}
	}
	if s.outcome() != nil || s.open() != nil {
		return nil
	}
	return s.below.CloseSend()
}

// ready waits until there is a call below; false where there will be none.
func (s *clientStream) ready() bool {
	select {
	case <-s.made:
	case <-s.outer.Done():
		s.settle(nil, s.gone())
	}
	return s.below != nil
}

func (s *clientStream) Header() (metadata.MD, error) {
	there := s.ready()
	s.mu.Lock()
	made, header := s.edited || s.ended == errAnswered, s.header
	s.mu.Unlock()
	if !there || made {
		return header, nil
	}
	return s.below.Header()
}

func (s *clientStream) Trailer() metadata.MD {
	if s.trailer != nil || s.below == nil {
		return s.trailer
	}
	return s.below.Trailer()
}

// metadataSoFar is what elements may see of the response's, as they have made it; of the trailers, what they have set before
// they came stands in the place of what came.
func (s *clientStream) metadataSoFar(last bool) (header, trailer metadata.MD) {
	if s.chain.wants&object.WantsResponseMetadata == 0 {
		return nil, nil
	}
	header = s.header.Copy() // callers may have the map itself
	if !s.edited {
		found, _ := s.below.Header()
		header = found.Copy()
	}
	if last {
		trailer = s.below.Trailer().Copy()
	}
	for key, values := range s.early {
		if trailer == nil {
			trailer = metadata.MD{}
		}
		trailer[key] = values
	}
	return header, trailer
}

func (s *clientStream) RecvMsg(message any) error {
	there := s.ready()
	if err := s.outcome(); err != nil {
		return s.ending(err, message)
	}
	if !there {
		return s.failed
	}
	err := s.below.RecvMsg(message)
	last := err != nil || !s.Response.Streams
	header, trailer := s.metadataSoFar(last)
	after := func(f *object.Frame) {
		if f.Verdict == object.Refuse {
			s.trailer = entriesOf(f.Own)
			return
		}
		if f.Edited() {
			header, trailer = edit(s.call, object.ResponseMetadata, header), edit(s.call, object.ResponseTrailers, trailer)
			s.edited, s.header, s.early = true, header, trailer
		}
		if last && s.edited {
			s.trailer = trailer
			tell(s.opts, s.header, s.trailer)
		}
	}
	if err == nil {
		if _, err = s.judgeResponse(message, header, trailer, true, after); err != nil {
			if out, ok := message.(proto.Message); ok {
				proto.Reset(out) // nobody is to see it
			}
			s.end()
		} else if !s.Response.Streams {
			s.end()
		}
		if err == errOver {
			return s.gone()
		}
		return err
	}
	end := err
	if err == io.EOF {
		end = nil
	}
	if end = s.judgeEnd(end, header, trailer, after); end != nil {
		err = end
	}
	if err == errAnswered {
		return s.ending(err, message)
	}
	s.end()
	return err
}

// ending is what a caller reads of a call that the chain ended.
func (s *clientStream) ending(err error, message any) error {
	if err != errAnswered {
		s.end()
		return err
	}
	if s.read {
		s.end()
		return io.EOF
	}
	s.read = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over { // what was to be read is gone
		return s.gone()
	}
	out, ok := message.(proto.Message)
	if !ok {
		return unreadable(errors.New("a response that is no message of protobuf"))
	}
	proto.Reset(out)
	if err := s.answer(s.call, out); err != nil {
		return unreadable(err)
	}
	tell(s.opts, s.header, s.trailer)
	return nil
}
