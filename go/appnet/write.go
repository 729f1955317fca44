package appnet

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// apply does to a message what handlers made of it: what is cleared goes first, then what is written stands there.
func (b *bound) apply(c *object.Call, slots object.Slots, part int, m protoreflect.Message) error {
	if part != object.OfReply {
		for i := range b.fields {
			if slots.Cleared(i) {
				b.clear(&b.fields[i], m)
			}
		}
	}
	for i := range b.fields {
		if !slots.Written(i) {
			continue
		}
		if err := b.write(c, slots, part, i, m); err != nil {
			return err
		}
	}
	return nil
}

func (b *bound) clear(f *boundField, m protoreflect.Message) {
	if f.within == 0 {
		for _, step := range f.steps {
			if !m.Has(step) {
				return
			}
			m = m.Mutable(step).Message()
		}
		m.Clear(f.last)
		return
	}
	for _, holder := range b.holders(f, m, false) {
		if holder.IsValid() {
			holder.Clear(f.last)
		}
	}
}

func (b *bound) write(c *object.Call, slots object.Slots, part, index int, m protoreflect.Message) error {
	f := &b.fields[index]
	if f.within == 0 && f.many == object.One {
		value, err := f.scalar(f.last, f.kind, slots.Value(index))
		if err != nil {
			return err
		}
		b.holders(f, m, true)[0].Set(f.last, value)
		return nil
	}
	each := 1
	if f.many == object.Entries {
		each = 2
	}
	values, ok := c.Values(part, index, each)
	if !ok {
		return errMemory
	}
	if f.within > 0 {
		return b.writeEach(f, values, m)
	}
	if len(values) == 0 && !f.inOneof() && !b.has(f, m) {
		return nil // nothing is made for nothing
	}
	holder := b.holders(f, m, true)[0]
	holder.Clear(f.last)
	if f.many == object.Entries {
		return f.writeEntries(values, holder)
	}
	return f.writeItems(values, holder)
}

// inOneof says whether the field, or a message around it, is a member of a oneof: then it counts that it is there.
func (f *boundField) inOneof() bool {
	for _, it := range append(f.steps[:len(f.steps):len(f.steps)], f.last) {
		if of := it.ContainingOneof(); of != nil && !of.IsSynthetic() {
			return true
		}
	}
	return false
}

func (b *bound) has(f *boundField, m protoreflect.Message) bool {
	for _, step := range f.steps {
		if !m.Has(step) {
			return false
		}
		m = m.Get(step).Message()
	}
	return true
}

func (f *boundField) writeItems(values []object.Value, holder protoreflect.Message) error {
	list := holder.Mutable(f.last).List()
	for _, it := range values {
		value, err := f.scalar(f.last, f.kind, it)
		if err != nil {
			return err
		}
		list.Append(value)
	}
	return nil
}

func (f *boundField) writeEntries(values []object.Value, holder protoreflect.Message) error {
	for ; len(values) >= 2; values = values[2:] {
		key, err := f.scalar(f.key, f.keyKind, values[0])
		if err != nil {
			return err
		}
		value, err := f.scalar(f.value, f.kind, values[1])
		if err != nil {
			return err
		}
		if f.last.IsMap() {
			holder.Mutable(f.last).Map().Set(key.MapKey(), value)
			continue
		}
		entry := holder.Mutable(f.last).List().AppendMutable().Message()
		entry.Set(f.key, key)
		entry.Set(f.value, value)
	}
	return nil
}

// writeEach sets the field in each of the many messages that it stands within: one value each, or as many as it has.
func (b *bound) writeEach(f *boundField, values []object.Value, m protoreflect.Message) error {
	for _, holder := range b.holders(f, m, f.many == object.One) {
		count := 1
		if f.many != object.One {
			count = holder.Get(f.last).List().Len()
		}
		if count > len(values) {
			return fmt.Errorf("a chain wrote fewer values of %s than there are messages", f.last.FullName())
		}
		mine := values[:count]
		values = values[count:]
		if f.many == object.One {
			value, err := f.scalar(f.last, f.kind, mine[0])
			if err != nil {
				return err
			}
			holder.Set(f.last, value)
			continue
		}
		if count == 0 {
			continue
		}
		holder.Clear(f.last)
		if err := f.writeItems(mine, holder); err != nil {
			return err
		}
	}
	return nil
}

// scalar is a value of a field; a text that is no UTF-8 fits into no string.
func (f *boundField) scalar(fd protoreflect.FieldDescriptor, kind uint8, value object.Value) (protoreflect.Value, error) {
	bits := value.Bits()
	switch kind {
	case object.KindBool:
		return protoreflect.ValueOfBool(bits&0xff != 0), nil
	case object.KindString, object.KindBytes:
		text := value.Text()
		if fd.Kind() == protoreflect.BytesKind {
			return protoreflect.ValueOfBytes([]byte(text)), nil
		}
		if !utf8.ValidString(text) {
			return protoreflect.Value{}, fmt.Errorf("an element wrote a text that is not UTF-8 into %s", fd.FullName())
		}
		return protoreflect.ValueOfString(text), nil
	case object.KindInt32, object.KindSint32, object.KindSfixed32:
		return protoreflect.ValueOfInt32(int32(bits)), nil
	case object.KindInt64, object.KindSint64, object.KindSfixed64:
		return protoreflect.ValueOfInt64(int64(bits)), nil
	case object.KindUint32, object.KindFixed32:
		return protoreflect.ValueOfUint32(uint32(bits)), nil
	case object.KindUint64, object.KindFixed64:
		return protoreflect.ValueOfUint64(bits), nil
	case object.KindEnum:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(bits))), nil
	case object.KindFloat:
		return protoreflect.ValueOfFloat32(float32(math.Float64frombits(bits))), nil
	case object.KindDouble:
		return protoreflect.ValueOfFloat64(math.Float64frombits(bits)), nil
	}
	return protoreflect.Value{}, fmt.Errorf("an element wrote a message into %s", fd.FullName())
}
