package object

import (
	"math"
	"unsafe"
)

// Verdicts, an_verdict of chain.h.
const (
	Forward = iota
	Refuse
	Answer
)

// Maps of metadata, an_metadata_map of chain.h.
const (
	RequestMetadata = iota
	ResponseMetadata
	ResponseTrailers
	Maps
)

// Parts, an_part of chain.h.
const (
	OfRequest = iota
	OfResponse
	OfReply
)

// What is to be made of the trace that a call is part of, an_tracing of frames.h.
const (
	TracedNot = iota
	TracedAsTold
	TracedDrawn
)

// NoDeadline is a deadline that never comes.
const NoDeadline = math.MaxUint64

// Value is a number or a text, an_value of chain.h: the largest member is a view.
type Value struct{ word, size uint64 }

// Given says what a field has, an_given of frames.h.
type Given struct {
	value Value
	as    uint64
}

const (
	asAbsent = iota
	asOne
	asSeveral
)

// Pair is one of the metadata, an_pair of frames.h.
type Pair struct{ key, value view }

// Frame is what host and chain share of a call: an_call_frame of frames.h. C knows where it is, so it must not be copied.
type Frame struct {
	Now, Wall     uint64
	instance      uintptr
	call          uintptr
	given         uintptr
	metadata      [Maps]uintptr
	metadataCount [Maps]uint64
	peer          view
	MessageSize   uint64
	Method        uint32
	Status        int32

	Verdict     uint32
	Code        int32
	text        view
	slots       uintptr
	reply       uintptr
	own         uintptr
	trailers    uintptr
	edits       uintptr
	lastEdit    uintptr
	DeadlineNs  uint64
	Destination int64
	WaitMs      uint64
	touched     uint32
	failed      uint32
	trace       uint32
	waits       uint32  // the event is not over
	_           uintptr // the chain's own
}

// list are the values of a field of many.
type list struct {
	field  int
	values []Value
}

// Call is a call through an instance: its events one after another, and End in any case.
type Call struct {
	frame    Frame
	instance *Instance

	given []Given
	pairs [Maps][]Pair
	lists []list
	texts []unsafe.Pointer // what C may look at until the event is over
	peer  string
	count uint64 // what Values asks for
	edits []Edit
	known [maxKnown][2]string

	method *Method
	apart  *apart        // of a chain in a module; nil: there is none yet
	wakes  chan struct{} // where it waits for the store; nil: it never has
}

// Reset makes it a new call of the instance.
func (c *Call) Reset(instance *Instance, method *Method) {
	c.instance, c.method = instance, method
	c.frame.instance = instance.handle
	c.frame.Method = method.Index
	c.frame.call = 0
	c.frame.Now, c.frame.Wall = 0, 0 // the chain asks the system, where it needs a time that nobody told
	c.frame.Status = cancelled
	c.frame.trace = TracedNot
	c.Next()
	c.peer = ""
	c.frame.peer = view{}
}

// Frame has what came of the last event.
func (c *Call) Frame() *Frame { return &c.frame }

// Trace says, before the first event, what is to be made of the trace that the call is part of.
func (c *Call) Trace(how uint32) { c.frame.trace = how }

// Traced says, after the first event, whether the call has a span.
func (c *Call) Traced() bool { return c.frame.trace != 0 }

// Ended tells the status with which a call is seen to end that has a span; nobody says: it was cancelled.
func (c *Call) Ended(status int32) { c.frame.Status = status }

// Begun says whether C has anything of the call.
func (c *Call) Begun() bool { return c.frame.call != 0 }

// Next begins another event: what was lent for the one before is needed no more.
func (c *Call) Next() {
	clear(c.texts)
	c.texts = c.texts[:0]
	clear(c.lists)
	c.lists = c.lists[:0]
	c.given = c.given[:0]
	for i := range c.pairs {
		c.pairs[i] = c.pairs[i][:0]
	}
}

// Fields makes room for what the message has; all of it is absent.
func (c *Call) Fields(count int) {
	if cap(c.given) < count {
		c.given = make([]Given, count)
		return
	}
	c.given = c.given[:count]
	clear(c.given)
}

