package appnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// version is what a side runs: the chains of all its edges, by the methods that they judge.
type version struct {
	id      string
	methods map[string][]*method // of each, in the order in which a request passes them on the wire
	chains  []*chain
}

// end is one end of edges: a client's, or a server's.
type end struct {
	service string
	server  bool
	options settings

	current atomic.Pointer[version]
	before  earlier
	first   chan struct{} // closed once there is a version
	once    sync.Once
	wrong   atomic.Pointer[error] // why there is none
}

// earlier are chains of versions before, which calls may still pass.
type earlier struct {
	mu     sync.Mutex
	chains []weak.Pointer[chain]
}

func (e *earlier) add(v *version) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, it := range v.chains {
		e.chains = append(e.chains, weak.Make(it))
	}
}

// passed are those that the garbage collector has not ended yet.
func (e *earlier) passed() []*chain {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []*chain
	e.chains = slices.DeleteFunc(e.chains, func(it weak.Pointer[chain]) bool {
		c := it.Value()
		if c != nil {
			found = append(found, c)
		}
		return c == nil
	})
	return found
}

func newEnd(service string, server bool, options settings) *end {
	return &end{service: service, server: server, options: options, first: make(chan struct{})}
}

// use makes a version the current one: calls that begin from now on pass it, others end on the one they began with.
func (e *end) use(v *version) {
	if before := e.current.Swap(v); before != nil {
		e.before.add(before)
	}
	e.once.Do(func() { close(e.first) })
}

// layers are the chains that a call passes; an error where there is no version to say so.
func (e *end) layers(ctx context.Context, path string) ([]*method, error) {
	v := e.current.Load()
	if v == nil {
		if e.options.open {
			return nil, nil
		}
		if err := e.await(ctx); err != nil {
			return nil, err
		}
		v = e.current.Load()
	}
	return v.methods[path], nil
}

// await waits for the first version: without one, nobody judges calls, so none may pass.
func (e *end) await(ctx context.Context) error {
	timer := time.NewTimer(e.options.patience)
	defer timer.Stop()
	select {
	case <-e.first:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
	}
	why := "no version has come"
	if err := e.wrong.Load(); err != nil {
		why = (*err).Error()
	}
	return status.Errorf(codes.Unavailable, "appnet: %s has no chains: %s", e.service, why)
}

// open opens the chains of an edge.
func (e *end) open(of *control.Version) ([]*chain, map[string][]*method, error) {
	var opened []*chain
	methods := map[string][]*method{}
	for _, it := range of.Chains {
		c, err := openChain(it, of, e.server, e.options.engine)
		if err != nil {
			return nil, nil, fmt.Errorf("chain %s: %w", it.Name, err)
		}
		opened = append(opened, c)
		for i := range c.instance.Chain.Methods {
			m := newMethod(c, &c.instance.Chain.Methods[i])
			methods[m.Path] = append(methods[m.Path], m)
		}
	}
	return opened, methods, nil
}

