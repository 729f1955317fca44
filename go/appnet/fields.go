package appnet

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// plan says how the fields of one side of a method are read from messages and written into them. Messages are known by
// their descriptors alone, so any type will do, generated or dynamic.
type plan struct {
	side  *object.Side
	bound atomic.Pointer[bound]  // for the descriptor that was met last: there is only one, as a rule
	laid  atomic.Pointer[layout] // for the type that was met last
}

// bound is a plan for messages of one descriptor.
type bound struct {
	descriptor protoreflect.MessageDescriptor
	fields     []boundField
	wrong      error
}

// boundField is a field of such messages. steps lead to the message that holds it, from the message itself or from the
// messages of the field within-1.
type boundField struct {
	steps      []protoreflect.FieldDescriptor
	last       protoreflect.FieldDescriptor
	kind       uint8
	many       uint8
	within     int
	hasDefault bool                             // it reads as something where it is absent
	names      map[protoreflect.EnumNumber]bool // of a closed enum
	// Of entries that are no map for protobuf, but repeated messages, which is the same on the wire.
	key, value protoreflect.FieldDescriptor
	keyKind    uint8
}

func (p *plan) bind(m protoreflect.Message) *bound {
	descriptor := m.Descriptor()
	if b := p.bound.Load(); b != nil && b.descriptor == descriptor {
		return b
	}
	b := &bound{descriptor: descriptor}
	b.fields = make([]boundField, len(p.side.Fields))
	for i := range p.side.Fields {
		if err := b.field(p.side.Fields, i, 0); err != nil {
			b.wrong = fmt.Errorf("messages %s of this program do not fit: %w", descriptor.FullName(), err)
			break
		}
	}
	p.bound.Store(b)
	return b
}

// field finds a field, after the one that it stands within; depth is how many stand within it.
func (b *bound) field(fields []object.Field, index, depth int) error {
	f, out := &fields[index], &b.fields[index]
	if out.last != nil {
		return nil
	}
	*out = boundField{kind: f.Kind, many: f.Many, within: f.Within, keyKind: f.KeyKind}
	at, numbers := b.descriptor, f.Numbers
	if f.Within > 0 {
		if depth > len(fields) {
			return errors.New("fields stand within one another")
		}
		if err := b.field(fields, f.Within-1, depth+1); err != nil {
			return err
		}
		around := &b.fields[f.Within-1]
		if around.last.Message() == nil {
			return fmt.Errorf("nothing stands within %s", around.last.FullName())
		}
		at = around.last.Message()
		if around.last.IsMap() { // the messages are its values
			at, numbers = around.last.MapValue().Message(), numbers[1:]
			if len(numbers) == 0 {
				return errors.New("a field of entries without a number")
			}
		}
	}
	for i, number := range numbers {
		if at == nil {
			return fmt.Errorf("field %d stands in no message", number)
		}
		fd := at.Fields().ByNumber(protoreflect.FieldNumber(number))
		if fd == nil {
			return fmt.Errorf("%s has no field %d", at.FullName(), number)
		}
		if i == len(numbers)-1 {
			out.last = fd
			break
		}
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			return fmt.Errorf("field %s is no message", fd.FullName())
		}
		out.steps, at = append(out.steps, fd), fd.Message()
	}
	if out.last == nil {
		return errors.New("a field without a number")
	}
	if f.Closed {
		out.names = map[protoreflect.EnumNumber]bool{}
		for _, it := range f.Names {
			out.names[protoreflect.EnumNumber(it)] = true
		}
	}
	out.hasDefault = out.last.HasDefault()
	return out.check()
}

// check finds out whether the field is what the chain was compiled for.
func (f *boundField) check() error {
	fd := f.last
	several := f.many != object.One
	if several != (fd.IsList() || fd.IsMap()) {
		return fmt.Errorf("field %s is repeated, or is not, in another .proto", fd.FullName())
	}
	value := fd
	if f.many == object.Entries || f.many == object.KeyedMessages {
		switch {
		case fd.IsMap():
			f.key, f.value = fd.MapKey(), fd.MapValue()
		case fd.Message() != nil:
			f.key, f.value = fd.Message().Fields().ByNumber(1), fd.Message().Fields().ByNumber(2)
		}
		if f.key == nil || f.value == nil || !sameKind(f.key.Kind(), f.keyKind) {
			return fmt.Errorf("field %s has other keys in another .proto", fd.FullName())
		}
		value = f.value
	}
	if !sameKind(value.Kind(), f.kind) {
		return fmt.Errorf("field %s has another type in another .proto", fd.FullName())
	}
	return nil
}

