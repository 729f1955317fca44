package appnet

import (
	"context"
	"math/rand/v2"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// What says that a request is part of a trace, of which one is enough; what else B3 says of it; and its caller's ID of it.
var traceKeys = [...]string{"traceparent", "x-b3-traceid", "b3"}
var traceDetails = [...]string{"x-b3-spanid", "x-b3-sampled", "x-b3-flags"}

const requestID = "x-request-id"

// incoming is the key by which contexts have the metadata of requests that came. nil: it is not known.
var incoming = func() any {
	asked := &listening{Context: context.Background()}
	metadata.FromIncomingContext(asked)
	return asked.key
}()

// carried is the metadata of a request, which nobody may change.
func (m *method) carried(ctx context.Context) given {
	if m.chain.server {
		md, known := ctx.Value(incoming).(metadata.MD)
		if !known {
			md, _ = metadata.FromIncomingContext(ctx) // a copy
		}
		return given{md: md}
	}
	there, known := givenIn(ctx)
	switch {
	case !known:
		md, _ := metadata.FromOutgoingContext(ctx) // a copy
		return given{md: md}
	case there == nil:
		return given{}
	}
	return *there
}

// offer shows the chain what there is of a key, unless it has it; whether there is anything.
func (g *given) offer(c *object.Call, key string, has bool) bool {
	there := false
	tell := func(value string) {
		there = true
		if !has {
			c.AddMetadata(object.RequestMetadata, key, value)
		}
	}
	for _, it := range g.md[key] {
		tell(it)
	}
	for _, pairs := range g.added {
		for i := 0; i+1 < len(pairs); i += 2 {
			if len(pairs[i]) == len(key) && strings.EqualFold(pairs[i], key) {
				tell(pairs[i+1])
			}
		}
	}
	return there
}

// offerContext shows the chain the trace that a request is part of, and the caller's ID of it, at an event of a side: spans
// and explanations of refusals name them. Before the first event it says what is to be made of the trace.
func (m *method) offerContext(ctx context.Context, c *object.Call, side *object.Side) {
	first := !c.Begun()
	if m.chain.records == "" || !first && !side.Holds && !c.Traced() {
		return
	}
	how := uint32(object.TracedNot)
	if share := m.chain.share; first && share > 0 && rand.Uint32() <= share {
		how = object.TracedDrawn
	}
	if g := m.carried(ctx); len(g.md)+len(g.added) > 0 {
		has := m.chain.wants&object.WantsRequestMetadata != 0 && side == &m.Request // all of it
		told := false
		for _, key := range traceKeys {
			told = g.offer(c, key, has) || told
		}
		if told && how == object.TracedNot {
			how = object.TracedAsTold
		}
		if how != object.TracedNot && !has {
			for _, key := range traceDetails {
				g.offer(c, key, has)
			}
		}
		if side.Holds && !has {
			g.offer(c, requestID, has)
		}
	}
	if first {
		c.Trace(how)
	}
}

// ended tells the chain with which error an unary call ends, nil: with none.
func (m *method) ended(c *object.Call, err error) {
	if c.Traced() {
		c.Ended(int32(codeOf(err)))
	}
}
