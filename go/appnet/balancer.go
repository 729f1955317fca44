package appnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// Policy is the load-balancing policy by which elements choose hosts. Dial sets it by a default service config:
//
//	{"loadBalancingConfig": [{"appnet": {}}]}
//
// A program that has a service config of its own passes it behind what Dial gives, and names the policy in it. Calls that no
// element chooses a host for go where gRPC's pick_first sends them, or the policy in "childPolicy":
//
//	{"loadBalancingConfig": [{"appnet": {"childPolicy": [{"round_robin": {}}]}}]}
const Policy = "appnet"

const usualChild = "pick_first"

func init() { balancer.Register(policy{}) }

// choice is where a call may go: to one host, which an element chose, or to any of several.
type choice struct {
	hosts []string
	seen  atomic.Bool // by a picker of this package
}

type choiceKey struct{}

// routed is the context of a call whose host the chain may have chosen.
func (m *method) routed(ctx context.Context, f *object.Frame) context.Context {
	hosts := m.chain.hosts
	if len(hosts) < 2 {
		return ctx // one host is where gRPC goes by itself
	}
	if n := f.Destination; n >= 0 && n < int64(len(hosts)) {
		hosts = hosts[n : n+1]
	} else if ctx.Value(choiceKey{}) != nil {
		return ctx // a chain before has chosen
	}
	return context.WithValue(ctx, choiceKey{}, &choice{hosts: hosts})
}

// ---- calls that must not go anywhere else

// confirming are a call's credentials, which gRPC asks for once it has a connection: the last moment to stop a call that
// goes to another host, because the connection has another policy.
type confirming struct {
	of    *choice
	inner credentials.PerRPCCredentials
}

func (c confirming) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	if !c.of.seen.Load() {
		return nil, fmt.Errorf("appnet: an element chose host %s, but the connection has a load-balancing policy that does not ask: "+
			`write {"loadBalancingConfig": [{%q: {}}]} into its service config`, c.of.hosts[0], Policy)
	}
	if c.inner == nil {
		return nil, nil
	}
	return c.inner.GetRequestMetadata(ctx, uri...)
}

func (c confirming) RequireTransportSecurity() bool {
	return c.inner != nil && c.inner.RequireTransportSecurity()
}

// confirmed are the options of a call that goes where an element chose, or nowhere.
func (m *method) confirmed(ctx context.Context, opts []grpc.CallOption) []grpc.CallOption {
	if len(m.chain.hosts) < 2 {
		return opts // a chain before has seen to it, if anybody chose
	}
	of, _ := ctx.Value(choiceKey{}).(*choice)
	if of == nil || len(of.hosts) > 1 {
		return opts
	}
	c := confirming{of: of}
	for _, it := range opts {
		if own, ok := it.(grpc.PerRPCCredsCallOption); ok {
			c.inner = own.Creds
		}
	}
	return append(opts[:len(opts):len(opts)], grpc.PerRPCCredentials(c))
}

// ---- the policy

type policy struct{}

type policyConfig struct {
	serviceconfig.LoadBalancingConfig
	child  balancer.Builder
	config serviceconfig.LoadBalancingConfig
}

func (policy) Name() string { return Policy }

