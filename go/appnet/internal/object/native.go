//go:build linux && (amd64 || arm64)

package object

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// Native says whether this system runs chains as native code.
const Native = true

// native is a chain whose code is in the process.
type native struct {
	image       *Image
	attach      uintptr
	instanceNew uintptr
	instanceEnd uintptr
	ofEvent     [events]uintptr
	valuesOf    uintptr
	telemetry   uintptr
	metricsOf   uintptr
	spansOf     uintptr
	lostOf      uintptr
	pending     uintptr
	dump        uintptr
	release     uintptr
	ofStores    [storeFunctions]uintptr // all 0: it shares no state
}

// Open opens a shared object after checking all of it.
func Open(file []byte) (*Chain, error) {
	image, err := open(file)
	if err != nil {
		return nil, err
	}
	c, err := readChain(image)
	if err != nil {
		image.close()
		return nil, err
	}
	call4(c.runs.(*native).attach, sharedMemory(), 0, 0, 0)
	return c, nil
}

func readChain(image *Image) (*Chain, error) {
	const word = 8
	r := &reader{memory: image, word: word}
	c, t, err := readTables(r, image.base+uintptr(image.layout.entry), int(unsafe.Sizeof(Frame{})))
	if err != nil {
		return nil, err
	}
	n := &native{image: image}
	function := func(table []byte, head, number int) uintptr {
		f, err := image.function(r.address(table, head, number))
		if err != nil {
			r.fail(err)
		}
		return f
	}
	for i, f := range []*uintptr{
		&n.attach, &n.instanceNew, &n.instanceEnd, &n.ofEvent[eventOpen], &n.ofEvent[eventBegin], &n.ofEvent[eventRequest],
		&n.ofEvent[eventResponse], &n.ofEvent[eventEndResponse], &n.ofEvent[eventEnd], &n.valuesOf, &n.telemetry,
		&n.ofEvent[eventFinish], &n.metricsOf, &n.spansOf, &n.lostOf,
	} {
		*f = function(t.frames, framesHead, 1+i)
	}
	for i, f := range []*uintptr{&n.pending, &n.dump, &n.release} {
		*f = function(t.chain, chainHead, 23+i)
	}
	if address := r.address(t.frames, framesHead, 16); address != 0 {
		stores := r.table(address, int(storeFunctions)*word)
		for i := range n.ofStores {
			n.ofStores[i] = function(stores, 0, i)
		}
	}
	c.runs = n
	return c, r.err
}

func (n *native) close() { n.image.close() }

var shared struct {
	once   sync.Once
	memory uintptr
}

// sharedMemory is where all chains of the process have their memory and state, so that the next version of a chain goes on
// where this one is. It is never given back.
func sharedMemory() uintptr {
	shared.once.Do(func() {
		memory, err := syscall.Mmap(-1, 0, pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic("appnet: no memory: " + err.Error())
		}
		shared.memory = uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	})
	return shared.memory
}

// scratch is what C is told by its address: never on a stack, which Go may move.
type scratch struct {
	setup           setup
	size, count     uint64
	scope, resource []byte
	id              []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

type setup struct {
	seed, now, wall uint64
	resource, scope view
	maxMessage      uint32
	backends        uint32
}

func (n *native) instance(given *Setup) (uintptr, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.scope, s.resource, s.id = []byte(given.Scope), given.Resource, []byte(given.Shares)
	s.setup = setup{given.Seed, given.Now, given.Wall, viewOf(s.resource), viewOf(s.scope), given.MaxMessage, given.Backends}
	create, id := n.instanceNew, viewOf(s.id)
	if given.Shares != "" {
		if create = n.ofStores[storeInstanceNew]; create == 0 {
			return 0, errors.New("it shares no state, and is told of a store")
		}
	}
	handle := call4(create, uintptr(unsafe.Pointer(&s.setup)), id.data, id.size, 0)
	runtime.KeepAlive(s)
	if handle == 0 {
		return 0, errors.New("no memory for its state")
	}
	return handle, nil
}

func (n *native) free(instance uintptr) { call4(n.instanceEnd, instance, 0, 0, 0) }

func (n *native) event(c *Call, what event) {
	c.show()
	call4(n.ofEvent[what], uintptr(unsafe.Pointer(&c.frame)), 0, 0, 0)
	for c.frame.waits != 0 {
		c.instance.stores.wait(c)
		call4(n.ofStores[storeResume], uintptr(unsafe.Pointer(&c.frame)), 0, 0, 0)
	}
	runtime.KeepAlive(c)
}

func (n *native) store(function storeFunction, instance uintptr, copy int, x *exchange) uintptr {
	result := call4(n.ofStores[function], instance, uintptr(copy), uintptr(unsafe.Pointer(x)), 0)
	runtime.KeepAlive(x)
	return result
}

// show tells C where what was given is.
func (c *Call) show() {
	c.frame.given = uintptr(unsafe.Pointer(unsafe.SliceData(c.given)))
	for i := range c.pairs {
		c.frame.metadata[i] = uintptr(unsafe.Pointer(unsafe.SliceData(c.pairs[i])))
		c.frame.metadataCount[i] = uint64(len(c.pairs[i]))
	}
}

func (n *native) values(c *Call, part, field, each int) ([]Value, bool) {
	found := call4(n.valuesOf, uintptr(unsafe.Pointer(&c.frame)), uintptr(part), uintptr(field), uintptr(unsafe.Pointer(&c.count)))
	if c.count == math.MaxUint64 {
		return nil, false
	}
	if c.count == 0 {
		return nil, true
	}
	return unsafe.Slice(pointer[Value](found), c.count*uint64(each)), true
}

func (n *native) records(instance uintptr, now, wall uint64) []byte {
	if call4(n.pending, instance, 0, 0, 0)&0xff == 0 {
		return nil
	}
	return n.take(func(s *scratch) uintptr {
		s.setup = setup{now: now, wall: wall}
		return call4(n.telemetry, instance, uintptr(unsafe.Pointer(&s.setup)), uintptr(unsafe.Pointer(&s.size)), 0)
	})
}

func (n *native) metrics(instance uintptr, now, wall uint64, last bool) []byte {
	return n.take(func(s *scratch) uintptr {
		s.setup = setup{now: now, wall: wall}
		return call4(n.metricsOf, instance, uintptr(unsafe.Pointer(&s.setup)), uintptr(flag(last)), uintptr(unsafe.Pointer(&s.size)))
	})
}

func (n *native) spans(instance uintptr, now, wall uint64) (spans []byte, count uint64) {
	spans = n.take(func(s *scratch) uintptr {
		s.setup, s.count = setup{now: now, wall: wall}, 0
		found := call4(n.spansOf, instance, uintptr(unsafe.Pointer(&s.setup)), uintptr(unsafe.Pointer(&s.count)), uintptr(unsafe.Pointer(&s.size)))
		count = s.count
		return found
	})
	return spans, count
}

func (n *native) spansLost(instance uintptr, count uint64) {
	call4(n.lostOf, instance, uintptr(count), 0, 0)
}

func (n *native) state(instance uintptr) []byte {
	return n.take(func(s *scratch) uintptr {
		return call4(n.dump, instance, uintptr(unsafe.Pointer(&s.size)), 0, 0)
	})
}

func (n *native) take(from func(s *scratch) uintptr) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	data := from(s)
	runtime.KeepAlive(s)
	if data == 0 {
		return nil
	}
	out := append([]byte(nil), unsafe.Slice(pointer[byte](data), s.size)...)
	call4(n.release, data, 0, 0, 0)
	return out
}