var kinds = [...]protoreflect.Kind{
	protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind,
	protoreflect.Sint32Kind, protoreflect.Sint64Kind, protoreflect.EnumKind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind,
	protoreflect.Sfixed32Kind, protoreflect.Sfixed64Kind, protoreflect.FloatKind, protoreflect.DoubleKind,
	protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind,
}

// sameKind says whether values are the same on the wire; of texts, one of the types may not care for UTF-8.
func sameKind(found protoreflect.Kind, kind uint8) bool {
	switch kind {
	case object.KindString, object.KindBytes:
		return found == protoreflect.StringKind || found == protoreflect.BytesKind
	case object.KindMessage:
		return found == protoreflect.MessageKind || found == protoreflect.GroupKind
	}
	return found == kinds[kind]
}

// ---- reading

// fill gives a call the fields that a message has.
func (p *plan) fill(c *object.Call, message any) (*bound, error) {
	if !p.side.NeedsMessage {
		return nil, nil
	}
	l := p.laid.Load()
	met := l != nil && l.of == reflect.TypeOf(message)
	if met && l.bound != nil {
		l.fill(c, message)
		return l.bound, nil
	}
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message of protobuf", message)
	}
	r := m.ProtoReflect()
	b := p.bind(r)
	if b.wrong != nil {
		return nil, b.wrong
	}
	if !met {
		p.laid.Store(layoutOf(b, m))
	}
	c.Fields(len(b.fields))
	for i := range b.fields {
		b.read(c, i, r)
	}
	return b, nil
}

func (b *bound) read(c *object.Call, index int, m protoreflect.Message) {
	f := &b.fields[index]
	if f.within > 0 {
		b.readEach(c, index, m)
		return
	}
	for _, step := range f.steps {
		if m = m.Get(step).Message(); !m.IsValid() {
			return
		}
	}
	if f.many == object.One && (f.kind == object.KindString || f.kind == object.KindBytes) {
		if text := textOf(f.last, m.Get(f.last)); text != "" && !f.hasDefault || m.Has(f.last) {
			c.SetText(index, text)
		}
		return
	}
	if !m.Has(f.last) {
		return
	}
	switch f.many {
	case object.One:
		f.readOne(c, index, m)
	case object.Items:
		list := m.Get(f.last).List()
		values := make([]object.Value, 0, list.Len())
		for i := range list.Len() {
			values = f.append(c, values, list.Get(i))
		}
		c.SetList(index, values)
	case object.Entries:
		f.readEntries(c, index, m)
	default:
		c.SetBits(index, uint64(len(f.messages(m, false))))
	}
}

func (f *boundField) readOne(c *object.Call, index int, m protoreflect.Message) {
	switch f.kind {
	case object.KindMessage:
		c.SetBits(index, 1)
	default:
		value := m.Get(f.last)
		if f.names == nil || f.names[value.Enum()] {
			c.SetBits(index, bitsOf(f.kind, value))
		}
	}
}

// append adds a value, unless it is a number that its enum has no name for.
func (f *boundField) append(c *object.Call, values []object.Value, value protoreflect.Value) []object.Value {
	if f.names != nil && !f.names[value.Enum()] {
		return values
	}
	fd := f.last
	if f.value != nil {
		fd = f.value
	}
	return append(values, asValue(c, f.kind, fd, value))
}

func asValue(c *object.Call, kind uint8, fd protoreflect.FieldDescriptor, value protoreflect.Value) object.Value {
	if kind == object.KindString || kind == object.KindBytes {
		return c.TextValue(textOf(fd, value))
	}
	return object.BitsValue(bitsOf(kind, value))
}

func textOf(fd protoreflect.FieldDescriptor, value protoreflect.Value) string {
	if fd.Kind() == protoreflect.StringKind {
		return value.String()
	}
	return borrowed(value.Bytes())
}

func bitsOf(kind uint8, value protoreflect.Value) uint64 {
	switch kind {
	case object.KindBool:
		if value.Bool() {
			return 1
		}
		return 0
	case object.KindUint32, object.KindUint64, object.KindFixed32, object.KindFixed64:
		return value.Uint()
	case object.KindEnum:
		return uint64(int64(value.Enum()))
	case object.KindFloat, object.KindDouble:
		return math.Float64bits(value.Float())
	}
	return uint64(value.Int())
}

type entryOf struct {
	key, value protoreflect.Value
	entry      protoreflect.Message // nil of a map
}

