package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Module is an instance of a wasm module, apart from the process: it has memory of its own, and what goes wrong in it is an
// error. One function runs at a time.
type Module interface {
	Memory() []byte // another one, whenever a function has run
	Global(name string) (uint32, bool)
	Function(name string) Function // nil: there is none
	Close()
}

// Function is one of a module. Its arguments and its result are in the stack.
type Function interface {
	Call(stack []uint64) error
}

// functions that a module has to have.
const (
	fnAlloc = iota
	fnFree
	fnDump
	fnInstance
	fnTelemetry
	fnMetrics
	fnSpans
	fnSpansLost
	fnValues
	fnState
	fnBegin
	fnEnd
	fnChanges
	fnApply
	fnCalls
	fnEvents // and those of events
)

var functionNames = [fnEvents + int(events)]string{
	"an_alloc", "an_free", "an_state_dump", "frames_instance_new", "frames_telemetry_take", "frames_metrics_take",
	"frames_spans_take", "an_traces_lost", "frames_values",
	"isolated_state", "isolated_begin", "isolated_end", "isolated_changes", "isolated_apply", "isolated_calls",
	"frames_open", "frames_begin", "frames_request", "frames_response", "frames_end_response", "frames_finish", "frames_end",
}

// isolated is a chain in a wasm module. A module that faults ends its calls with an error, and another begins in its place,
// whose state is that of other versions in the process, or new.
type isolated struct {
	family *family
	load   func() (Module, error)
	unload func()
	chain  *Chain

	module     Module // nil after a fault
	functions  [len(functionNames)]Function
	generation uint32 // how many modules there have been
	setup      Setup
	handle     uint32 // the instance
	apart      bool   // changes are told
	room       uint32 // for what calls are given
	roomSize   uint32
	cell       uint32   // for the size of what functions give, and behind it how many they are
	spare      []uint32 // frames
	stack      [8]uint64
	input      []byte // what goes there next
}

// family are the versions of a chain that have the same scope: one of them runs at a time, and what it changes in its state
// the others get.
type family struct {
	mu      sync.Mutex
	scope   string
	ended   bool // it has no members any more
	members []*isolated
}

var families struct {
	mu   sync.Mutex
	some map[string]*family
}

// lockedFamily is that of a scope; what has the empty one has none but itself.
func lockedFamily(scope string) *family {
	for scope != "" {
		families.mu.Lock()
		f := families.some[scope]
		if f == nil {
			f = &family{scope: scope}
			if families.some == nil {
				families.some = map[string]*family{}
			}
			families.some[scope] = f
		}
		families.mu.Unlock()
		f.mu.Lock()
		if !f.ended {
			return f
		}
		f.mu.Unlock() // its last member has gone in between
	}
	f := &family{}
	f.mu.Lock()
	return f
}

var errMachine = errors.New("it is no module of a chain")

// Engine opens the code that chains have for a machine.
type Engine interface {
	Machine() string
	Open(code []byte) (*Chain, error)
}

// OpenIsolated opens a chain whose modules are made by load. When it is closed, none will be any more: unload is called.
func OpenIsolated(load func() (Module, error), unload func()) (*Chain, error) {
	i := &isolated{load: load, unload: unload, family: &family{}}
	if err := i.start(); err != nil {
		return nil, err
	}
	entry, ok := i.module.Global("appnet_frames")
	if !ok {
		i.module.Close()
		return nil, errMachine
	}
	const word = 4
	c, _, err := readTables(&reader{memory: i, word: word}, uintptr(entry), wasmFrameSize)
	if err != nil {
		i.module.Close()
		return nil, err
	}
	i.chain, c.runs = c, i
	return c, nil
}

