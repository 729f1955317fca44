package appnet

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoimpl"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// layout is a plan for one type of struct, which protoc-gen-go made for messages: where in it the fields of one value are,
// so that they are read without protoreflect, whose every read costs about as much as all the rest of a short element.
// What is not there, or is not as this knows it, is read by protoreflect as before.
type layout struct {
	of     reflect.Type // a pointer to the struct
	bound  *bound       // nil: the type does not say what its messages are
	fields []laidField
	slow   []int // by their indices, those that protoreflect reads
}

// laidField is where a field is: steps are the offsets of the pointers on its way.
type laidField struct {
	index  int
	steps  []uintptr
	offset uintptr
	form   form
}

// form is how a struct holds a field.
type form uint8

const (
	notLaid form = iota
	asString
	asBytes // present where it is not empty
	asBool
	asInt32
	asInt64
	asUint32
	asUint64
	asFloat32
	asFloat64
	asMessage // a pointer to a struct

	// A pointer, or bytes, that is nil where the field is absent.
	maybe  = 1 << 7
	direct = maybe - 1
)

// ofStructs is the type of reflections whose messages are structs with a field for each of theirs.
var ofStructs = reflect.TypeOf((&control.Version{}).ProtoReflect())

// layoutOf is that of the type that a message has.
func layoutOf(b *bound, message proto.Message) *layout {
	l := &layout{of: reflect.TypeOf(message)}
	if m := message.ProtoReflect(); !isStruct(l.of) || reflect.TypeOf(m) != ofStructs || m.Interface() != message {
		return l
	}
	l.bound = b
	for i := range b.fields {
		laid := laidField{index: i}
		if laid.find(l.of.Elem(), &b.fields[i]) {
			l.fields = append(l.fields, laid)
		} else {
			l.slow = append(l.slow, i)
		}
	}
	return l
}

// isStruct says whether a type is a pointer to a struct as protoc-gen-go makes it for its open API, for which protobuf's
// reflection has nothing but the struct itself to go by.
func isStruct(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() == 0 {
		return false
	}
	state := t.Elem().Field(0)
	api := state.Tag.Get("protogen")
	return state.Type == reflect.TypeFor[protoimpl.MessageState]() && (api == "" || api == "open.v1")
}

// find finds out where a field is; false: that is not known.
func (l *laidField) find(in reflect.Type, f *boundField) bool {
	if f.within > 0 || f.many != object.One || f.names != nil || f.hasDefault {
		return false
	}
	for _, step := range f.steps {
		at, ok := member(in, step)
		if !ok || !isStruct(at.Type) {
			return false
		}
		l.steps, in = append(l.steps, at.Offset), at.Type.Elem()
	}
	at, ok := member(in, f.last)
	if ok {
		l.offset, l.form = at.Offset, formOf(at.Type, f.last)
	}
	return l.form != notLaid
}

// member is the member of a struct that holds a field: the one that its tag says so of. Members of oneofs have none.
func member(in reflect.Type, fd protoreflect.FieldDescriptor) (reflect.StructField, bool) {
	for i := range in.NumField() {
		it := in.Field(i)
		parts := strings.Split(it.Tag.Get("protobuf"), ",")
		if len(parts) > 1 && parts[1] == strconv.Itoa(int(fd.Number())) {
			return it, it.IsExported()
		}
	}
	return reflect.StructField{}, false
}

// formOf is how a member holds a field, notLaid where its type is another than such fields have.
func formOf(t reflect.Type, fd protoreflect.FieldDescriptor) form {
	if fd.Kind() == protoreflect.MessageKind || fd.Kind() == protoreflect.GroupKind {
		if isStruct(t) {
			return asMessage
		}
		return notLaid
	}
	is, absence := forms[fd.Kind()], form(0)
	if fd.HasPresence() {
		absence = maybe
		if fd.Kind() != protoreflect.BytesKind {
			if t.Kind() != reflect.Pointer {
				return notLaid
			}
			t = t.Elem()
		}
	}
	if t.Kind() != is.kind || is.kind == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		return notLaid
	}
	return is.form | absence
}