// openCode opens the code of a chain that is for an engine, nil: the machine itself.
func openCode(container []byte, engine object.Engine) (*object.Chain, error) {
	switch {
	case engine != nil:
		code, err := codeFor(container, engine.Machine())
		if err != nil {
			return nil, err
		}
		return engine.Open(code)
	case !object.Native:
		return nil, fmt.Errorf("there is no native code of chains for %s/%s: pass wasm.Runtime() of the module "+
			"github.com/appnet-org/appnet/go/appnet/wasm", runtime.GOOS, runtime.GOARCH)
	}
	code, err := codeFor(container, runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	return object.Open(code)
}

func openChain(of *control.Chain, in *control.Version, server bool, engine object.Engine) (*chain, error) {
	opened, err := openCode(of.Code, engine)
	if err != nil {
		return nil, err
	}
	if opened.Version != of.Version {
		opened.Close()
		return nil, fmt.Errorf("its code is %s, version %s", opened.Name, opened.Version)
	}
	setup := object.Setup{
		Seed: rand.Uint64(), Now: now(), Wall: now() + wallAhead.Load(), Resource: of.Resource,
		Scope: of.Name, MaxMessage: of.MaxMessage, Backends: uint32(len(in.Hosts)),
	}
	if of.Store != nil {
		setup.Shares = newID()
	}
	instance, err := opened.New(setup)
	if err != nil {
		opened.Close()
		return nil, err
	}
	c := &chain{name: of.Name, wants: opened.Wants, server: server, instance: instance, records: in.Records, share: of.TraceShare, hosts: in.Hosts}
	if engine != nil {
		c.wants |= object.WantsClock // of which its module cannot ask the system
	}
	if of.Store != nil {
		c.carrier = share(instance, of.Store, processTime)
		c.wants |= object.WantsClock // of writes that are merged, and of calls that wait
	}
	// It ends when neither the current version nor a call has it any more: the garbage collector counts for us.
	runtime.AddCleanup(c, endInstance, ending{instance, in.Records, c.carrier})
	return c, nil
}

// newID tells instances that share state from all others.
func newID() string { return fmt.Sprintf("%016x", rand.Uint64()) }

type ending struct {
	instance *object.Instance
	records  string
	carrier  *carrier
}

// endInstance ends an instance that nobody uses any more, after its last telemetry. Posts may take their time: the collector
// does not wait.
func endInstance(it ending) {
	go func() {
		at := now()
		if it.carrier != nil {
			it.carrier.close()
		}
		flush(it.instance, it.records, at, at+wallAhead.Load(), true)
		it.instance.Free()
		it.instance.Chain.Close()
	}()
}

// versionOf opens all that an end is to run.
func (e *end) versionOf(parts []*control.Version) (*version, error) {
	v := &version{methods: map[string][]*method{}}
	for _, it := range parts {
		chains, methods, err := e.open(it)
		if err != nil {
			return nil, err
		}
		v.id += it.Id
		v.chains = append(v.chains, chains...)
		for path, several := range methods {
			v.methods[path] = append(v.methods[path], several...)
		}
	}
	return v, nil
}

// ---- interceptors

func (e *end) unaryClient(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	layers, err := e.layers(ctx, path)
	if err != nil {
		return err
	}
	switch len(layers) {
	case 0:
		return invoker(ctx, path, request, response, cc, opts...)
	case 1:
		return layers[0].unaryClient(ctx, path, request, response, cc, invoker, opts...)
	}
	return nested(layers, invoker)(ctx, path, request, response, cc, opts...)
}

// nested is an invoker that runs calls through chains, the first outermost.
func nested(layers []*method, invoker grpc.UnaryInvoker) grpc.UnaryInvoker {
	if len(layers) == 0 {
		return invoker
	}
	inner := nested(layers[1:], invoker)
	return func(ctx context.Context, path string, request, response any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
		return layers[0].unaryClient(ctx, path, request, response, cc, inner, opts...)
	}
}

func (e *end) unaryServer(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	layers, err := e.layers(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	for i := len(layers) - 1; i > 0; i-- {
		inner, m := handler, layers[i]
		handler = func(ctx context.Context, request any) (any, error) { return m.unaryServer(ctx, request, info, inner) }
	}
	if len(layers) == 0 {
		return handler(ctx, request)
	}
	return layers[0].unaryServer(ctx, request, info, handler)
}

func (e *end) streamClient(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, path string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	layers, err := e.layers(ctx, path)
	if err != nil {
		return nil, err
	}
	for i := len(layers) - 1; i >= 0; i-- {
		inner, m := streamer, layers[i]
		streamer = func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, path string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return m.streamClient(ctx, desc, cc, path, inner, opts...)
		}
	}
	return streamer(ctx, desc, cc, path, opts...)
}

func (e *end) streamServer(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	layers, err := e.layers(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	for i := len(layers) - 1; i >= 0; i-- {
		inner, m := handler, layers[i]
		handler = func(service any, stream grpc.ServerStream) error { return m.streamServer(service, stream, info, inner) }
	}
	return handler(service, stream)
}
