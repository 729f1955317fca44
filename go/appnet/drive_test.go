package appnet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// The test program, run with APPNET_DRIVE, is driven by others: each line of its input is an event of a call, and each line
// of its output what became of it. So other suites hold this host to their interpreter.
func TestMain(m *testing.M) {
	if os.Getenv("APPNET_DRIVE") != "" {
		if err := drive(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type headers map[string][][]byte

// event is one line. Op: load, call, request, response, trailers, end, state, records or drop; where state is shared, store,
// and resume, which waits for the event before.
type event struct {
	Op          string
	Code        []byte
	Descriptors []byte
	Types       map[string][2]string // of each method's request and response, by path
	Seed        uint64
	Hosts       uint32
	Scope       string // by which state goes on from instance to instance; empty: it does not
	Now, Wall   uint64

	Instance, Call int
	Path           string
	Peer           []byte
	Message        []byte
	Size           uint64 // of the message as it came
	None           bool   // there is no message
	Status         int32
	Metadata       headers
	Trailers       headers

	Shares   string // the ID of an instance that shares state
	Function string // of the store: names, take, answer, unanswered, away or leave
	Copy     int
	Due      bool
}

type result struct {
	Error       string
	Verdict     uint32
	Code        int32
	Text        []byte
	Message     []byte
	Changed     bool // the message that goes on is another than came
	Metadata    headers
	Trailers    headers
	Own         headers
	OwnTrailers headers
	Destination int64
	WaitMs      uint64
	Deadline    uint64 // 0: none
	Data        []byte
	Waits       bool     // the event waits for the store
	Parts       [][]byte // what is to be asked; or of each copy its element and its variable
}

type driven struct {
	chain     *chain
	instance  *object.Instance
	methods   map[string]*method
	types     map[string][2]protoreflect.MessageType
	now, wall uint64

	stores *object.Stores // nil: it shares no state
	active atomic.Int32   // events that are not over
	last   chan result    // of the event that is not over
}

type drivenCall struct {
	*driven
	events
	request, response protoreflect.MessageType
	metadata          metadata.MD
	goes              result // what elements have made of the request as a whole
}

func drive(in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(bufio.NewReader(in))
	answers := json.NewEncoder(out)
	var instances []*driven
	calls := map[int]*drivenCall{}
	for {
		var e event
		if err := lines.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var r result
		if e.Op == "load" {
			d, err := load(&e)
			if err != nil {
				r.Error = err.Error()
			}
			instances = append(instances, d)
		} else if e.Op == "drop" {
			instances[e.Instance] = nil // its last call is over: the collector ends it
		} else {
			r = instances[e.Instance].outcome(&e, calls)
		}
		if err := answers.Encode(&r); err != nil {
			return err
		}
	}
}

func load(e *event) (*driven, error) {
	opened, err := openCode(e.Code, testEngine)
	if err != nil {
		return nil, err
	}
	instance, err := opened.New(object.Setup{Seed: e.Seed, Now: e.Now, Wall: e.Wall, Backends: e.Hosts, Scope: e.Scope, Shares: e.Shares})
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(e.Descriptors, set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	d := &driven{instance: instance, methods: map[string]*method{}, types: map[string][2]protoreflect.MessageType{}}
	d.chain = &chain{wants: opened.Wants, server: true, instance: instance, clock: func() (uint64, uint64) { return d.now, d.wall }}
	if d.now, d.wall = e.Now, e.Wall; e.Shares != "" {
		d.chain.wants |= object.WantsClock
		d.stores = instance.Stores(d.chain.clock, func() {})
		d.chain.behind = func(end func()) { d.begin(end) }
	}
	for i := range opened.Methods {
		m := newMethod(d.chain, &opened.Methods[i])
		d.methods[m.Path] = m
		names := e.Types[m.Path]
		d.types[m.Path] = [2]protoreflect.MessageType{find(files, names[0]), find(files, names[1])}
	}
	return d, nil
}

func find(files *protoregistry.Files, name string) protoreflect.MessageType {
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		panic(err)
	}
	return dynamicpb.NewMessageType(found.(protoreflect.MessageDescriptor))
}

// outcome is what became of an event, or of the one before, as far as it goes without the store.
func (d *driven) outcome(e *event, calls map[int]*drivenCall) result {
	d.now, d.wall = e.Now, e.Wall
	run := func() (r result) {
		if err := d.run(e, &r, calls); err != nil {
			r.Error = err.Error()
		}
		return r
	}
	switch {
	case d.stores == nil || e.Op == "state" || e.Op == "records":
		return run()
	case e.Op == "store":
		r := d.exchange(e)
		d.quiet()
		return r
	case e.Op != "resume":
		last := make(chan result, 1)
		d.last = last
		d.begin(func() { last <- run() })
	}
	d.quiet()
	select {
	case over := <-d.last:
		return over
	default:
		return result{Waits: true}
	}
}

// begin runs what may wait for the store.
func (d *driven) begin(work func()) {
	d.active.Add(1)
	go func() {
		defer d.active.Add(-1)
		work()
	}()
}

// quiet waits until all events are over, or wait for the store.
func (d *driven) quiet() {
	for int(d.active.Load()) > d.stores.Waiting() {
		time.Sleep(50 * time.Microsecond)
	}
}

func (d *driven) exchange(e *event) (r result) {
	var parts []string
	switch e.Function {
	case "names":
		for n := range d.stores.Copies() {
			element, variable := d.stores.Names(n)
			parts = append(parts, element, variable)
		}
	case "take":
		parts = d.stores.Take(e.Copy, e.Due)
	case "answer":
		r.Text = []byte(d.stores.Answer(e.Copy, e.Message))
	case "unanswered":
		d.stores.Unanswered(e.Copy)
	case "away":
		d.stores.Away(e.Copy)
	case "leave":
		parts = d.stores.Leave(e.Copy)
	}
	for _, it := range parts {
		r.Parts = append(r.Parts, []byte(it))
	}
	return r
}

func (d *driven) run(e *event, r *result, calls map[int]*drivenCall) error {
	switch e.Op {
	case "state":
		r.Data = []byte(d.instance.State())
		return nil
	case "records":
		r.Data = d.instance.Records(e.Now, e.Wall)
		return nil
	case "call":
		m := d.methods[e.Path]
		c := &drivenCall{driven: d, events: events{method: m, call: m.call()}, metadata: fromHeaders(e.Metadata)}
		c.request, c.response = d.types[e.Path][0], d.types[e.Path][1]
		calls[e.Call] = c
		peer := string(e.Peer)
		c.show = func(call *object.Call) {
			offer(call, object.RequestMetadata, c.metadata)
			call.SetPeer(peer)
		}
		c.remind = func(call *object.Call) {
			for _, it := range c.metadata[":authority"] {
				call.AddMetadata(object.RequestMetadata, ":authority", it)
			}
		}
		c.show(c.call)
		c.tick(c.call)
		c.reply = c.response.New().Interface()
		c.goes.Destination = -1
		_, err := c.goesOn(c.call.Open(), nil, nil, c.begun(r))
		c.whole(r)
		return c.told(err, r)
	case "request":
		c := calls[e.Call]
		var message any
		if !e.None {
			it := c.request.New().Interface()
			if err := proto.Unmarshal(e.Message, it); err != nil {
				return err
			}
			message = it
		}
		c.size = e.Size
		out, err := c.judgeRequest(message, c.begun(r))
		c.whole(r)
		return c.passed(message, out, err, r)
	case "response":
		c := calls[e.Call]
		message := c.response.New().Interface()
		if err := proto.Unmarshal(e.Message, message); err != nil {
			return err
		}
		header, trailer := fromHeaders(e.Metadata), fromHeaders(e.Trailers)
		c.size = e.Size
		out, err := c.judgeResponse(message, header, trailer, false, c.responded(header, trailer, r))
		return c.passed(message, out, err, r)
	case "trailers":
		c := calls[e.Call]
		header, trailer := fromHeaders(e.Metadata), fromHeaders(e.Trailers)
		var end error
		if e.Status != 0 {
			end = refusal(&object.Frame{Code: e.Status})
		}
		return c.told(c.judgeEnd(end, header, trailer, c.responded(header, trailer, r)), r)
	case "end":
		c := calls[e.Call]
		delete(calls, e.Call)
		c.finish()
		runtime.KeepAlive(d)
		return nil
	}
	return fmt.Errorf("no op %q", e.Op)
}

func (c *drivenCall) begun(r *result) func(f *object.Frame) {
	return func(f *object.Frame) {
		c.metadata = edit(c.call, object.RequestMetadata, c.metadata)
		c.outcomeOf(f, r)
		c.goes.Destination, c.goes.WaitMs = f.Destination, f.WaitMs
		if f.DeadlineNs != object.NoDeadline {
			c.goes.Deadline = f.DeadlineNs
		}
	}
}

// whole adds what elements have made of the request as a whole, be it long ago.
func (c *drivenCall) whole(r *result) {
	r.Metadata = toHeaders(c.metadata)
	r.Destination, r.WaitMs, r.Deadline = c.goes.Destination, c.goes.WaitMs, c.goes.Deadline
}

func (c *drivenCall) responded(header, trailer metadata.MD, r *result) func(f *object.Frame) {
	return func(f *object.Frame) {
		c.outcomeOf(f, r)
		r.Metadata = toHeaders(edit(c.call, object.ResponseMetadata, header))
		r.Trailers = toHeaders(edit(c.call, object.ResponseTrailers, trailer))
	}
}

func (c *drivenCall) outcomeOf(f *object.Frame, r *result) {
	r.Verdict, r.Code = f.Verdict, f.Code
	if f.Verdict != object.Forward {
		r.Text = []byte(f.Text())
		r.Own, r.OwnTrailers = toHeaders(entriesOf(f.Own)), toHeaders(entriesOf(f.Trailers))
	}
}

func (c *drivenCall) passed(came, out any, err error, r *result) error {
	if err = c.told(err, r); err != nil || r.Verdict == object.Answer {
		return err
	}
	if m, ok := out.(proto.Message); ok && out != came {
		r.Changed = true
		r.Message, err = proto.Marshal(m)
		return err
	}
	return nil
}

// told is what went wrong in the host: the chain's own errors are in the result.
func (c *drivenCall) told(err error, r *result) error {
	if err == errAnswered {
		r.Message, err = proto.Marshal(c.reply)
		return err
	}
	if r.Verdict == object.Refuse {
		return nil
	}
	if err != nil && c.ended != nil {
		return err
	}
	return nil
}

func fromHeaders(h headers) metadata.MD {
	md := metadata.MD{}
	for key, values := range h {
		for _, it := range values {
			md[key] = append(md[key], fromWire(key, string(it)))
		}
	}
	return md
}

func toHeaders(md metadata.MD) headers {
	h := headers{}
	for key, values := range md {
		for _, it := range values {
			h[key] = append(h[key], []byte(toWire(key, it)))
		}
	}
	return h
}