var forms = map[protoreflect.Kind]struct {
	kind reflect.Kind
	form form
}{
	protoreflect.BoolKind:     {reflect.Bool, asBool},
	protoreflect.EnumKind:     {reflect.Int32, asInt32},
	protoreflect.Int32Kind:    {reflect.Int32, asInt32},
	protoreflect.Sint32Kind:   {reflect.Int32, asInt32},
	protoreflect.Sfixed32Kind: {reflect.Int32, asInt32},
	protoreflect.Uint32Kind:   {reflect.Uint32, asUint32},
	protoreflect.Fixed32Kind:  {reflect.Uint32, asUint32},
	protoreflect.Int64Kind:    {reflect.Int64, asInt64},
	protoreflect.Sint64Kind:   {reflect.Int64, asInt64},
	protoreflect.Sfixed64Kind: {reflect.Int64, asInt64},
	protoreflect.Uint64Kind:   {reflect.Uint64, asUint64},
	protoreflect.Fixed64Kind:  {reflect.Uint64, asUint64},
	protoreflect.FloatKind:    {reflect.Float32, asFloat32},
	protoreflect.DoubleKind:   {reflect.Float64, asFloat64},
	protoreflect.StringKind:   {reflect.String, asString},
	protoreflect.BytesKind:    {reflect.Slice, asBytes},
}

// fill gives a call the fields that a message of the type has.
func (l *layout) fill(c *object.Call, message any) {
	c.Fields(len(l.bound.fields))
	if at := reflect.ValueOf(message).UnsafePointer(); at != nil {
		for i := range l.fields {
			l.fields[i].read(c, at)
		}
	}
	if len(l.slow) > 0 {
		m := message.(proto.Message).ProtoReflect()
		for _, index := range l.slow {
			l.bound.read(c, index, m)
		}
	}
}

// read gives a call what the struct at an address has of the field.
func (l *laidField) read(c *object.Call, at unsafe.Pointer) {
	for _, step := range l.steps {
		if at = *(*unsafe.Pointer)(unsafe.Add(at, step)); at == nil {
			return
		}
	}
	at = unsafe.Add(at, l.offset)
	is, there := l.form&direct, l.form&maybe != 0
	switch {
	case is == asBytes:
		if bytes := *(*[]byte)(at); len(bytes) > 0 || there && bytes != nil {
			c.SetText(l.index, borrowed(bytes))
		}
		return
	case is == asMessage:
		if *(*unsafe.Pointer)(at) != nil {
			c.SetBits(l.index, 1)
		}
		return
	case there:
		if at = *(*unsafe.Pointer)(at); at == nil {
			return
		}
	}
	if is == asString {
		if text := *(*string)(at); text != "" || there {
			c.SetText(l.index, text)
		}
		return
	}
	bits, zero := numberAt(at, is)
	if there || !zero {
		c.SetBits(l.index, bits)
	}
}

// numberAt is a number as its 64 bits, and whether it is what it is where a field is absent.
func numberAt(at unsafe.Pointer, is form) (bits uint64, zero bool) {
	switch is {
	case asBool:
		if *(*bool)(at) {
			bits = 1
		}
	case asInt32:
		bits = uint64(int64(*(*int32)(at)))
	case asInt64:
		bits = uint64(*(*int64)(at))
	case asUint32:
		bits = uint64(*(*uint32)(at))
	case asUint64:
		bits = *(*uint64)(at)
	case asFloat32:
		value := *(*float32)(at)
		return math.Float64bits(float64(value)), math.Float32bits(value) == 0
	case asFloat64:
		bits = math.Float64bits(*(*float64)(at))
	}
	return bits, bits == 0
}
