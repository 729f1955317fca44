package appnet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

const (
	beatEvery      = 5 * time.Second
	firstBackoff   = 20 * time.Millisecond
	longestBackoff = 500 * time.Millisecond
	refusedPause   = time.Second
	stepsPause     = time.Millisecond
	connectTimeout = 500 * time.Millisecond
	// A store that is busy that long is none. To ask it anew before would only make it busier.
	silentTimeout = 10 * time.Second
	// How often is looked whether calls have waited too long.
	lookEvery = 10 * time.Millisecond
	tellEvery = time.Second
)

// The keys of strong state, and of a variable that is merged, as the script takes them.
var (
	strongKeys = [...]string{"meta", "log", "values", "entries", "order", "instances"}
	mergedKeys = [...]string{"meta", "gone", "clocks", "entries", "order", "instances"}
)

// carrier shares the state of an instance: a goroutine for each copy sends what the chain asks, and makes the store's answers
// known to it.
type carrier struct {
	settings *control.Store
	stores   *object.Stores
	script   *valkey.Lua
	lines    []*line
	looks    chan struct{} // somebody is to look whether it waits too long
	ending   chan struct{}
	ended    sync.WaitGroup
	ends     sync.Once

	mu     sync.Mutex
	client valkey.Client // nil: there is no connection yet
	told   bool          // somebody was told that the store is away
}

// line is what is asked about one copy, one request after another.
type line struct {
	*carrier
	copy    int
	keys    []string
	merges  bool
	name    string
	ready   chan struct{} // there may be something to ask
	joined  chan struct{} // closed once it has what the store has
	once    sync.Once
	flawed  bool
	backoff time.Duration
	due     time.Time
}

// share begins to share the state of an instance, and joins the others if that takes no longer than a call may wait: state
// ends with the last instance, and the version before must not end while this one is on its way to the store.
func share(instance *object.Instance, settings *control.Store, clock func() (uint64, uint64)) *carrier {
	c := &carrier{settings: settings, script: valkey.NewLuaScript(string(settings.Script)), looks: make(chan struct{}, 1), ending: make(chan struct{})}
	c.stores = instance.Stores(clock, c.asked)
	for n := range c.stores.Copies() {
		c.lines = append(c.lines, c.newLine(n))
	}
	for _, it := range c.lines {
		c.ended.Add(1)
		go it.run()
	}
	if c.stores.Waits() {
		c.ended.Add(1)
		go c.look()
	}
	timer := time.NewTimer(c.timeout())
	defer timer.Stop()
	for _, it := range c.lines {
		select {
		case <-it.joined:
		case <-timer.C:
			return c
		}
	}
	return c
}

func (c *carrier) newLine(n int) *line {
	element, variable := c.stores.Names(n)
	l := &line{
		carrier: c, copy: n, merges: variable != "", name: element, backoff: firstBackoff,
		ready: make(chan struct{}, 1), joined: make(chan struct{}),
	}
	begins, parts := "{"+c.settings.Scope+"/"+element+"}:", strongKeys
	if l.merges {
		begins, parts, l.name = begins+variable+":", mergedKeys, element+"."+variable
	}
	for _, it := range parts {
		l.keys = append(l.keys, begins+it)
	}
	l.due = time.Now().Add(l.interval())
	return l
}

func (c *carrier) timeout() time.Duration {
	return time.Duration(c.settings.TimeoutMs) * time.Millisecond
}

// asked hears that a call waits.
func (c *carrier) asked() {
	for _, it := range c.lines {
		signal(it.ready)
	}
	signal(c.looks)
}

func signal(whom chan struct{}) {
	select {
	case whom <- struct{}{}:
	default:
	}
}

// look lets go calls that have waited too long.
func (c *carrier) look() {
	defer c.ended.Done()
	for {
		select {
		case <-c.looks:
		case <-c.ending:
			return
		}
		for c.letGo() {
			select {
			case <-time.After(lookEvery):
			case <-c.ending:
				return
			}
		}
	}
}

// letGo says whether any call waits.
func (c *carrier) letGo() (waits bool) {
	for _, it := range c.lines {
		if it.merges {
			continue
		}
		waited := c.stores.Waited(it.copy)
		waits = waits || waited > 0
		if waited >= c.timeout() {
			c.tell("it does not answer in time")
			c.stores.Away(it.copy)
		}
	}
	return waits
}

// tell says once for each time that the store is away what is wrong.
func (c *carrier) tell(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.told {
		c.told = true
		complain("the store of shared state: " + what)
	}
}

func (c *carrier) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = false
}