// SetBits gives a field of one value: a number as its 64 bits, a bool as 0 or 1, or of a message how many there are.
func (c *Call) SetBits(field int, bits uint64) { c.given[field] = Given{Value{word: bits}, asOne} }

// SetText gives a field of one text.
func (c *Call) SetText(field int, text string) {
	c.given[field] = Given{textValue(text), asOne}
	if len(text) > 0 {
		c.texts = append(c.texts, unsafe.Pointer(unsafe.StringData(text)))
	}
}

// SetList gives a field of several values.
func (c *Call) SetList(field int, values []Value) { c.several(field, values, len(values)) }

// SetEntries gives a field of entries: a key, its value, and so on.
func (c *Call) SetEntries(field int, values []Value) { c.several(field, values, len(values)/2) }

func (c *Call) several(field int, values []Value, count int) {
	c.lists = append(c.lists, list{field, values})
	c.given[field] = Given{Value{uint64(uintptr(unsafe.Pointer(unsafe.SliceData(values)))), uint64(count)}, asSeveral}
}

// TextValue is a text as one of several values; it stays until the event is over.
func (c *Call) TextValue(text string) Value {
	if len(text) > 0 {
		c.texts = append(c.texts, unsafe.Pointer(unsafe.StringData(text)))
	}
	return textValue(text)
}

// BitsValue is a number as one of several values.
func BitsValue(bits uint64) Value { return Value{word: bits} }

// textValue has the size of a text that is not empty, by which it differs from a number.
func textValue(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{uint64(uintptr(unsafe.Pointer(unsafe.StringData(text)))), uint64(len(text))}
}

// AddMetadata adds to a map of metadata.
func (c *Call) AddMetadata(which int, key, value string) {
	c.pairs[which] = append(c.pairs[which], Pair{textView(key), textView(value)})
	c.texts = append(c.texts, unsafe.Pointer(unsafe.StringData(key)), unsafe.Pointer(unsafe.StringData(value)))
}

// SetPeer says who the caller proved to be.
func (c *Call) SetPeer(name string) {
	c.peer = name
	c.frame.peer = textView(name)
}

type view struct{ data, size uintptr }

func textView(text string) view {
	return view{uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(len(text))}
}

func (c *Call) event(what event) uint32 {
	c.instance.Chain.runs.event(c, what)
	return c.frame.Verdict
}

// Open judges the beginning of a call.
func (c *Call) Open() uint32 { return c.event(eventOpen) }

// Begin judges the beginning and the request of an unary call.
func (c *Call) Begin() uint32 { return c.event(eventBegin) }

// Request judges a message of a stream of requests.
func (c *Call) Request() uint32 { return c.event(eventRequest) }

// Response judges a response, or a message of a stream of them.
func (c *Call) Response() uint32 { return c.event(eventResponse) }

// EndResponse judges an error, or the end of a stream of responses.
func (c *Call) EndResponse(status int32) uint32 {
	c.frame.Status = status
	c.given = c.given[:0]
	return c.event(eventEndResponse)
}

// Finish judges a response and ends the call, where nothing is to be done with what came of it.
func (c *Call) Finish() uint32 { return c.event(eventFinish) }

// End ends the call, in whatever way it ended; what came of its last event is gone.
func (c *Call) End() {
	if c.frame.call != 0 {
		c.event(eventEnd)
	}
	c.instance = nil
	c.Next()
}

// ---- what came of an event

type slot struct {
	value            Value
	_                bool // whether it is there: the host said so
	written, cleared bool
	_                [5]byte
}

func slotAt(slots uintptr, field int) *slot {
	return pointer[slot](slots + uintptr(field)*unsafe.Sizeof(slot{}))
}

// Touched says whether any field of the message is written or cleared.
func (c *Call) Touched() bool { return c.frame.touched != 0 }

// Slots are the fields of the message that was judged; of an answer, the response's.
func (c *Call) Slots() Slots { return Slots{c.frame.slots} }

// Reply are the fields that an answer has.
func (c *Call) Reply() Slots { return Slots{c.frame.reply} }

// Slots are fields as handlers left them.
type Slots struct{ at uintptr }