// start makes a module.
func (i *isolated) start() error {
	m, err := i.load()
	if err != nil {
		return err
	}
	for number, name := range functionNames {
		if i.functions[number] = m.Function(name); i.functions[number] == nil {
			m.Close()
			return fmt.Errorf("%w: %s is missing", errMachine, name)
		}
	}
	i.module, i.generation, i.room, i.roomSize, i.spare, i.apart = m, i.generation+1, 0, 0, nil, false
	cell, err := i.call(fnAlloc, 16)
	if i.cell = uint32(cell); err == nil && cell == 0 {
		err = errNoMemory
	}
	if err != nil {
		i.fault()
	}
	return err
}

// call calls a function; its result.
func (i *isolated) call(function int, arguments ...uint32) (uint64, error) {
	for at, it := range arguments {
		i.stack[at] = uint64(it)
	}
	if err := i.functions[function].Call(i.stack[:]); err != nil {
		return 0, err
	}
	return i.stack[0], nil
}

// ---- instances

func (i *isolated) instance(setup *Setup) (uintptr, error) {
	if setup.Shares != "" {
		return 0, errShares
	}
	i.setup = *setup
	i.family = lockedFamily(setup.Scope)
	defer i.family.mu.Unlock()
	if err := i.begin(); err != nil {
		return 0, err
	}
	i.family.members = append(i.family.members, i)
	return 1, nil
}

// setupSize is that of an_setup.
const setupSize = 48

// begin makes the module's instance, with the state of another version.
func (i *isolated) begin() error {
	le := binary.LittleEndian
	input := append(make([]byte, setupSize), i.setup.Resource...)
	at, err := i.put(input)
	if err != nil {
		return err
	}
	le.PutUint64(input, i.setup.Seed)
	le.PutUint64(input[8:], i.setup.Now)
	le.PutUint64(input[16:], i.setup.Wall)
	le.PutUint32(input[24:], at+setupSize)
	le.PutUint32(input[28:], uint32(len(i.setup.Resource)))
	le.PutUint32(input[40:], i.setup.MaxMessage)
	le.PutUint32(input[44:], i.setup.Backends)
	if at, err = i.put(input); err != nil {
		return err
	}
	found, err := i.call(fnInstance, at)
	if err != nil {
		return err
	}
	if i.handle = uint32(found); i.handle == 0 {
		return errNoMemory
	}
	return i.inherit()
}

// inherit takes over the state of another version.
func (i *isolated) inherit() error {
	var from *isolated
	for _, it := range i.family.members {
		if it != i && it.module != nil {
			from = it
		}
	}
	if from == nil {
		return nil
	}
	state, err := from.taken(fnState, from.handle)
	if err != nil {
		from.fault()
		return nil
	}
	if err := i.apply(state, from); err != nil {
		return err
	}
	for _, it := range []*isolated{from, i} {
		if it.apart {
			continue
		}
		if ok, err := it.call(fnBegin, it.handle); err != nil || ok&0xff == 0 {
			return errNoMemory
		}
		it.apart = true
	}
	return nil
}

// apply gives an instance what another has said of its state.
func (i *isolated) apply(changes []byte, from *isolated) error {
	if len(changes) > 0 {
		at, err := i.put(changes)
		if err != nil {
			return err
		}
		if _, err := i.call(fnApply, i.handle, at, uint32(len(changes))); err != nil {
			return err
		}
	}
	count, err := from.call(fnCalls, from.handle, 0, 0)
	if err == nil {
		i.stack[0], i.stack[1] = uint64(i.handle), count
		err = i.functions[fnCalls].Call(i.stack[:])
	}
	return err
}

// taken are bytes that a function gives; it writes their size where its last argument says.
func (i *isolated) taken(function int, arguments ...uint32) ([]byte, error) {
	found, err := i.call(function, append(arguments, i.cell)...)
	if err != nil || found == 0 {
		return nil, err
	}
	size, err := i.u32(i.cell)
	if err != nil {
		return nil, err
	}
	data, err := i.bytes(uintptr(found), uint64(size))
	if err != nil {
		return nil, err
	}
	data = append([]byte(nil), data...)
	if function == fnDump || function == fnTelemetry || function == fnMetrics || function == fnSpans { // whoever asks for these owns them
		_, err = i.call(fnFree, uint32(found))
	}
	return data, err
}

