package appnet

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

var errMemory = errors.New("out of memory")

// ---- time

// The clock of elements: nanoseconds since the process began to use it, and never 0.
var began = time.Now().Add(-time.Second)

var wallAhead atomic.Uint64

func init() { setWall() }

// setWall finds out how far the time of day is ahead of the clock; it changes where somebody sets the machine's clock.
func setWall() { wallAhead.Store(uint64(time.Now().UnixNano()) - uint64(time.Since(began))) }

func now() uint64 { return uint64(time.Since(began)) }

// tick tells a call the time of its next event.
func (m *method) tick(c *object.Call) {
	if m.chain.wants&object.WantsClock != 0 {
		f := c.Frame()
		f.Now, f.Wall = m.chain.time()
	}
}

// ---- methods

// chain is one version of a chain, opened; it ends when no call and no version has it any more.
type chain struct {
	name     string
	wants    uint32
	server   bool
	records  string   // where telemetry goes; empty: nowhere
	share    uint32   // of the calls whose callers do not decide, so many of 2^32 - 1 are traced
	hosts    []string // that calls may go to, by their numbers
	instance *object.Instance
	clock    func() (now, wall uint64) // in tests; nil: the process's
	carrier  *carrier                  // nil: it shares no state
	behind   func(end func())          // in tests; nil: a goroutine of its own
}

func (c *chain) time() (uint64, uint64) {
	if c.clock != nil {
		return c.clock()
	}
	return processTime()
}

func processTime() (now, wall uint64) {
	at := uint64(time.Since(began))
	return at, at + wallAhead.Load()
}

// method is a method of a chain.
type method struct {
	*object.Method
	chain                    *chain
	request, response, reply plan
	sent                     atomic.Pointer[sent]
}

func newMethod(c *chain, of *object.Method) *method {
	m := &method{Method: of, chain: c}
	m.request.side, m.response.side, m.reply.side = &of.Request, &of.Response, &of.Reply
	return m
}

var calls = sync.Pool{New: func() any { return new(object.Call) }}

// call begins a call of the method, which ends with done.
func (m *method) call() *object.Call {
	c := calls.Get().(*object.Call)
	c.Reset(m.chain.instance, m.Method)
	return c
}

func (m *method) done(c *object.Call) {
	if m.Ends || c.Traced() {
		m.tick(c)
	}
	if m.Ends && m.chain.instance.Waits() {
		// Nobody waits until the store has taken what the end does to state.
		if m.chain.behind != nil {
			m.chain.behind(func() { m.end(c) })
		} else {
			go m.end(c)
		}
		return
	}
	m.end(c)
}

func (m *method) end(c *object.Call) {
	c.End()
	calls.Put(c)
	runtime.KeepAlive(m) // and so the instance
}

// unreadable is the error of a message that elements have to read and cannot.
func unreadable(err error) error { return status.Error(codes.Internal, "appnet: "+err.Error()) }

// refusal is the error that a refused call ends with.
func refusal(f *object.Frame) error { return status.Error(codes.Code(uint32(f.Code)), f.Text()) }

// codeOf is the code that the caller of an RPC sees for an error.
func codeOf(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// fill reads a message for the chain. size: of the message, encoded; 0 where nobody knows.
func (m *method) fill(c *object.Call, p *plan, message any, size uint64) (*bound, error) {
	c.Next()
	c.Frame().MessageSize = size
	if size == 0 && m.chain.wants&object.WantsSize != 0 {
		if it, ok := message.(proto.Message); ok {
			c.Frame().MessageSize = uint64(proto.Size(it))
		}
	}
	return p.fill(c, message)
}

// changed is the message as handlers left it: a copy where they wrote to it, as whoever gave it may share it with others.
func changed(c *object.Call, b *bound, message any, part int) (any, error) {
	if !c.Touched() || b == nil {
		return message, nil
	}
	from := message.(proto.Message)
	out := from.ProtoReflect().New().Interface() // not a clone: that of nil is nil
	proto.Merge(out, from)
	return out, b.apply(c, c.Slots(), part, out.ProtoReflect())
}

// answer makes a response of what an element replied and of what others made of that.
func (m *method) answer(c *object.Call, response proto.Message) error {
	r := response.ProtoReflect()
	reply := m.reply.bind(r)
	if reply.wrong != nil {
		return reply.wrong
	}
	if err := reply.apply(c, c.Reply(), object.OfReply, r); err != nil {
		return err
	}
	later := m.response.bind(r)
	if later.wrong != nil {
		return later.wrong
	}
	return later.apply(c, c.Slots(), object.OfResponse, r)
}

// emptyMessage is a message of the type that the method has, by its name in the registry of the program: the request's, or
// the response's.
func emptyMessage(path string, response bool) (proto.Message, error) {
	service, name, ok := cutPath(path)
	if !ok {
		return nil, errors.New("no method " + path)
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, err
	}
	of, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, errors.New("no service " + service)
	}
	md := of.Methods().ByName(protoreflect.Name(name))
	if md == nil {
		return nil, errors.New("no method " + path)
	}
	message := md.Input()
	if response {
		message = md.Output()
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName())
	if err != nil {
		return nil, err
	}
	return t.New().Interface(), nil
}

func cutPath(path string) (service, name string, ok bool) {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' && path[0] == '/' {
			return path[1:i], path[i+1:], true
		}
	}
	return "", "", false
}

// bounded is the context of a call whose deadline an element may have shortened.
func bounded(ctx context.Context, f *object.Frame) (context.Context, context.CancelFunc) {
	if f.DeadlineNs == object.NoDeadline {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, began.Add(time.Duration(min(f.DeadlineNs, 1<<62))))
}

// wait holds a call for as long as elements want.
func wait(ctx context.Context, f *object.Frame) error {
	if f.WaitMs == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(min(f.WaitMs, 1<<40)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
