// Package appnet runs chains of AppNet's elements inside a program that uses gRPC, without any proxy. Two lines turn it on:
//
//	conn, err := grpc.NewClient(target, append(appnet.Dial("frontend"), grpc.WithTransportCredentials(…))...)
//	server := grpc.NewServer(appnet.Serve("server")...)
//
// "frontend" and "server" are the services' names, as the application's configuration has them. The chains come from the
// control plane at $APPNET_CONTROL, which replaces them while calls run; or, with Embedded, from files of the program.
// Until the first version has come, calls wait for a while and then fail: nothing passes unjudged unless PassUnjudged says
// so.
//
// Interceptors of the program work before and after these: gRPC runs them in the order of the options. Chains are native
// code for Linux on amd64 and arm64, which runs in the process but needs neither cgo nor a C library. On other systems, and
// where chains are to be isolated, the option that the module go/appnet/wasm has runs them in modules of WebAssembly.
package appnet

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// Option changes how a program gets its chains, or what it does without.
type Option func(*settings)

type settings struct {
	files       fs.FS
	control     string
	application string
	instance    string
	kept        string
	tls         *tls.Config
	token       func() (string, error)
	keys        []string
	trusted     []ed25519.PublicKey
	open        bool
	patience    time.Duration
	engine      object.Engine // nil: the machine itself
}

const usualPatience = 10 * time.Second

// Embedded takes the chains from files, all that end in ".chains" in any folder: what `appnetctl compile` writes for
// processor grpc. They may be the program's own, by go:embed. No control plane is asked then.
func Embedded(files fs.FS) Option { return func(s *settings) { s.files = files } }

// Control names the control plane, HOST:PORT, in the place of $APPNET_CONTROL.
func Control(address string) Option { return func(s *settings) { s.control = address } }

// Application names the application that the program is part of, in the place of $APPNET_APPLICATION: its appName, or a
// namespace of a cluster, or NAMESPACE/APPNAME. Versions of another one are refused. Where nothing names it, it is that of the
// first version that is taken, or was kept.
func Application(name string) Option { return func(s *settings) { s.application = name } }

// Trust names who may sign the versions that run here, in the place of $APPNET_TRUSTED_KEYS: public keys of Ed25519, each as
// 64 hexadecimal digits. Whoever runs a control plane is told its own. A version that none of them signed is refused; where
// there is no key, so is each that comes from a control plane. Embedded files are the program's own: they are held to the
// keys if there are any.
func Trust(keys ...string) Option { return func(s *settings) { s.keys = keys } }

// Token says by what the program proves who it is: the text is asked for whenever it connects to the control plane, in the
// place of the one in the file that $APPNET_TOKEN names. It is sent by TLS, or to an address of this machine.
func Token(text func() (string, error)) Option { return func(s *settings) { s.token = text } }

// TokenFile is Token with the text of a file, such as Kubernetes mounts and renews.
func TokenFile(path string) Option {
	return Token(func() (string, error) {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	})
}

// TLS makes the connection to the control plane by TLS, with what the configuration says: which authority the control plane
// has its certificate from, and what the program shows itself. Without it, $APPNET_CA may name a file with the authority.
func TLS(config *tls.Config) Option { return func(s *settings) { s.tls = config } }

// Keep keeps the last version in a folder, in the place of $APPNET_KEEP: the next process starts with it where the control
// plane is away.
func Keep(folder string) Option { return func(s *settings) { s.kept = folder } }

// PassUnjudged lets calls pass that begin before the first version has come.
func PassUnjudged() Option { return func(s *settings) { s.open = true } }

// Patience is how long a call waits for the first version, 10 seconds if not told.
func Patience(d time.Duration) Option { return func(s *settings) { s.patience = d } }

// Engine has chains run by something else than the machine itself, such as what package wasm has.
func Engine(engine object.Engine) Option { return func(s *settings) { s.engine = engine } }

// Dial gives the options of a client connection: calls of the service, over all its connections with these options, pass
// the chains of its edges on the client's side. The default service config among the options names Policy, by which elements
// choose hosts.
func Dial(service string, options ...Option) []grpc.DialOption {
	return endOf(service, false, options).dialOptions()
}