// share tells the other versions what an event has changed.
func (i *isolated) share() {
	if !i.apart {
		return
	}
	changes, err := i.taken(fnChanges)
	if err != nil {
		i.fault()
		return
	}
	for _, it := range i.family.members {
		if it == i || it.module == nil {
			continue
		}
		if err := it.apply(changes, i); err != nil {
			it.fault()
		}
	}
}

// fault ends a module; the next call gets another.
func (i *isolated) fault() {
	if i.module != nil {
		i.module.Close()
	}
	i.module = nil
}

func (i *isolated) free(uintptr) {
	f := i.family
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(it *isolated) bool { return it == i })
	if len(f.members) == 1 && f.members[0].apart && f.members[0].module != nil {
		last := f.members[0]
		last.apart = false
		if _, err := last.call(fnEnd); err != nil {
			last.fault()
		}
	}
	if len(f.members) == 0 && f.scope != "" {
		f.ended = true
		families.mu.Lock()
		defer families.mu.Unlock()
		delete(families.some, f.scope)
	}
}

func (i *isolated) close() {
	i.family.mu.Lock()
	defer i.family.mu.Unlock()
	i.fault()
	i.unload()
}

func (i *isolated) records(_ uintptr, now, wall uint64) []byte {
	return i.told(now, wall, fnTelemetry)
}

func (i *isolated) metrics(_ uintptr, now, wall uint64, last bool) []byte {
	return i.told(now, wall, fnMetrics, flag(last))
}

func (i *isolated) spans(_ uintptr, now, wall uint64) (spans []byte, count uint64) {
	i.family.mu.Lock()
	defer i.family.mu.Unlock()
	spans = i.toldLocked(now, wall, fnSpans, i.cell+8)
	if spans == nil {
		return nil, 0
	}
	counted, err := i.u32(i.cell + 8) // which has 64 bits, of which these are the lower
	if err != nil {
		i.fault()
	}
	return spans, uint64(counted)
}

func (i *isolated) spansLost(_ uintptr, count uint64) {
	i.asked(func() ([]byte, error) {
		i.stack[0], i.stack[1] = uint64(i.handle), count
		return nil, i.functions[fnSpansLost].Call(i.stack[:])
	})
}

// told is what a function gives that is told the instance, the time and more.
func (i *isolated) told(now, wall uint64, function int, more ...uint32) []byte {
	i.family.mu.Lock()
	defer i.family.mu.Unlock()
	return i.toldLocked(now, wall, function, more...)
}

func (i *isolated) toldLocked(now, wall uint64, function int, more ...uint32) []byte {
	times := make([]byte, setupSize)
	binary.LittleEndian.PutUint64(times[8:], now)
	binary.LittleEndian.PutUint64(times[16:], wall)
	return i.askedLocked(func() ([]byte, error) {
		at, err := i.put(times)
		if err != nil {
			return nil, err
		}
		return i.taken(function, append([]uint32{i.handle, at}, more...)...)
	})
}

func (i *isolated) state(uintptr) []byte {
	return i.asked(func() ([]byte, error) { return i.taken(fnDump, i.handle) })
}

func (i *isolated) asked(what func() ([]byte, error)) []byte {
	i.family.mu.Lock()
	defer i.family.mu.Unlock()
	return i.askedLocked(what)
}

func (i *isolated) askedLocked(what func() ([]byte, error)) []byte {
	if i.module == nil {
		return nil
	}
	found, err := what()
	if err != nil {
		i.fault()
		return nil
	}
	return found
}

var errShares = errors.New("it shares state, and modules of WebAssembly do not: run it as native code")

func (i *isolated) store(storeFunction, uintptr, int, *exchange) uintptr { panic(errShares) }
