package object

// ABI is the version of the tables that a chain has to have; frames.h and chain.h say what they hold.
const (
	framesABI    = 4
	chainABI     = 3
	maxMethods   = 1 << 12
	maxFields    = 1 << 12
	maxDepth     = 16
	sharedLayout = 1
)

// What a chain asks a frame for, an_wants of frames.h.
const (
	WantsRequestMetadata = 1 << iota
	WantsResponseMetadata
	WantsAuthority
	WantsPeer
	WantsTimeout
	WantsClock
	WantsSize
)

// Kinds of fields, an_field_kind of chain.h.
const (
	KindBool = iota
	KindInt32
	KindInt64
	KindUint32
	KindUint64
	KindSint32
	KindSint64
	KindEnum
	KindFixed32
	KindFixed64
	KindSfixed32
	KindSfixed64
	KindFloat
	KindDouble
	KindString
	KindBytes
	KindMessage
)

// How many values a field has, an_many of chain.h.
const (
	One = iota
	Items
	Entries
	Messages
	KeyedMessages
)

// Field is a field that a chain uses: its numbers from the message inwards, or from the messages of field Within-1.
type Field struct {
	Numbers []uint32
	Kind    uint8
	Many    uint8
	KeyKind uint8
	Within  int
	Names   []int32 // of a closed enum, the numbers that have a name; nil: it is open, or none
	Closed  bool
}

// Side is one direction of a method.
type Side struct {
	Fields                                                  []Field
	NeedsMessage, NeedsStatus, Holds, Empty, Streams, Quiet bool
}

// Method is a method that a chain judges.
type Method struct {
	Path                     string
	Index                    uint32
	Request, Response, Reply Side
	Ends                     bool // handlers ask how calls end
}

// Chain is an opened file: its tables, and what runs it.
type Chain struct {
	Name, Version string
	Methods       []Method
	Wants         uint32

	runs runs
}

// event is what a chain is asked of a call, a function of an_frames.
type event int

const (
	eventOpen event = iota
	eventBegin
	eventRequest
	eventResponse
	eventEndResponse
	eventFinish
	eventEnd
	events
)

// runs is how a chain runs: in the process itself, or apart from it.
type runs interface {
	instance(setup *Setup) (uintptr, error)
	free(instance uintptr)
	event(c *Call, what event)
	values(c *Call, part, field, each int) ([]Value, bool)
	records(instance uintptr, now, wall uint64) []byte
	metrics(instance uintptr, now, wall uint64, last bool) []byte
	spans(instance uintptr, now, wall uint64) ([]byte, uint64)
	spansLost(instance uintptr, count uint64)
	store(function storeFunction, instance uintptr, copy int, x *exchange) uintptr
	state(instance uintptr) []byte
	close()
}

// Close gives its memory back; nothing of it may be in use.
func (c *Chain) Close() { c.runs.close() }

// Instance is the state of a chain in this process.
type Instance struct {
	Chain  *Chain
	handle uintptr
	stores *Stores // nil: it shares no state
}

// Setup is what an instance is told.
type Setup struct {
	Seed       uint64
	Now, Wall  uint64 // of the moment, in nanoseconds
	Resource   []byte // an encoded Resource of OpenTelemetry
	Scope      string // state goes on from version to version by this name
	MaxMessage uint32
	Backends   uint32 // hosts that calls may go to
	Shares     string // its ID, unlike any other's: it shares state, and Stores says how; empty: it keeps its own
}

// New makes an instance, which runs the elements' init. Close the chain after the instance.
func (c *Chain) New(given Setup) (*Instance, error) {
	handle, err := c.runs.instance(&given)
	if err != nil {
		return nil, err
	}
	return &Instance{Chain: c, handle: handle}, nil
}

// Free ends it; no call of it may go on.
func (i *Instance) Free() { i.Chain.runs.free(i.handle) }

// Records are those since the last time, as an encoded ExportLogsServiceRequest; nil where there are none.
func (i *Instance) Records(now, wall uint64) []byte { return i.Chain.runs.records(i.handle, now, wall) }

// Metrics are what was counted since it was made, as an encoded ExportMetricsServiceRequest; nil where nothing was, or where
// it is too early to tell it again and this is not the last time.
func (i *Instance) Metrics(now, wall uint64, last bool) []byte {
	return i.Chain.runs.metrics(i.handle, now, wall, last)
}

// Spans are those since the last time, as an encoded ExportTraceServiceRequest, and how many; nil where there are none.
func (i *Instance) Spans(now, wall uint64) ([]byte, uint64) {
	return i.Chain.runs.spans(i.handle, now, wall)
}

// SpansLost counts spans that were taken and went nowhere.
func (i *Instance) SpansLost(count uint64) { i.Chain.runs.spansLost(i.handle, count) }

// State is all of it as text, for inspection.
func (i *Instance) State() string { return string(i.Chain.runs.state(i.handle)) }

// flag is a truth value as C takes it.
func flag(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}