func (e *end) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(e.unaryClient),
		grpc.WithChainStreamInterceptor(e.streamClient),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"` + Policy + `": {}}]}`),
	}
}

// Serve gives the options of a server: calls to the service pass the chains of its edges on the server's side.
func Serve(service string, options ...Option) []grpc.ServerOption {
	e := endOf(service, true, options)
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(e.unaryServer),
		grpc.ChainStreamInterceptor(e.streamServer),
	}
}

func endOf(service string, server bool, options []Option) *end {
	s := settings{
		control: os.Getenv("APPNET_CONTROL"), instance: os.Getenv("APPNET_NODE"), kept: os.Getenv("APPNET_KEEP"),
		application: os.Getenv("APPNET_APPLICATION"), patience: usualPatience,
	}
	if file := os.Getenv("APPNET_TOKEN"); file != "" {
		TokenFile(file)(&s)
	}
	if keys := os.Getenv("APPNET_TRUSTED_KEYS"); keys != "" {
		s.keys = strings.Split(keys, ",")
	}
	for _, it := range options {
		it(&s)
	}
	err := s.complete()
	e := newEnd(service, server, s)
	every.mu.Lock()
	every.ends = append(every.ends, e)
	every.mu.Unlock()
	switch {
	case err != nil:
		e.fail(err)
		e.complain()
		return e
	case s.files != nil:
		e.embedded()
	case s.control != "":
		e.fail(errors.New("the control plane at " + s.control + " has not said what to run"))
		go e.follow()
	default:
		e.fail(errNowhere)
		e.complain()
		return e
	}
	go e.sendRecords()
	return e
}

// every end of the program, for Close.
var every struct {
	mu   sync.Mutex
	ends []*end
}

// Close is for the end of a program, when no call is under way any more: it merges shared state that is not merged yet, and sends
// the last telemetry. Calls that come all the same do not wait for the store.
func Close() {
	every.mu.Lock()
	defer every.mu.Unlock()
	for _, it := range every.ends {
		it.close()
	}
}

// complete reads what the settings only name.
func (s *settings) complete() (err error) {
	if s.trusted, err = trustedKeys(s.keys); err != nil {
		return err
	}
	if file := os.Getenv("APPNET_CA"); s.tls == nil && file != "" {
		s.tls, err = authorityIn(file)
	}
	return err
}

// authorityIn trusts the control plane that has its certificate from the authority in a file.
func authorityIn(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("$APPNET_CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("$APPNET_CA: there is no certificate in %s, in PEM", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// fail notes why there is no version.
func (e *end) fail(err error) { e.wrong.Store(&err) }

// complain says at the start what will not change while the program runs, where calls are not to pass without chains.
func (e *end) complain() {
	if err := e.wrong.Load(); err != nil && !e.options.open {
		complain(e.service + " has no chains: " + (*err).Error())
	}
}

var errNowhere = errors.New("neither $APPNET_CONTROL nor files of the program say where they are: " +
	"start the program with the variables that `appnetctl serve` prints")

const suffix = ".chains"

// embedded uses the chains in files.
func (e *end) embedded() {
	found, err := e.readParts(e.options.files, len(e.options.trusted) > 0, func(err error) error { return err })
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no file of the program has any for %s", e.service)
	}
	var v *version
	if err == nil {
		v, err = e.versionOf(versions(found))
	}
	if err != nil {
		e.fail(err)
		e.complain()
		return
	}
	e.use(v)
}

// readParts are the versions in files that concern this end, the last of each node. broken decides what comes of a file that
// cannot be used.
func (e *end) readParts(files fs.FS, verified bool, broken func(error) error) (map[string]nodePart, error) {
	found := map[string]nodePart{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			return broken(err)
		case entry.IsDir() || !strings.HasSuffix(name, suffix):
			return nil
		}
		it, err := e.readPart(files, name, verified)
		if err != nil {
			return broken(fmt.Errorf("%s: %w", path.Base(name), err))
		}
		// A copy of an older file is not what was kept last, whatever its name.
		if before, ok := found[it.version.Node]; e.concerns(it.version) && (!ok || before.signed.Made <= it.signed.Made) {
			found[it.version.Node] = it
		}
		return nil
	})
	return found, err
}

func (e *end) readPart(files fs.FS, name string, verified bool) (nodePart, error) {
	bytes, err := fs.ReadFile(files, name)
	if err != nil {
		return nodePart{}, err
	}
	signed := &control.SignedVersion{}
	if err := proto.Unmarshal(bytes, signed); err != nil {
		return nodePart{}, fmt.Errorf("it is no file of chains: %w", err)
	}
	return e.opened(signed, verified)
}

// concerns says whether a version is for this end.
func (e *end) concerns(it *control.Version) bool {
	if it.AtServer {
		return e.server && it.Server == e.service
	}
	return !e.server && it.Client == e.service
}
