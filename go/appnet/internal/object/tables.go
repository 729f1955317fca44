package object

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errOutside = errors.New("a table leads out of the file")

// memory is where tables are; addresses are those of whoever made them.
type memory interface {
	bytes(address uintptr, size uint64) ([]byte, error)
	text(address uintptr) (string, error)
}

// reader reads tables whose addresses have so many bytes, and remembers the first thing that is wrong.
type reader struct {
	memory
	word int
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) table(address uintptr, size int) []byte {
	data, err := r.bytes(address, uint64(size))
	if err != nil {
		r.fail(err)
		return make([]byte, size)
	}
	return data
}

func (r *reader) list(address uintptr, count, most uint64, size int) []byte {
	if count > most {
		r.fail(errors.New("a table is too long"))
		return nil
	}
	if count == 0 {
		return nil
	}
	return r.table(address, int(count)*size)
}

// number is an address, or a size, behind so many others and so many bytes.
func (r *reader) number(table []byte, bytes, numbers int) uint64 {
	at := bytes + numbers*r.word
	if r.word == 4 {
		return uint64(binary.LittleEndian.Uint32(table[at:]))
	}
	return binary.LittleEndian.Uint64(table[at:])
}

func (r *reader) address(table []byte, bytes, numbers int) uintptr {
	return uintptr(r.number(table, bytes, numbers))
}

func (r *reader) string(table []byte, bytes, numbers int) string {
	t, err := r.text(r.address(table, bytes, numbers))
	if err != nil {
		r.fail(err)
	}
	return t
}

// tables are what an_frames and an_chain say.
type tables struct {
	frames, chain []byte
}

// How many bytes stand in front of the addresses of an_frames and of an_chain, and how many addresses there are.
const (
	framesHead, framesNumbers = 24, 17
	chainHead, chainNumbers   = 8, 26
)

// readTables reads what stands at an address; frameSize is that of this host's frames.
func readTables(r *reader, entry uintptr, frameSize int) (*Chain, tables, error) {
	var t tables
	t.frames = r.table(entry, framesHead+framesNumbers*r.word)
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(t.frames[at:]) }
	if r.err != nil {
		return nil, t, fmt.Errorf("it has no table: %w", r.err)
	}
	if u32(0) != framesABI || u32(4) != uint32(len(t.frames)) || u32(8) != uint32(frameSize) {
		return nil, t, fmt.Errorf("it is for ABI %d of frames, this is %d: take the module and the compiler of one release", u32(0), framesABI)
	}
	if u32(12) != sharedLayout || u32(16) > pageSize {
		return nil, t, fmt.Errorf("it lays memory out in way %d, this process in way %d", u32(12), sharedLayout)
	}
	t.chain = r.table(r.address(t.frames, framesHead, 0), chainHead+chainNumbers*r.word)
	if r.err != nil {
		return nil, t, r.err
	}
	if abi, size := binary.LittleEndian.Uint32(t.chain), binary.LittleEndian.Uint32(t.chain[4:]); abi != chainABI || size != uint32(len(t.chain)) {
		return nil, t, fmt.Errorf("it is for ABI %d of chains, this is %d", abi, chainABI)
	}
	c := &Chain{Wants: u32(20), Name: r.string(t.chain, chainHead, 0), Version: r.string(t.chain, chainHead, 1)}
	count, size := r.number(t.chain, chainHead, 3), 7*r.word+3*r.sideSize()
	methods := r.list(r.address(t.chain, chainHead, 2), count, maxMethods, size)
	for i := 0; r.err == nil && i < int(count); i++ {
		c.Methods = append(c.Methods, r.method(methods[i*size:], i))
	}
	return c, t, r.err
}

// sideSize is that of an_side: three addresses and six flags.
func (r *reader) sideSize() int { return (3*r.word + 6 + r.word - 1) / r.word * r.word }

func (r *reader) method(table []byte, index int) Method {
	path := r.list(r.address(table, 0, 0), r.number(table, 0, 1), 1<<12, 1)
	m := Method{Path: string(path), Index: uint32(index), Ends: r.number(table, 3*r.sideSize(), 2+3) != 0}
	for i, side := range []*Side{&m.Request, &m.Response, &m.Reply} {
		*side = r.side(table[2*r.word+i*r.sideSize():])
	}
	return m
}

func (r *reader) side(table []byte) Side {
	s := Side{}
	for i, flag := range []*bool{&s.NeedsMessage, &s.NeedsStatus, &s.Holds, &s.Empty, &s.Streams, &s.Quiet} {
		*flag = table[3*r.word+i] != 0
	}
	count, size := r.number(table, 0, 2), r.fieldHead()+3*r.word
	fields := r.list(r.address(table, 0, 0), count, maxFields, size)
	for i := 0; r.err == nil && i < int(count); i++ {
		s.Fields = append(s.Fields, r.field(fields[i*size:], i, int(count)))
	}
	return s
}

// fieldHead is how much of an_field stands in front of its last three addresses.
func (r *reader) fieldHead() int { return (r.word + 10 + r.word - 1) / r.word * r.word }

func (r *reader) field(table []byte, index, count int) Field {
	u8 := table[r.word:]
	depth := uint64(u8[0])
	numbers := r.list(r.address(table, 0, 0), depth, maxDepth, 4)
	f := Field{Kind: u8[1], Many: u8[2], KeyKind: u8[3], Within: int(binary.LittleEndian.Uint16(u8[8:]))}
	if depth == 0 || f.Kind > KindMessage || f.Many > KeyedMessages || f.KeyKind > KindMessage || f.Within > count || f.Within == index+1 {
		r.fail(errors.New("a field is none that there is"))
		return f
	}
	for ; len(numbers) >= 4; numbers = numbers[4:] {
		f.Numbers = append(f.Numbers, binary.LittleEndian.Uint32(numbers))
	}
	if names := r.address(table, r.fieldHead(), 2); names != 0 && r.err == nil {
		list := r.table(names, 2*r.word)
		f.Closed = true
		for count, data := r.number(list, 0, 1), r.list(r.address(list, 0, 0), r.number(list, 0, 1), 1<<16, 4); count > 0 && r.err == nil; count-- {
			f.Names = append(f.Names, int32(binary.LittleEndian.Uint32(data)))
			data = data[4:]
		}
	}
	return f
}