func (policy) ParseConfig(text json.RawMessage) (serviceconfig.LoadBalancingConfig, error) {
	var told struct {
		ChildPolicy []map[string]json.RawMessage `json:"childPolicy"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return nil, fmt.Errorf("appnet: %w", err)
	}
	for _, it := range told.ChildPolicy {
		for name, config := range it {
			child := balancer.Get(name)
			if child == nil {
				continue
			}
			of := &policyConfig{child: child}
			if parser, ok := child.(balancer.ConfigParser); ok {
				var err error
				if of.config, err = parser.ParseConfig(config); err != nil {
					return nil, err
				}
			}
			return of, nil
		}
	}
	if len(told.ChildPolicy) > 0 {
		return nil, errors.New("appnet: none of the policies in childPolicy is there")
	}
	return &policyConfig{child: balancer.Get(usualChild)}, nil
}

func (policy) Build(cc balancer.ClientConn, options balancer.BuildOptions) balancer.Balancer {
	c := &hostConns{ClientConn: cc, hosts: map[string]*host{}}
	c.child = balancer.State{ConnectivityState: connectivity.Connecting, Picker: base.NewErrPicker(balancer.ErrNoSubConnAvailable)}
	return &hostBalancer{conns: c, options: options}
}

// hostBalancer has a policy below for calls that may go anywhere, and connections of its own to hosts that were chosen.
type hostBalancer struct {
	conns   *hostConns
	options balancer.BuildOptions
	name    string
	child   balancer.Balancer
}

func (b *hostBalancer) UpdateClientConnState(state balancer.ClientConnState) error {
	of, ok := state.BalancerConfig.(*policyConfig)
	if !ok {
		of = &policyConfig{child: balancer.Get(usualChild)}
	}
	if b.child == nil || b.name != of.child.Name() {
		if b.child != nil {
			b.child.Close()
		}
		b.name, b.child = of.child.Name(), of.child.Build(b.conns, b.options)
	}
	state.BalancerConfig = of.config
	return b.child.UpdateClientConnState(state)
}

func (b *hostBalancer) ResolverError(err error) {
	if b.child == nil {
		b.conns.UpdateState(balancer.State{ConnectivityState: connectivity.TransientFailure, Picker: base.NewErrPicker(err)})
		return
	}
	b.child.ResolverError(err)
}

// UpdateSubConnState is what policies had before connections had listeners.
func (b *hostBalancer) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

func (b *hostBalancer) ExitIdle() {
	if it, ok := b.child.(interface{ ExitIdle() }); ok {
		it.ExitIdle()
	}
}

func (b *hostBalancer) Close() {
	b.conns.close()
	if b.child != nil {
		b.child.Close()
	}
}

// ---- hosts

// host is a connection to a host that was chosen.
type host struct {
	conn  balancer.SubConn
	state connectivity.State
	err   error // of the last attempt
}

// hostConns is what the policy below sees of the connection, and all hosts.
type hostConns struct {
	balancer.ClientConn
	mu     sync.Mutex
	child  balancer.State
	hosts  map[string]*host
	closed bool
	next   atomic.Uint64
}

// UpdateState takes over what the policy below does with calls that may go anywhere.
func (c *hostConns) UpdateState(state balancer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.child = state
	c.publish()
}

// publish makes a picker of all that there is; with the lock.
func (c *hostConns) publish() {
	if c.closed {
		return
	}
	p := &hostPicker{conns: c, child: c.child.Picker, hosts: make(map[string]host, len(c.hosts))}
	for name, it := range c.hosts {
		p.hosts[name] = *it
	}
	c.ClientConn.UpdateState(balancer.State{ConnectivityState: c.child.ConnectivityState, Picker: p})
}

func (c *hostConns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// want begins to connect to a host, unless that has begun. Hosts are connected to for calls alone, also once they are lost.
func (c *hostConns) want(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.hosts[name]
	if it == nil {
		it = &host{}
		options := balancer.NewSubConnOptions{StateListener: func(s balancer.SubConnState) { c.changed(name, it, s) }}
		//lint:ignore SA1019 what is deprecated is more than one address
		conn, err := c.NewSubConn([]resolver.Address{{Addr: name}}, options)
		if err != nil {
			return err
		}
		it.conn, c.hosts[name] = conn, it
	}
	if it.state == connectivity.Idle {
		it.state = connectivity.Connecting
		it.conn.Connect()
	}
	return nil
}

func (c *hostConns) changed(name string, it *host, s balancer.SubConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it.state, it.err = s.ConnectivityState, s.ConnectionError
	if it.state == connectivity.Shutdown && c.hosts[name] == it {
		delete(c.hosts, name)
	}
	c.publish()
}

// hostPicker is what calls go by until something changes.
type hostPicker struct {
	conns *hostConns
	child balancer.Picker
	hosts map[string]host
}

// Pick is a connection to a host that the call may go to; while it comes about, the call waits. Where none can be had, the
// call fails, unless it waits for a host to be ready.
func (p *hostPicker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	of, _ := info.Ctx.Value(choiceKey{}).(*choice)
	if of == nil {
		return p.child.Pick(info)
	}
	of.seen.Store(true)
	count := uint64(len(of.hosts))
	first := uint64(0)
	if count > 1 {
		first = p.conns.next.Add(1)
	}
	var ready balancer.SubConn
	var failed error
	waits := false
	for i := range count {
		name := of.hosts[(first+i)%count]
		switch it := p.hosts[name]; it.state {
		case connectivity.Ready:
			if ready == nil {
				ready = it.conn
			}
		case connectivity.TransientFailure:
			failed = fmt.Errorf("host %s: %w", name, it.err)
		default:
			if failed = p.conns.want(name); failed == nil {
				waits = true
			}
		}
	}
	switch {
	case ready != nil:
		return balancer.PickResult{SubConn: ready}, nil
	case waits:
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	return balancer.PickResult{}, failed
}
