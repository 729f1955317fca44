package object

import (
	"encoding/binary"
	"unsafe"
)

// show writes what the call was given, and the frame.
func (i *isolated) show(c *Call) error {
	if err := i.makeRoom(c); err != nil {
		return err
	}
	base := i.room
	i.input = i.input[:0]
	given := base
	for at := range c.given {
		it := &c.given[at]
		i.number(it.value.word, it.as)
	}
	var metadata [Maps]uint32
	for which, pairs := range c.pairs {
		metadata[which] = base + uint32(len(i.input))
		i.input = append(i.input, make([]byte, len(pairs)*wasmPairSize)...)
	}
	for _, it := range c.lists {
		at := base + uint32(len(i.input))
		each := it.field * wasmGivenSize
		binary.LittleEndian.PutUint32(i.input[each:], at)
		binary.LittleEndian.PutUint32(i.input[each+4:], uint32(c.given[it.field].value.size))
		from := len(i.input)
		for _, value := range it.values {
			i.input = binary.LittleEndian.AppendUint64(i.input, value.word)
		}
		for number, value := range it.values {
			i.textAt(from+number*wasmValueSize, value)
		}
	}
	for at := range c.given {
		if it := &c.given[at]; it.as == asOne {
			i.textAt(at*wasmGivenSize, it.value)
		}
	}
	for which, pairs := range c.pairs {
		for number, it := range pairs {
			at := int(metadata[which]-base) + number*wasmPairSize
			i.viewAt(at, it.key)
			i.viewAt(at+8, it.value)
		}
	}
	peer := base + uint32(len(i.input))
	i.input = append(i.input, c.peer...)
	if _, err := i.put(i.input); err != nil {
		return err
	}
	m, err := i.bytes(uintptr(c.apart.frame), wasmFrameSize)
	if err != nil {
		return err
	}
	le, f := binary.LittleEndian, &c.frame
	le.PutUint64(m[wasmNow:], f.Now)
	le.PutUint64(m[wasmWall:], f.Wall)
	le.PutUint32(m[wasmInstance:], i.handle)
	le.PutUint32(m[wasmCall:], uint32(f.call))
	if len(c.given) == 0 {
		given = 0
	}
	le.PutUint32(m[wasmGiven:], given)
	for which, pairs := range c.pairs {
		le.PutUint32(m[wasmMetadata+4*which:], metadata[which])
		le.PutUint64(m[wasmCounts+8*which:], uint64(len(pairs)))
	}
	le.PutUint32(m[wasmPeer:], peer)
	le.PutUint32(m[wasmPeer+4:], uint32(len(c.peer)))
	le.PutUint64(m[wasmMessageSize:], f.MessageSize)
	le.PutUint32(m[wasmMethod:], f.Method)
	le.PutUint32(m[wasmStatus:], uint32(f.Status))
	le.PutUint32(m[wasmTrace:], f.trace)
	return nil
}

func (i *isolated) number(word, as uint64) {
	i.input = binary.LittleEndian.AppendUint64(i.input, word)
	i.input = binary.LittleEndian.AppendUint64(i.input, as)
}

// makeRoom sees that all fits where it is put, so that addresses are known before.
func (i *isolated) makeRoom(c *Call) error {
	size := len(c.given)*wasmGivenSize + len(c.peer)
	for at := range c.given {
		if it := &c.given[at]; it.as == asOne {
			size += int(it.value.size)
		}
	}
	for _, it := range c.lists {
		size += len(it.values) * wasmValueSize
		for _, value := range it.values {
			size += int(value.size)
		}
	}
	for _, pairs := range c.pairs {
		for _, it := range pairs {
			size += wasmPairSize + int(it.key.size) + int(it.value.size)
		}
	}
	if size >= 1<<30 {
		return errNoMemory
	}
	if uint32(size) <= i.roomSize && i.room != 0 {
		return nil
	}
	_, err := i.put(make([]byte, size))
	return err
}

// textAt adds a text, and writes its view where there is room for a value; a number stays.
func (i *isolated) textAt(at int, value Value) {
	if value.size > 0 {
		i.viewAt(at, view{uintptr(value.word), uintptr(value.size)})
	}
}

func (i *isolated) viewAt(at int, v view) {
	binary.LittleEndian.PutUint32(i.input[at:], i.room+uint32(len(i.input)))
	binary.LittleEndian.PutUint32(i.input[at+4:], uint32(v.size))
	if v.size > 0 {
		i.input = append(i.input, unsafe.Slice(pointer[byte](v.data), v.size)...)
	}
}
