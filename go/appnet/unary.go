package appnet

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// unaryClient runs a call of a client through the chain.
func (m *method) unaryClient(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	c := m.call()
	defer m.done(c)
	err := m.throughClient(ctx, c, path, request, response, cc, invoker, opts)
	m.ended(c, err)
	return err
}

// throughClient stands apart, as Go has cheap defers only where few of them meet few returns.
func (m *method) throughClient(ctx context.Context, c *object.Call, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts []grpc.CallOption) error {
	b, err := m.fill(c, &m.request, request, 0)
	if err != nil {
		return unreadable(err)
	}
	m.offerRequest(ctx, c, cc, opts)
	m.tick(c)
	f := c.Frame()
	switch c.Begin() {
	case object.Refuse:
		own := entriesOf(f.Own)
		tell(opts, nil, own)
		return refusal(f)
	case object.Answer:
		return m.answerClient(c, response, opts)
	}
	if request, err = changed(c, b, request, object.OfRequest); err != nil {
		return unreadable(err)
	}
	ctx, cancel := bounded(m.routed(m.requestContext(ctx, c), f), f)
	defer cancel()
	opts = m.confirmed(ctx, opts)
	if err := wait(ctx, f); err != nil {
		if !c.Begun() {
			return err
		}
		return m.endClient(ctx, c, err, nil, nil, cc, opts)
	}
	var header, trailer metadata.MD
	if m.chain.wants&object.WantsResponseMetadata != 0 {
		header, trailer, err = withMetadata(ctx, path, request, response, cc, invoker, opts)
	} else {
		err = invoker(ctx, path, request, response, cc, opts...)
	}
	if m.Response.Empty {
		return err
	}
	if err != nil {
		return m.endClient(ctx, c, err, header, trailer, cc, opts)
	}
	return m.respondClient(ctx, c, response, header, trailer, cc, opts)
}

// respondClient judges a response; what the caller gets.
func (m *method) respondClient(ctx context.Context, c *object.Call, response any, header, trailer metadata.MD, cc *grpc.ClientConn, opts []grpc.CallOption) error {
	b, err := m.fill(c, &m.response, response, 0)
	if err != nil {
		return unreadable(err)
	}
	m.offerResponse(c, header, trailer)
	m.remind(ctx, c, cc, opts)
	m.tick(c)
	f := c.Frame()
	if c.Finish() == object.Refuse {
		if out, ok := response.(proto.Message); ok {
			proto.Reset(out) // nobody is to see it
		}
		tell(opts, nil, entriesOf(f.Own))
		return refusal(f)
	}
	if c.Touched() && b != nil { // the caller's own, and nobody has seen it yet
		if err := b.apply(c, c.Slots(), object.OfResponse, response.(proto.Message).ProtoReflect()); err != nil {
			return unreadable(err)
		}
	}
	if f.Edited() {
		tell(opts, edit(c, object.ResponseMetadata, header.Copy()), edit(c, object.ResponseTrailers, trailer.Copy()))
	}
	return nil
}

// withMetadata makes a call, and gives the metadata of its response as well.
func withMetadata(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts []grpc.CallOption) (header, trailer metadata.MD, err error) {
	err = invoker(ctx, path, request, response, cc, append(opts[:len(opts):len(opts)], grpc.Header(&header), grpc.Trailer(&trailer))...)
	return header, trailer, err
}

func (m *method) answerClient(c *object.Call, response any, opts []grpc.CallOption) error {
	out, ok := response.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "appnet: %T is no message of protobuf", response)
	}
	proto.Reset(out)
	if err := m.answer(c, out); err != nil {
		return unreadable(err)
	}
	tell(opts, entriesOf(c.Frame().Own), entriesOf(c.Frame().Trailers))
	return nil
}

// endClient shows the chain the error that a call ended with; what the caller gets.
func (m *method) endClient(ctx context.Context, c *object.Call, err error, header, trailer metadata.MD, cc *grpc.ClientConn, opts []grpc.CallOption) error {
	c.Next()
	m.offerResponse(c, header, trailer)
	m.remind(ctx, c, cc, opts)
	m.tick(c)
	f := c.Frame()
	if c.EndResponse(int32(codeOf(err))) == object.Refuse {
		tell(opts, nil, entriesOf(f.Own))
		return refusal(f)
	}
	if f.Edited() {
		tell(opts, edit(c, object.ResponseMetadata, header.Copy()), edit(c, object.ResponseTrailers, trailer.Copy()))
	}
	return err
}

// ---- server

// heldStream keeps what a handler says of its response until the chain has judged it.
type heldStream struct {
	grpc.ServerTransportStream
	header, trailer metadata.MD
}

func (s *heldStream) SetHeader(md metadata.MD) error {
	s.header = metadata.Join(s.header, md)
	return nil
}

