package appnet

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"google.golang.org/grpc/metadata"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// gRPC gives the metadata of a request as copies only, which cost more than a short chain. What contexts have of them is
// found out when the program starts; a gRPC that has it in another way is asked for copies.

// outgoing is the key by which contexts have the metadata of requests. nil: it is not known.
var outgoing = func() any {
	asked := &listening{Context: context.Background()}
	metadata.FromOutgoingContext(asked)
	return asked.key
}()

// listening is a context that has nothing, and knows what it was asked for.
type listening struct {
	context.Context
	key any
}

func (l *listening) Value(key any) any {
	l.key = key
	return nil
}

// given is what contexts have: a map, and what was appended to it, each time as keys and values in turn.
type given struct {
	md    metadata.MD
	added [][]string
}

// givenType is the type by which gRPC has it; nil: it is another.
var givenType = func() reflect.Type {
	if outgoing == nil {
		return nil
	}
	found, ours := reflect.TypeOf(metadata.NewOutgoingContext(context.Background(), nil).Value(outgoing)), reflect.TypeFor[given]()
	if found == nil || found.Kind() != reflect.Struct || found.NumField() != ours.NumField() {
		return nil
	}
	for i := range ours.NumField() {
		if found.Field(i).Type != ours.Field(i).Type {
			return nil
		}
	}
	return found
}()

// givenIn is what a context has, nil: nothing. Nobody may change it. false: it is not known.
func givenIn(ctx context.Context) (*given, bool) {
	if givenType == nil {
		return nil, false
	}
	found := ctx.Value(outgoing)
	if found == nil {
		return nil, true
	}
	if reflect.TypeOf(found) != givenType {
		return nil, false
	}
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(&found)) // of an interface: its type, and where its value is
	return (*given)(words[1]), true
}

func (g *given) has(key string) bool {
	for it := range g.md {
		if len(it) == len(key) && strings.EqualFold(it, key) {
			return true
		}
	}
	for _, pairs := range g.added {
		for i := 0; i < len(pairs); i += 2 {
			if len(pairs[i]) == len(key) && strings.EqualFold(pairs[i], key) {
				return true
			}
		}
	}
	return false
}

// adds says whether edits do nothing but to add to what there is.
func (g *given) adds(edits []object.Edit) bool {
	return !slices.ContainsFunc(edits, func(it object.Edit) bool { return g.has(it.Key) })
}

// sent is what elements add to requests, made once for all those that get the same: it is never changed again, which gRPC
// promises as well.
type sent struct {
	edits []object.Edit
	pairs []string // what is set, as keys and values in turn
	raw   any      // as contexts have it where there is nothing else
}

func newSent(edits []object.Edit) *sent {
	s := &sent{edits: slices.Clone(edits), pairs: pairsOf(nil, edits)}
	if md := withEdits(edits, object.RequestMetadata, nil); md != nil {
		s.raw = metadata.NewOutgoingContext(context.Background(), md).Value(outgoing)
	}
	return s
}

func pairsOf(pairs []string, edits []object.Edit) []string {
	for _, it := range edits {
		if it.Map == object.RequestMetadata && !it.Removes {
			pairs = append(pairs, it.Key, fromWire(it.Key, it.Value))
		}
	}
	return pairs
}

// outgoingContext is the context that a client's request goes on with after handlers changed its metadata.
func (m *method) outgoingContext(ctx context.Context, c *object.Call) context.Context {
	there, known := givenIn(ctx)
	if !known {
		md, _ := metadata.FromOutgoingContext(ctx) // a copy
		return metadata.NewOutgoingContext(ctx, edit(c, object.RequestMetadata, md))
	}
	s := m.sent.Load()
	if s == nil || !c.Edited(s.edits) {
		edits, again := c.Edits()
		if !again {
			return edited(ctx, there, edits)
		}
		s = newSent(edits)
		m.sent.Store(s)
	}
	switch {
	case there == nil && len(s.pairs) > 0:
		return context.WithValue(ctx, outgoing, s.raw)
	case there != nil && len(s.pairs) > 0 && there.adds(s.edits):
		return metadata.AppendToOutgoingContext(ctx, s.pairs...)
	}
	return edited(ctx, there, s.edits)
}

func edited(ctx context.Context, there *given, edits []object.Edit) context.Context {
	if there == nil || there.adds(edits) {
		var room [8]string
		if pairs := pairsOf(room[:0], edits); len(pairs) > 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
		}
		return ctx
	}
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	return metadata.NewOutgoingContext(ctx, withEdits(edits, object.RequestMetadata, md))
}
