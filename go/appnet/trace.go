package appnet

import (
	"context"
	"math/rand/v2"

	"google.golang.org/grpc/metadata"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// What metadata say of the trace that a request is part of, and the caller's ID of the request.
type contextual int

const (
	isNone contextual = iota
	isTrace
	isDetail // of B3
	isID
)

// contexts are the keys that matter, those of which one is a trace first. gRPC has made all keys lower case.
var contexts = [...]struct {
	key string
	is  contextual
}{
	{"traceparent", isTrace}, {"x-b3-traceid", isTrace}, {"b3", isTrace},
	{"x-b3-spanid", isDetail}, {"x-b3-sampled", isDetail}, {"x-b3-flags", isDetail},
	{"x-request-id", isID},
}

func contextualOf(key string) contextual {
	for i := range contexts {
		if contexts[i].key == key {
			return contexts[i].is
		}
	}
	return isNone
}

// incoming is the key by which contexts have the metadata of requests that came. nil: it is not known.
var incoming = func() any {
	asked := &listening{Context: context.Background()}
	metadata.FromIncomingContext(asked)
	return asked.key
}()

// carried gives the metadata of a request, which nobody may change: a map, and what was appended to it.
func (m *method) carried(ctx context.Context) (metadata.MD, [][]string) {
	if m.chain.server {
		md, known := ctx.Value(incoming).(metadata.MD)
		if !known {
			md, _ = metadata.FromIncomingContext(ctx) // a copy
		}
		return md, nil
	}
	there, known := givenIn(ctx)
	switch {
	case !known:
		md, _ := metadata.FromOutgoingContext(ctx) // a copy
		return md, nil
	case there == nil:
		return nil, nil
	}
	return there.md, there.added
}

// offerContext shows the chain the trace that a request is part of, and the caller's ID of it, at an event of a side: spans
// and explanations of refusals name them. Before the first event it says what is to be made of the trace.
func (m *method) offerContext(ctx context.Context, c *object.Call, side *object.Side) {
	if m.chain.records == "" {
		return
	}
	first := !c.Begun()
	if !first && !side.Holds && !c.Traced() {
		return
	}
	how := uint32(object.TracedNot)
	if share := m.chain.share; first && share > 0 && rand.Uint32() <= share {
		how = object.TracedDrawn
	}
	if md, added := m.carried(ctx); len(md)+len(added) > 0 {
		tell := shown{call: c, has: side == &m.Request && m.chain.wants&object.WantsRequestMetadata != 0, id: side.Holds}
		tell.added(added)
		tell.of(md, how == object.TracedDrawn)
		if tell.trace && how == object.TracedNot {
			how = object.TracedAsTold
		}
	}
	if first {
		c.Trace(how)
	}
}

// shown is what a chain is shown of a trace.
type shown struct {
	call  *object.Call
	has   bool // it has all metadata
	id    bool // it can refuse, and then names the caller's ID
	trace bool // there is one
}

func (s *shown) tell(key, value string) {
	if !s.has {
		s.call.AddMetadata(object.RequestMetadata, key, value)
	}
}

// added shows what was appended, each time as keys and values in turn.
func (s *shown) added(several [][]string) {
	for _, pairs := range several {
		for i := 0; i+1 < len(pairs); i += 2 {
			switch contextualOf(pairs[i]) {
			case isTrace:
				s.trace = true
				s.tell(pairs[i], pairs[i+1])
			case isDetail:
				s.tell(pairs[i], pairs[i+1])
			case isID:
				if s.id {
					s.tell(pairs[i], pairs[i+1])
				}
			}
		}
	}
}

// of shows what a map has; drawn: details matter without a trace, too.
func (s *shown) of(md metadata.MD, drawn bool) {
	if len(md) == 0 {
		return
	}
	for i := range contexts {
		switch it := &contexts[i]; it.is {
		case isTrace:
			s.trace = s.values(md, it.key) || s.trace
		case isDetail:
			if s.trace || drawn {
				s.values(md, it.key)
			}
		case isID:
			if s.id {
				s.values(md, it.key)
			}
		}
	}
}

func (s *shown) values(md metadata.MD, key string) bool {
	values := md[key]
	for _, it := range values {
		s.tell(key, it)
	}
	return len(values) > 0
}

// ended tells the chain with which error an unary call ends, nil: with none.
func (m *method) ended(c *object.Call, err error) {
	if c.Traced() {
		c.Ended(int32(codeOf(err)))
	}
}
