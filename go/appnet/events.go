package appnet

import (
	"cmp"
	"errors"
	"sync"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// events are those of a call whose messages come one by one, from several goroutines: a stream, or a unary call that is
// made as one. It ends once, in whatever way.
type events struct {
	*method
	mu     sync.Mutex
	call   *object.Call
	asked  bool   // a request was judged
	size   uint64 // in tests: of a message as it came; 0: as protobuf has it
	judged bool   // the only response was
	over   bool
	ended  error // the call ended by the chain: with this, or with an answer
	reply  proto.Message
	show   func(c *object.Call) // what may be asked for of the request, at each event of it
	remind func(c *object.Call) // what may be asked for of it at events of the response
}

var (
	errAnswered = errors.New("answered")
	errOver     = errors.New("over") // the caller has left: it is told its own way
)

func (e *events) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.over = true
		e.done(e.call)
	}
}

// refuse notes how the chain ended the call; with the lock.
func (e *events) refuse(err error) error {
	if e.ended == nil {
		e.ended = err
		if err == errAnswered {
			err = nil
		}
		e.call.Ended(int32(codeOf(err)))
	}
	return e.ended
}

func (e *events) outcome() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended
}

// unasked says whether a stream of requests has had no message yet: it is judged all the same before it ends.
func (e *events) unasked() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.asked && e.Request.Streams
}

// judgeRequest judges a message, nil: that there is none. What goes on, or what the call ends with. after is told the
// frame while it says what came of it.
func (e *events) judgeRequest(message any, after func(f *object.Frame)) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended != nil || e.over {
		return nil, cmp.Or(e.ended, errOver)
	}
	e.asked = true
	if e.Request.Empty {
		return message, nil
	}
	var b *bound
	var err error
	if message == nil {
		e.call.Next()
		e.call.Fields(len(e.Request.Fields))
	} else if b, err = e.fill(e.call, &e.request, message, e.size); err != nil {
		return nil, e.refuse(unreadable(err))
	}
	e.show(e.call)
	e.tick(e.call)
	return e.goesOn(e.call.Request(), b, message, after)
}

func (e *events) goesOn(verdict uint32, b *bound, message any, after func(f *object.Frame)) (any, error) {
	f := e.call.Frame()
	switch verdict {
	case object.Refuse:
		after(f)
		return nil, e.refuse(refusal(f))
	case object.Answer:
		if e.reply != nil {
			if err := e.method.answer(e.call, e.reply); err != nil {
				return nil, e.refuse(unreadable(err))
			}
		}
		after(f)
		return nil, e.refuse(errAnswered)
	}
	if message != nil {
		var err error
		if message, err = changed(e.call, b, message, object.OfRequest); err != nil {
			return nil, e.refuse(unreadable(err))
		}
	}
	after(f)
	return message, nil
}

// judgeResponse judges a message; the one that goes on may be a copy.
func (e *events) judgeResponse(message any, header, trailer metadata.MD, own bool, after func(f *object.Frame)) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended != nil || e.over {
		return nil, cmp.Or(e.ended, errOver)
	}
	if !e.Response.Streams {
		e.call.Ended(0)
	}
	if e.Response.Empty || e.judged {
		return message, nil
	}
	e.judged = !e.Response.Streams
	b, err := e.fill(e.call, &e.response, message, e.size)
	if err != nil {
		return nil, e.refuse(unreadable(err))
	}
	e.offerResponse(e.call, header, trailer)
	e.remind(e.call)
	e.tick(e.call)
	f := e.call.Frame()
	if e.call.Response() == object.Refuse {
		after(f)
		return nil, e.refuse(refusal(f))
	}
	if own && e.call.Touched() && b != nil {
		err = b.apply(e.call, e.call.Slots(), object.OfResponse, message.(proto.Message).ProtoReflect())
	} else {
		message, err = changed(e.call, b, message, object.OfResponse)
	}
	if err != nil {
		return nil, e.refuse(unreadable(err))
	}
	after(f)
	return message, nil
}

// judgeEnd tells the chain how the responses ended; with what the call ends. nil: well.
func (e *events) judgeEnd(end error, header, trailer metadata.MD, after func(f *object.Frame)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended != nil {
		return e.ended
	}
	if e.over {
		return end
	}
	e.call.Ended(int32(codeOf(end)))
	if e.judged || e.Response.Empty || (end == nil && !e.Response.Streams) {
		return end
	}
	e.judged = true
	e.call.Next()
	e.offerResponse(e.call, header, trailer)
	e.remind(e.call)
	e.tick(e.call)
	f := e.call.Frame()
	if e.call.EndResponse(int32(codeOf(end))) == object.Refuse {
		after(f)
		return e.refuse(refusal(f))
	}
	after(f)
	return end
}

func nothing(*object.Frame) {}
