package appnet

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// singular are all fields of one value that messages have, with those of messages in them.
func singular(of protoreflect.MessageDescriptor, numbers []uint32, depth int) []object.Field {
	var found []object.Field
	for i := range of.Fields().Len() {
		fd := of.Fields().Get(i)
		if fd.IsList() || fd.IsMap() {
			continue
		}
		field := object.Field{Numbers: append(slices.Clone(numbers), uint32(fd.Number())), Kind: object.KindMessage}
		if fd.Message() == nil {
			field.Kind = uint8(slices.Index(kinds[:], fd.Kind()))
		} else if depth > 0 {
			found = append(found, singular(fd.Message(), field.Numbers, depth-1)...)
		}
		found = append(found, field)
	}
	return found
}

// filled sets all fields of one value, of every oneof the last: to what they are where they are absent, or to something else.
func filled(m protoreflect.Message, zero bool, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		switch {
		case fd.IsList() || fd.IsMap():
		case fd.Message() != nil:
			if depth > 0 {
				filled(m.Mutable(fd).Message(), zero, depth-1)
			}
		case zero:
			m.Set(fd, m.NewField(fd))
		default:
			m.Set(fd, something(fd.Kind()))
		}
	}
}

func something(kind protoreflect.Kind) protoreflect.Value {
	switch kind {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(-2)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(math.MinInt32)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(math.MaxUint32)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(math.MinInt64)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(math.MaxUint64)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(math.Copysign(0, -1)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Copysign(0, -1))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text")
	}
	return protoreflect.ValueOfBytes([]byte("bytes"))
}

// Structs are read as protoreflect reads them: whatever they have, and have not.
func TestLayouts(t *testing.T) {
	types := map[proto.Message]bool{ // whether all of their fields stand in structs
		&wrapperspb.BoolValue{}: true, &wrapperspb.Int32Value{}: true, &wrapperspb.UInt32Value{}: true,
		&wrapperspb.Int64Value{}: true, &wrapperspb.UInt64Value{}: true, &wrapperspb.FloatValue{}: true,
		&wrapperspb.DoubleValue{}: true, &wrapperspb.StringValue{}: true, &wrapperspb.BytesValue{}: true,
		&durationpb.Duration{}:               true,
		&grpc_testing.SimpleRequest{}:        true,
		&grpc_testing.SimpleResponse{}:       true,
		&descriptorpb.UninterpretedOption{}:  true,  // absent fields are nil
		&descriptorpb.FieldDescriptorProto{}: false, // fields have defaults
		&descriptorpb.SourceCodeInfo{}:       true,
		&structpb.Value{}:                    false, // a oneof
		dynamicpb.NewMessage(durationpb.File_google_protobuf_duration_proto.Messages().Get(0)): false,
	}
	for message, whole := range types {
		m := message.ProtoReflect()
		side := &object.Side{Fields: singular(m.Descriptor(), nil, 2), NeedsMessage: true}
		full, zero, flat := m.New(), m.New(), m.New()
		filled(full, false, 3)
		filled(zero, true, 3)
		filled(flat, false, 0)
		p := plan{side: side}
		for _, it := range []protoreflect.Message{m.New(), full, zero, flat, m.Type().Zero(), full} {
			var got, want object.Call
			b, err := p.fill(&got, it.Interface())
			if err != nil {
				t.Fatal(err)
			}
			want.Fields(len(side.Fields))
			for i := range side.Fields {
				b.read(&want, i, it)
			}
			if !reflect.DeepEqual(&got, &want) {
				t.Errorf("%T %v: %v, not %v", message, it, got, want)
			}
		}
		l := p.laid.Load()
		if all := l.bound != nil && len(l.slow) == 0; all != whole {
			t.Errorf("%T: %v", message, l.slow)
		}
	}
}

// What has the look of generated messages, and is none, is read by its own reflection.
func TestLayoutsOfOthers(t *testing.T) {
	type disguised struct{ *durationpb.Duration }
	it := disguised{&durationpb.Duration{Seconds: 7}}
	p := plan{side: &object.Side{Fields: singular(it.ProtoReflect().Descriptor(), nil, 0), NeedsMessage: true}}
	var got, again, want object.Call
	for _, c := range []*object.Call{&got, &again} {
		if _, err := p.fill(c, it); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.fill(&want, it.Duration); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, &want) || !reflect.DeepEqual(&again, &want) {
		t.Error(got, again, want)
	}
}
