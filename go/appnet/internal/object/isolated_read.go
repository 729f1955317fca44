package object

import (
	"encoding/binary"
	"unsafe"
)

// read takes over what came of an event.
func (i *isolated) read(c *Call, what event) error {
	m, err := i.bytes(uintptr(c.apart.frame), wasmFrameSize)
	if err != nil {
		return err
	}
	le, f, a := binary.LittleEndian, &c.frame, c.apart
	f.call = uintptr(le.Uint32(m[wasmCall:]))
	if what == eventEnd {
		return nil
	}
	f.Verdict, f.Code = le.Uint32(m[wasmVerdict:]), int32(le.Uint32(m[wasmCode:]))
	f.DeadlineNs, f.Destination, f.WaitMs = le.Uint64(m[wasmDeadline:]), int64(le.Uint64(m[wasmDestination:])), le.Uint64(m[wasmWait:])
	f.touched, f.failed = le.Uint32(m[wasmTouched:]), le.Uint32(m[wasmFailed:])
	f.trace = le.Uint32(m[wasmTrace:])
	f.own, f.trailers, f.edits, f.slots, f.reply, f.text = 0, 0, 0, 0, 0, view{}
	clear(a.lists)
	a.lists = a.lists[:0]
	side, part := &c.method.Request, OfRequest
	if what >= eventResponse || f.Verdict == Answer {
		side, part = &c.method.Response, OfResponse
	}
	text, slots, reply, edits := m[wasmText:], le.Uint32(m[wasmSlots:]), le.Uint32(m[wasmReply:]), le.Uint32(m[wasmEdits:])
	own := [2]uint32{le.Uint32(m[wasmOwn:]), le.Uint32(m[wasmTrailers:])}
	if f.Verdict == Refuse {
		if f.text, err = i.textOf(c, text); err != nil {
			return err
		}
	}
	if f.touched != 0 || f.Verdict == Answer {
		if a.slots, err = i.readSlots(c, a.slots, slots, side); err != nil {
			return err
		}
		if err := i.readLists(c, a.slots, side, part); err != nil {
			return err
		}
		f.slots = addressOf(a.slots)
	}
	if f.Verdict == Answer {
		if a.reply, err = i.readSlots(c, a.reply, reply, &c.method.Reply); err != nil {
			return err
		}
		if err := i.readLists(c, a.reply, &c.method.Reply, OfReply); err != nil {
			return err
		}
		f.reply = addressOf(a.reply)
	}
	if edits != 0 {
		if err := i.readEdits(c, edits); err != nil {
			return err
		}
		f.edits = addressOf(a.edits)
	}
	for which, to := range []*uintptr{&f.own, &f.trailers} {
		if own[which] == 0 {
			continue
		}
		if a.entries[which], err = i.readEntries(c, a.entries[which][:0], own[which]); err != nil {
			return err
		}
		*to = addressOf(a.entries[which])
	}
	return nil
}

func addressOf[T any](of []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(of))) }

// textOf is a copy of the text that a view in the module's memory leads to.
func (i *isolated) textOf(c *Call, at []byte) (view, error) {
	data, err := i.bytes(uintptr(binary.LittleEndian.Uint32(at)), uint64(binary.LittleEndian.Uint32(at[4:])))
	if err != nil {
		return view{}, errTold
	}
	return c.keep(string(data)), nil
}

func (i *isolated) value(c *Call, at []byte, kind uint8) (Value, error) {
	if kind != KindString && kind != KindBytes {
		return Value{word: binary.LittleEndian.Uint64(at)}, nil
	}
	v, err := i.textOf(c, at)
	return Value{uint64(v.data), uint64(v.size)}, err
}

func (i *isolated) readSlots(c *Call, slots []slot, at uint32, side *Side) ([]slot, error) {
	slots = slots[:0]
	data, err := i.bytes(uintptr(at), uint64(len(side.Fields)*wasmSlotSize))
	if err != nil {
		return nil, errTold
	}
	for number := range side.Fields {
		field, from := &side.Fields[number], data[number*wasmSlotSize:]
		it := slot{written: from[9] != 0, cleared: from[10] != 0}
		if it.written && field.Many == One && field.Within == 0 {
			if it.value, err = i.value(c, from, field.Kind); err != nil {
				return nil, err
			}
		}
		slots = append(slots, it)
	}
	if len(slots) == 0 {
		slots = append(slots, slot{})
	}
	return slots, nil
}

func (i *isolated) readEdits(c *Call, at uint32) error {
	edits := c.apart.edits[:0]
	for at != 0 && len(edits) < maxTold {
		data, err := i.bytes(uintptr(at), 28)
		if err != nil {
			return errTold
		}
		key, err := i.textOf(c, data[4:])
		if err != nil {
			return err
		}
		value, err := i.textOf(c, data[12:])
		if err != nil {
			return err
		}
		edits = append(edits, edit{0, key, value, binary.LittleEndian.Uint32(data[20:]), binary.LittleEndian.Uint32(data[24:])})
		at = binary.LittleEndian.Uint32(data)
	}
	for number := range len(edits) - 1 {
		edits[number].next = uintptr(unsafe.Pointer(&edits[number+1]))
	}
	c.apart.edits = edits
	return nil
}

func (i *isolated) readEntries(c *Call, entries []entry, at uint32) ([]entry, error) {
	for at != 0 && len(entries) < maxTold {
		data, err := i.bytes(uintptr(at), 20)
		if err != nil {
			return nil, errTold
		}
		key, err := i.textOf(c, data[4:])
		if err != nil {
			return nil, err
		}
		value, err := i.textOf(c, data[12:])
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{0, key, value})
		at = binary.LittleEndian.Uint32(data)
	}
	for number := range len(entries) - 1 {
		entries[number].next = uintptr(unsafe.Pointer(&entries[number+1]))
	}
	return entries, nil
}

func (i *isolated) values(c *Call, part, field, _ int) ([]Value, bool) {
	for _, it := range c.apart.lists {
		if it.part == part && it.field == field {
			return it.values, true
		}
	}
	return nil, false
}

// readLists reads what was written of fields of many, which may lead to what the call was given: so it is done at once.
func (i *isolated) readLists(c *Call, slots []slot, side *Side, part int) error {
	for number := range side.Fields {
		field := &side.Fields[number]
		if !slots[number].written || field.Many == One && field.Within == 0 {
			continue
		}
		values, err := i.readValues(c, part, number, field)
		if err != nil {
			return err
		}
		c.apart.lists = append(c.apart.lists, told{part, number, values})
	}
	return nil
}

func (i *isolated) readValues(c *Call, part, number int, field *Field) ([]Value, error) {
	found, err := i.call(fnValues, c.apart.frame, uint32(part), uint32(number), i.cell)
	if err != nil {
		return nil, err
	}
	count, err := i.u32(i.cell)
	if err != nil || count == 0 {
		return nil, err
	}
	if count == 1<<32-1 {
		return nil, errNoMemory
	}
	each := uint64(1)
	if field.Many == Entries {
		each = 2
	}
	data, err := i.bytes(uintptr(found), uint64(count)*each*wasmValueSize)
	if err != nil {
		return nil, errTold
	}
	values := make([]Value, 0, len(data)/wasmValueSize)
	for at := range cap(values) {
		kind := field.Kind
		if each == 2 && at%2 == 0 {
			kind = field.KeyKind
		}
		it, err := i.value(c, data[at*wasmValueSize:], kind)
		if err != nil {
			return nil, err
		}
		values = append(values, it)
	}
	return values, nil
}