// entries are those of a map in the order of their keys: protobuf does not tell the order in which they came. Of entries
// that it takes for repeated messages, the last of each key, in their order.
func (f *boundField) entries(m protoreflect.Message) []entryOf {
	var found []entryOf
	if f.last.IsMap() {
		m.Get(f.last).Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			found = append(found, entryOf{key.Value(), value, nil})
			return true
		})
		slices.SortFunc(found, func(a, b entryOf) int { return compareKeys(f.keyKind, a.key, b.key) })
		return found
	}
	list := m.Get(f.last).List()
	last := map[any]int{}
	for i := range list.Len() {
		last[keyOf(list.Get(i).Message().Get(f.key))] = i
	}
	for i := range list.Len() {
		entry := list.Get(i).Message()
		key := entry.Get(f.key)
		if last[keyOf(key)] == i {
			found = append(found, entryOf{key, entry.Get(f.value), entry})
		}
	}
	return found
}

func keyOf(key protoreflect.Value) any {
	if text, ok := key.Interface().([]byte); ok {
		return string(text)
	}
	return key.Interface()
}

func compareKeys(kind uint8, a, b protoreflect.Value) int {
	switch kind {
	case object.KindString, object.KindBytes:
		return cmp.Compare(a.String(), b.String())
	case object.KindUint32, object.KindUint64, object.KindFixed32, object.KindFixed64:
		return cmp.Compare(a.Uint(), b.Uint())
	case object.KindBool:
		return cmp.Compare(bitsOf(kind, a), bitsOf(kind, b))
	}
	return cmp.Compare(a.Int(), b.Int())
}

func (f *boundField) readEntries(c *object.Call, index int, m protoreflect.Message) {
	entries := f.entries(m)
	values := make([]object.Value, 0, 2*len(entries))
	for _, it := range entries {
		before := len(values)
		values = append(values, asValue(c, f.keyKind, f.key, it.key))
		if values = f.append(c, values, it.value); len(values) == before+1 {
			values = values[:before]
		}
	}
	c.SetEntries(index, values)
}

// messages are those of a field of many in a message that holds it. With make, an entry that has none gets one.
func (f *boundField) messages(m protoreflect.Message, make bool) []protoreflect.Message {
	var found []protoreflect.Message
	if f.many == object.KeyedMessages {
		for _, it := range f.entries(m) {
			if make && it.entry != nil {
				found = append(found, it.entry.Mutable(f.value).Message())
				continue
			}
			found = append(found, it.value.Message())
		}
		return found
	}
	list := m.Get(f.last).List()
	for i := range list.Len() {
		found = append(found, list.Get(i).Message())
	}
	return found
}

// holders are the messages that have the field: the many that it stands within, and what leads on from each. Where one has
// nothing there, an empty one stands for it; with make, that is added.
func (b *bound) holders(f *boundField, m protoreflect.Message, make bool) []protoreflect.Message {
	found := []protoreflect.Message{m}
	if f.within > 0 {
		found = nil
		around := &b.fields[f.within-1]
		for _, it := range b.holders(around, m, false) {
			found = append(found, around.messages(it, make)...)
		}
	}
	steps := f.steps
	if f.within > 0 && len(steps) > 0 && b.fields[f.within-1].entriesAreMessages() {
		steps = steps[1:] // entries gave their values already
	}
	for i := range found {
		for _, step := range steps {
			if make {
				found[i] = found[i].Mutable(step).Message()
			} else {
				found[i] = found[i].Get(step).Message()
			}
		}
	}
	return found
}

// entriesAreMessages says whether numbers of what stands within lead through entries that protobuf takes for messages.
func (f *boundField) entriesAreMessages() bool {
	return f.many == object.KeyedMessages && !f.last.IsMap()
}

func (b *bound) readEach(c *object.Call, index int, m protoreflect.Message) {
	f := &b.fields[index]
	if f.kind == object.KindMessage && f.many == object.One {
		return
	}
	var values []object.Value
	count := 0
	for _, holder := range b.holders(f, m, false) {
		switch {
		case f.kind == object.KindMessage:
			count += len(f.messages(holder, false))
		case f.many == object.Items:
			list := holder.Get(f.last).List()
			for i := range list.Len() {
				values = f.append(c, values, list.Get(i))
			}
		default:
			value := holder.Get(f.last)
			if f.names != nil && !f.names[value.Enum()] {
				value = f.last.Default()
			}
			values = append(values, asValue(c, f.kind, f.last, value))
		}
	}
	if f.kind == object.KindMessage {
		c.SetBits(index, uint64(count))
		return
	}
	c.SetList(index, values)
}
