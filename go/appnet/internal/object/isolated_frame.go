package object

import (
	"errors"
	"unsafe"
)

// Where a module has what of a frame: an_call_frame of frames.h where addresses have four bytes.
const (
	wasmNow         = 0
	wasmWall        = 8
	wasmInstance    = 16
	wasmCall        = 20
	wasmGiven       = 24
	wasmMetadata    = 28
	wasmCounts      = 40
	wasmPeer        = 64
	wasmMessageSize = 72
	wasmMethod      = 80
	wasmStatus      = 84
	wasmVerdict     = 88
	wasmCode        = 92
	wasmText        = 96
	wasmSlots       = 104
	wasmReply       = 108
	wasmOwn         = 112
	wasmTrailers    = 116
	wasmEdits       = 120
	wasmDeadline    = 128
	wasmDestination = 136
	wasmWait        = 144
	wasmTouched     = 152
	wasmFailed      = 156
	wasmTrace       = 160
	wasmFrameSize   = 176 // with waits, and an address of the chain's own

	wasmGivenSize = 16
	wasmPairSize  = 16
	wasmSlotSize  = 16
	wasmValueSize = 8
)

// Codes of gRPC.
const (
	cancelled         = 1
	resourceExhausted = 8
	internalError     = 13
)

// maxTold bounds the lists that a module tells: none of its own making is as long.
const maxTold = 1 << 16

// apart is what a call has of its chain's module, and what that told, laid out as native code would.
type apart struct {
	frame      uint32 // where the module has the frame; 0: nowhere
	generation uint32 // of the module
	slots      []slot
	reply      []slot
	edits      []edit
	entries    [2][]entry
	lists      []told
}

// told are the values of a field of many that was written.
type told struct {
	part, field int
	values      []Value
}

var errTold = errors.New("what it tells leads out of its memory")

// event asks a module. What goes wrong in it ends the call.
func (i *isolated) event(c *Call, what event) {
	i.family.mu.Lock()
	defer i.family.mu.Unlock()
	if c.apart == nil {
		c.apart = &apart{}
	}
	if c.frame.call != 0 && (i.module == nil || c.apart.generation != i.generation) {
		c.lose(i, internalError, "it has begun anew since")
		return
	}
	err := i.ready()
	if err == nil {
		err = i.ask(c, what)
	}
	switch {
	case err == nil:
		i.share()
	case err == errNoMemory && i.module != nil:
		i.refuse(c)
	default:
		i.fault()
		c.lose(i, internalError, err.Error())
	}
}

// refuse ends a call that the module has no memory for, which goes on without it.
func (i *isolated) refuse(c *Call) {
	if c.frame.call != 0 {
		if _, err := i.call(fnEvents+int(eventEnd), c.apart.frame); err != nil {
			i.fault()
		}
	}
	if i.module != nil && c.apart.frame != 0 {
		i.spare = append(i.spare, c.apart.frame)
	}
	c.lose(i, resourceExhausted, errNoMemory.Error())
}

// ready makes another module in the place of one that faulted.
func (i *isolated) ready() error {
	if i.module != nil {
		return nil
	}
	if err := i.start(); err != nil {
		return err
	}
	return i.begin()
}

// lose ends a call with an error of the host.
func (c *Call) lose(i *isolated, code int32, why string) {
	f := &c.frame
	f.call, f.trace, f.touched, f.edits, f.own, f.trailers, f.slots, f.reply = 0, 0, 0, 0, 0, 0, 0, 0
	f.Verdict, f.Code, f.DeadlineNs, f.Destination, f.WaitMs = Refuse, code, NoDeadline, -1, 0
	f.text = c.keep("appnet: chain " + i.chain.Name + " failed: " + why)
	c.apart.frame = 0
}

// keep keeps a text until the call's next event.
func (c *Call) keep(text string) view {
	if text != "" {
		c.texts = append(c.texts, unsafe.Pointer(unsafe.StringData(text)))
	}
	return textView(text)
}

func (i *isolated) ask(c *Call, what event) error {
	if c.apart.frame == 0 {
		if err := i.lend(c.apart); err != nil {
			return err
		}
	}
	if err := i.show(c); err != nil {
		return err
	}
	if _, err := i.call(fnEvents+int(what), c.apart.frame); err != nil {
		return err
	}
	if err := i.read(c, what); err != nil {
		return err
	}
	if c.frame.call == 0 {
		i.spare = append(i.spare, c.apart.frame)
		c.apart.frame = 0
	}
	return nil
}

// lend gives a call a frame.
func (i *isolated) lend(a *apart) error {
	a.generation = i.generation
	if last := len(i.spare) - 1; last >= 0 {
		a.frame, i.spare = i.spare[last], i.spare[:last]
		return nil
	}
	found, err := i.call(fnAlloc, wasmFrameSize)
	if err == nil && found == 0 {
		err = errNoMemory
	}
	a.frame = uint32(found)
	return err
}