// close says goodbye to the store, once.
func (c *carrier) close() { c.ends.Do(c.sayGoodbye) }

func (c *carrier) sayGoodbye() {
	close(c.ending)
	c.ended.Wait()
	for _, it := range c.lines {
		c.stores.Away(it.copy) // where calls come all the same, they do not wait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.Close()
	}
}

// ---- the connection

// connection is the client, which connects anew by itself once it has been connected.
func (c *carrier) connection() (valkey.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	client, err := valkey.NewClient(c.options())
	if err == nil {
		c.client = client
	}
	return client, err
}

func (c *carrier) options() valkey.ClientOption {
	s := c.settings
	o := valkey.ClientOption{
		Username: s.User, Password: s.Password, SelectDB: int(s.Database), ForceSingleClient: true,
		Dialer:       net.Dialer{Timeout: connectTimeout, KeepAlive: time.Second},
		DisableCache: true, DisableRetry: true, ConnWriteTimeout: silentTimeout,
		RingScaleEachConn: 6, ReadBufferEachConn: 16 << 10, WriteBufferEachConn: 16 << 10, // a request of each copy at most
	}
	if s.Path != "" {
		o.InitAddress = []string{s.Path}
		o.DialCtxFn = func(ctx context.Context, path string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
		return o
	}
	o.InitAddress = []string{net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))}
	return o
}

// ask has the script run.
func (l *line) ask(parts []string) ([]byte, error) {
	client, err := l.connection()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), silentTimeout)
	defer cancel()
	answer := l.script.Exec(ctx, client, l.keys, parts)
	return answer.AsBytes()
}

// isOfState says whether an error is about what the keys of one element hold: other elements can go on. The client leaves out
// the word ERR in front of such errors, and no other.
func isOfState(err error) (text string, is bool) {
	it, ok := valkey.IsValkeyErr(err)
	if !ok || it.IsNil() {
		return "", false
	}
	word, _, _ := strings.Cut(it.Error(), " ")
	return it.Error(), word == "WRONGTYPE" || word != strings.ToUpper(word)
}

// ---- what is asked

func (l *line) interval() time.Duration {
	if l.merges {
		return time.Duration(l.settings.MergeMs) * time.Millisecond
	}
	return beatEvery
}

func (l *line) run() {
	defer l.ended.Done()
	reached := true
	for {
		pause := l.round()
		reached = pause == 0
		if l.rests(pause) {
			break
		}
	}
	if reached {
		l.lastWords()
	}
}

// rests waits before the next round; whether the instance ends.
func (l *line) rests(pause time.Duration) (ends bool) {
	ready := l.ready
	if pause > 0 {
		ready = nil // not before
	} else {
		pause = max(time.Until(l.due), 0)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.ending:
		return true
	case <-ready:
	case <-timer.C:
	}
	return false
}

// round asks as long as there is something to ask; how long it is to wait before it may ask again, 0: it may at any time.
func (l *line) round() time.Duration {
	for {
		now := time.Now()
		due := !now.Before(l.due)
		parts := l.stores.Take(l.copy, due)
		switch {
		case parts == nil && due && l.merges:
			return stepsPause // steps are under way
		case parts == nil:
			return 0
		case due:
			l.due = now.Add(l.interval())
		}
		if pause := l.exchange(parts); pause > 0 {
			return pause
		}
	}
}

func (l *line) exchange(parts []string) (pause time.Duration) {
	answer, err := l.ask(parts)
	if text, is := isOfState(err); is {
		answer, err = append([]byte{3}, text[:min(len(text), 200)]...), nil // as if the script had said it
	}
	if err != nil {
		l.tell(err.Error())
		l.stores.Unanswered(l.copy)
		pause, l.backoff = l.backoff, min(2*l.backoff, longestBackoff)
		return pause
	}
	flaw := l.stores.Answer(l.copy, answer)
	l.heard()
	l.backoff = firstBackoff
	if flaw == "" {
		l.flawed = false
		l.once.Do(func() { close(l.joined) })
		return 0
	}
	if !l.flawed {
		l.flawed = true
		complain("the store of shared state: state of " + l.name + ": " + flaw)
	}
	return refusedPause
}

// lastWords tell what is not merged yet, twice since a batch may be under way, and that the store need not wait for this
// instance.
func (l *line) lastWords() {
	for range 2 {
		if !l.merges {
			break
		}
		if parts := l.stores.Take(l.copy, true); parts != nil && l.exchange(parts) > 0 {
			return
		}
	}
	if _, err := l.ask(l.stores.Leave(l.copy)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		l.tell(err.Error())
	}
}