func (s *heldStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

func (s *heldStream) SetTrailer(md metadata.MD) error {
	s.trailer = metadata.Join(s.trailer, md)
	return nil
}

// release lets it go on as the chain made it.
func (s *heldStream) release(c *object.Call) {
	if s == nil || s.ServerTransportStream == nil {
		return
	}
	if md := edit(c, object.ResponseMetadata, s.header); len(md) > 0 {
		_ = s.ServerTransportStream.SetHeader(md)
	}
	if md := edit(c, object.ResponseTrailers, s.trailer); len(md) > 0 {
		_ = s.ServerTransportStream.SetTrailer(md)
	}
}

func (s *heldStream) parts() (header, trailer metadata.MD) {
	if s == nil {
		return nil, nil
	}
	return s.header, s.trailer
}

// unaryServer runs a call of a server through the chain.
func (m *method) unaryServer(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := m.call()
	defer m.done(c)
	response, err := m.throughServer(ctx, c, request, info, handler)
	m.ended(c, err)
	return response, err
}

func (m *method) throughServer(ctx context.Context, c *object.Call, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	b, err := m.fill(c, &m.request, request, 0)
	if err != nil {
		return nil, unreadable(err)
	}
	m.offerRequest(ctx, c, nil, nil)
	m.tick(c)
	f := c.Frame()
	switch c.Begin() {
	case object.Refuse:
		return nil, refusedServer(ctx, f)
	case object.Answer:
		return m.answerServer(ctx, c, info.FullMethod)
	}
	if request, err = changed(c, b, request, object.OfRequest); err != nil {
		return nil, unreadable(err)
	}
	outer := ctx
	ctx, cancel := bounded(m.requestContext(ctx, c), f)
	defer cancel()
	if err := wait(ctx, f); err != nil {
		if !c.Begun() {
			return nil, err
		}
		return nil, m.endServer(outer, c, err, nil)
	}
	var held *heldStream
	if m.chain.wants&object.WantsResponseMetadata != 0 {
		held = &heldStream{ServerTransportStream: grpc.ServerTransportStreamFromContext(ctx)}
		ctx = grpc.NewContextWithServerTransportStream(ctx, held)
	}
	shortened := f.DeadlineNs != object.NoDeadline
	response, err := handler(ctx, request)
	if shortened && ctx.Err() == context.DeadlineExceeded {
		err = status.FromContextError(ctx.Err()).Err()
	}
	if m.Response.Empty {
		held.release(c)
		return response, err
	}
	if err != nil {
		return nil, m.endServer(outer, c, err, held)
	}
	return m.respondServer(outer, c, response, held)
}

// respondServer judges a response; what the caller gets.
func (m *method) respondServer(ctx context.Context, c *object.Call, response any, held *heldStream) (any, error) {
	b, err := m.fill(c, &m.response, response, 0)
	if err != nil {
		return nil, unreadable(err)
	}
	m.offerResponse(c, held.headerSoFar(), held.trailerSoFar())
	m.remind(ctx, c, nil, nil)
	m.tick(c)
	if c.Finish() == object.Refuse {
		return nil, refusedServer(ctx, c.Frame())
	}
	if response, err = changed(c, b, response, object.OfResponse); err != nil {
		return nil, unreadable(err)
	}
	held.release(c)
	return response, nil
}

func (s *heldStream) headerSoFar() metadata.MD  { h, _ := s.parts(); return h }
func (s *heldStream) trailerSoFar() metadata.MD { _, t := s.parts(); return t }

func refusedServer(ctx context.Context, f *object.Frame) error {
	if own := entriesOf(f.Own); own != nil {
		_ = grpc.SetTrailer(ctx, own)
	}
	return refusal(f)
}

func (m *method) answerServer(ctx context.Context, c *object.Call, path string) (any, error) {
	response, err := emptyMessage(path, true)
	if err == nil {
		err = m.answer(c, response)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	f := c.Frame()
	if md := entriesOf(f.Own); md != nil {
		_ = grpc.SetHeader(ctx, md)
	}
	if md := entriesOf(f.Trailers); md != nil {
		_ = grpc.SetTrailer(ctx, md)
	}
	return response, nil
}

// endServer shows the chain the error that a handler ended with; what the caller gets.
func (m *method) endServer(ctx context.Context, c *object.Call, err error, held *heldStream) error {
	c.Next()
	m.offerResponse(c, held.headerSoFar(), held.trailerSoFar())
	m.remind(ctx, c, nil, nil)
	m.tick(c)
	f := c.Frame()
	if c.EndResponse(int32(codeOf(err))) == object.Refuse {
		return refusedServer(ctx, f)
	}
	held.release(c)
	return err
}
