package object

import (
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// What a chain is asked about the store of shared state, a function of an_stores.
type storeFunction int

const (
	storeInstanceNew storeFunction = iota
	storeCount
	storeNames
	storeTake
	storeAnswer
	storeUnanswered
	storeAway
	storeWaitsSince
	storeLeave
	storeWoken
	storeResume
	storeFunctions
)

const mostParts = 8

// exchange is what host and chain tell one another about the store: an_exchange of frames.h.
type exchange struct {
	now, wall, due, count uint64
	parts                 [mostParts]view
	answer, flaw          view
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// Stores is how an instance shares state: the copies that it has of what is in the store, by their numbers. Of each, one
// request is under way at most.
type Stores struct {
	instance *Instance
	clock    func() (now, wall uint64)
	asked    func()

	copies []storeCopy
	holds  bool
	mu     sync.Mutex
	woken  map[uintptr]bool // events for which nobody waits yet
	waits  map[uintptr]chan struct{}
}

// storeCopy is one. The lock is there since functions of a copy are called one after another.
type storeCopy struct {
	mu                sync.Mutex
	element, variable string
}

// Stores begins to share the state of an instance that was made with an ID. clock is that of its calls; asked is told whenever
// an event begins to wait.
func (i *Instance) Stores(clock func() (now, wall uint64), asked func()) *Stores {
	s := &Stores{instance: i, clock: clock, asked: asked, woken: map[uintptr]bool{}, waits: map[uintptr]chan struct{}{}}
	s.copies = make([]storeCopy, i.Chain.runs.store(storeCount, i.handle, 0, nil))
	for n := range s.copies {
		s.exchange(storeNames, n, false, nil, func(_ uintptr, x *exchange) {
			s.copies[n].element, s.copies[n].variable = copyOf(x.parts[0]), copyOf(x.parts[1])
		})
	}
	for n := range s.copies {
		s.holds = s.holds || s.copies[n].variable == ""
	}
	i.stores = s
	return s
}

// Copies is how many there are.
func (s *Stores) Copies() int { return len(s.copies) }

// Names says whose state a copy is: an element's, and where it is merged, of which variable.
func (s *Stores) Names(copy int) (element, variable string) {
	return s.copies[copy].element, s.copies[copy].variable
}

// Waits says whether calls wait for the store of shared state.
func (i *Instance) Waits() bool { return i.stores != nil && i.stores.Waits() }

// Waits says whether calls wait for the store.
func (s *Stores) Waits() bool { return s.holds }

// Waiting is how many events wait.
func (s *Stores) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waits)
}

func (s *Stores) exchange(function storeFunction, copy int, due bool, answer []byte, after func(result uintptr, x *exchange)) {
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	*x = exchange{due: uint64(flag(due)), answer: viewOf(answer)}
	x.now, x.wall = s.clock()
	s.copies[copy].mu.Lock()
	defer s.copies[copy].mu.Unlock()
	result := s.instance.Chain.runs.store(function, s.instance.handle, copy, x)
	runtime.KeepAlive(answer)
	if after != nil {
		after(result, x)
	}
	s.wake()
}

func partsOf(x *exchange) []string {
	parts := make([]string, min(x.count, mostParts))
	for i := range parts {
		parts[i] = copyOf(x.parts[i])
	}
	return parts
}

// Take gives the arguments of the script that is to run now; nil: there is nothing to ask. due: it is time to say that the
// instance is alive, or to merge.
func (s *Stores) Take(copy int, due bool) (parts []string) {
	s.exchange(storeTake, copy, due, nil, func(asks uintptr, x *exchange) {
		if asks != 0 {
			parts = partsOf(x)
		}
	})
	return parts
}

// Answer is what the script said; what is wrong with it, if anything.
func (s *Stores) Answer(copy int, answer []byte) (flaw string) {
	s.exchange(storeAnswer, copy, false, answer, func(_ uintptr, x *exchange) { flaw = copyOf(x.flaw) })
	return flaw
}

// Unanswered says that nobody knows what became of the request.
func (s *Stores) Unanswered(copy int) { s.exchange(storeUnanswered, copy, false, nil, nil) }

// Away says that calls wait no longer.
func (s *Stores) Away(copy int) { s.exchange(storeAway, copy, false, nil, nil) }

// Waited is how long calls, or a merge, have waited for a word of the store; 0: none does.
func (s *Stores) Waited(copy int) (waited time.Duration) {
	s.exchange(storeWaitsSince, copy, false, nil, func(since uintptr, x *exchange) {
		if since != 0 {
			waited = max(time.Duration(x.now-uint64(since)), 1)
		}
	})
	return waited
}

// Leave is what is to be said at the end.
func (s *Stores) Leave(copy int) (parts []string) {
	s.exchange(storeLeave, copy, false, nil, func(_ uintptr, x *exchange) { parts = partsOf(x) })
	return parts
}

// wake lets those events go on that the store's last word has woken.
func (s *Stores) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		frame := s.instance.Chain.runs.store(storeWoken, s.instance.handle, 0, nil)
		if frame == 0 {
			return
		}
		if it, ok := s.waits[frame]; ok {
			delete(s.waits, frame)
			it <- struct{}{}
		} else {
			s.woken[frame] = true
		}
	}
}

// wait returns once the event of the call goes on.
func (s *Stores) wait(c *Call) {
	frame := uintptr(unsafe.Pointer(&c.frame))
	s.mu.Lock()
	if s.woken[frame] {
		delete(s.woken, frame)
		s.mu.Unlock()
		return
	}
	if c.wakes == nil {
		c.wakes = make(chan struct{}, 1)
	}
	s.waits[frame] = c.wakes
	s.mu.Unlock()
	s.asked()
	<-c.wakes
}

func viewOf(text []byte) view {
	return view{uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text))}
}