// Written says whether the field is to be set.
func (s Slots) Written(field int) bool { return slotAt(s.at, field).written }

// Cleared says whether what the message has of the field is to go first.
func (s Slots) Cleared(field int) bool { return slotAt(s.at, field).cleared }

// Bits are those of a field's number.
func (s Slots) Bits(field int) uint64 { return slotAt(s.at, field).value.word }

// Text is a copy of a field's.
func (s Slots) Text(field int) string { return slotAt(s.at, field).value.Text() }

// Text is a copy.
func (v Value) Text() string {
	if v.size == 0 {
		return ""
	}
	return string(unsafe.Slice(pointer[byte](uintptr(v.word)), v.size))
}

// Bits are those of a number.
func (v Value) Bits() uint64 { return v.word }

// Values are those of a field of many that is written, until the next event; each is worth so many: 1, or 2 of entries.
// False: out of memory.
func (c *Call) Values(part, field, each int) ([]Value, bool) {
	return c.instance.Chain.runs.values(c, part, field, each)
}

// Text is a refusal's.
func (f *Frame) Text() string { return copyOf(f.text) }

func copyOf(v view) string {
	if v.size == 0 {
		return ""
	}
	return string(unsafe.Slice(pointer[byte](v.data), v.size))
}

type edit struct {
	next         uintptr
	key, value   view
	which, takes uint32
}

// Edited says whether handlers changed metadata.
func (f *Frame) Edited() bool { return f.edits != 0 }

// Edit is what handlers did to metadata: a value in the place of all that the key had, or none.
type Edit struct {
	Map        int
	Key, Value string
	Removes    bool
}

// maxKnown bounds the texts that are kept because most calls set the same ones.
const maxKnown, maxKnownSize = 8, 128

// Edits are those of the last event, in order; they stay until the next one. again: the call's object has had all of them
// before, in another call as a rule.
func (c *Call) Edits() (edits []Edit, again bool) {
	c.edits = c.edits[:0]
	again = true
	for at := c.frame.edits; at != 0; {
		e := pointer[edit](at)
		number := len(c.edits)
		it := Edit{Map: int(e.which), Removes: e.takes != 0}
		if number < maxKnown {
			k := &c.known[number]
			again = again && is(e.key, k[0]) && is(e.value, k[1])
			it.Key, it.Value = known(&k[0], e.key), known(&k[1], e.value)
		} else {
			again = false
			it.Key, it.Value = copyOf(e.key), copyOf(e.value)
		}
		c.edits = append(c.edits, it)
		at = e.next
	}
	return c.edits, again
}

// Edited says whether the edits of the last event are these.
func (c *Call) Edited(these []Edit) bool {
	at := c.frame.edits
	for i := range these {
		if at == 0 {
			return false
		}
		e, it := pointer[edit](at), &these[i]
		if int(e.which) != it.Map || (e.takes != 0) != it.Removes || !is(e.key, it.Key) || !is(e.value, it.Value) {
			return false
		}
		at = e.next
	}
	return at == 0
}

// is compares without a copy.
func is(v view, text string) bool {
	return v.size == uintptr(len(text)) && (v.size == 0 || string(unsafe.Slice(pointer[byte](v.data), v.size)) == text)
}

type entry struct {
	next       uintptr
	key, value view
}

// Own gives the metadata of a refusal, or what goes before an answer.
func (f *Frame) Own(each func(key, value string)) { entries(f.own, each) }

// Trailers gives what goes behind an answer.
func (f *Frame) Trailers(each func(key, value string)) { entries(f.trailers, each) }

func entries(at uintptr, each func(key, value string)) {
	for at != 0 {
		e := pointer[entry](at)
		each(copyOf(e.key), copyOf(e.value))
		at = e.next
	}
}

// known is the text that stood there last time, where it is the same.
func known(last *string, v view) string {
	if v.size == 0 {
		return ""
	}
	if !is(v, *last) {
		if v.size > maxKnownSize {
			return copyOf(v)
		}
		*last = copyOf(v)
	}
	return *last
}

// Value is that of a field.
func (s Slots) Value(field int) Value { return slotAt(s.at, field).value }

// pointer is memory of C's: none that Go moves or frees.
func pointer[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }
