package appnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

// Release is that of AppNet that the module is part of.
const Release = "0.2.0"

const (
	followMethod = "/appnet.library.v1.Library/Follow"
	leastPause   = 100 * time.Millisecond
	mostPause    = 5 * time.Second
	// How long the control plane may take to say something that can be used before a version that was kept is started with.
	keptAfter = 2 * time.Second
	// How often a control plane that says nothing is asked whether it is there.
	aliveEvery = 20 * time.Second
)

// live is an end that follows a control plane.
type live struct {
	*end
	mu    sync.Mutex
	parts map[string]nodePart // what the control plane has told last, or was kept, and what runs, by node
	last  latest
}

// follow keeps an end at what the control plane says, for as long as the process lives.
func (e *end) follow() {
	l := &live{end: e, parts: map[string]nodePart{}, last: newLatest(e.options.application)}
	took := make(chan struct{})
	var once sync.Once
	go l.startFrom(l.kept(), took)
	told := ""
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		err := l.session(func() {
			pause, told = leastPause, ""
			once.Do(func() { close(took) })
		})
		err = fmt.Errorf("the control plane at %s: %s", e.options.control, why(err))
		e.fail(err)
		if text := err.Error(); text != told {
			complain(text)
			told = text
		}
		time.Sleep(pause)
	}
}

// why is what somebody who reads the error of a connection can do something about.
func why(err error) string {
	if errors.Is(err, io.EOF) {
		return "it has ended the connection"
	}
	if it, ok := status.FromError(err); ok {
		return it.Message()
	}
	return err.Error()
}

func (l *live) credentials() credentials.TransportCredentials {
	if l.options.tls == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(l.options.tls)
}

// bearer shows a token, which is asked for anew for each connection.
type bearer struct {
	text func() (string, error)
}

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := b.text()
	if err != nil {
		return nil, status.Errorf(codes.Unauthenticated, "the program's token cannot be had: %v", err)
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// Whether a token may travel is known before: see dialled.
func (bearer) RequireTransportSecurity() bool { return false }

var errOpenToken = errors.New("a token is sent by TLS alone, or to an address of this machine: set APPNET_CA, or pass appnet.TLS")

func (l *live) dialled() (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(l.credentials()), grpc.WithNoProxy(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: aliveEvery, Timeout: aliveEvery}),
	}
	if l.options.token != nil {
		if l.options.tls == nil && !isLocal(l.options.control) {
			return nil, errOpenToken
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer{l.options.token}))
	}
	return grpc.NewClient("passthrough:///"+l.options.control, options...)
}

func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// session is one connection; it ends with an error. took hears of each version that is taken.
func (l *live) session(took func()) error {
	conn, err := l.dialled()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := conn.NewStream(ctx, desc, followMethod, grpc.MaxCallRecvMsgSize(maxVersion))
	if err != nil {
		return err
	}
	// Where the stream is over already, receiving says why.
	if err := stream.SendMsg(l.introduction()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		told := &control.SignedVersion{}
		if err := stream.RecvMsg(told); err != nil {
			return err
		}
		answer := l.report()
		it, err := l.opened(told, true)
		if err == nil {
			answer.Node, answer.Version = it.version.Node, it.version.Id
			err = l.take(it)
		} else {
			// Whom it is for is not known for sure: whoever sent it may know what this end has refused.
			unsure := &control.Version{}
			if proto.Unmarshal(told.Version, unsure) == nil {
				answer.Node, answer.Version = unsure.Node, unsure.Id
			}
		}
		if err != nil {
			answer.Error = err.Error()
			refused := "a version is refused: " + answer.Error
			l.fail(fmt.Errorf("the control plane at %s: %s", l.options.control, refused))
			complain(refused)
		} else {
			answer.Accepted = true
			took()
			l.keep(it)
		}
		if err := stream.SendMsg(answer); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

const maxVersion = 64 << 20

func (l *live) report() *control.Report {
	host, _ := os.Hostname()
	return &control.Report{
		Instance: l.options.instance, Service: l.service, Server: l.server,
		Machine: runtime.GOARCH, Release: Release, Host: host,
	}
}

// introduction is the first report, which says what runs already.
func (l *live) introduction() *control.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.report()
	for _, node := range slices.Sorted(maps.Keys(l.parts)) {
		first.Running = append(first.Running, l.parts[node].running())
	}
	return first
}

// take makes what the control plane says run, or says why it cannot: then what ran goes on.
func (l *live) take(told nodePart) error {
	if !l.concerns(told.version) {
		return fmt.Errorf("it is for %s", told.version.Node)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.last.admits(told); err != nil {
		return err
	}
	parts := maps.Clone(l.parts)
	parts[told.version.Node] = told
	v, err := l.versionOf(versions(parts))
	if err != nil {
		return err
	}
	l.parts = parts
	l.last.note(told)
	l.use(v)
	return nil
}

func complain(text string) { fmt.Fprintln(os.Stderr, "appnet: "+text) }

// ---- telemetry

const recordsEvery = time.Second

// sendRecords brings what chains tell to the receiver, for as long as the process lives.
func (e *end) sendRecords() {
	for range time.Tick(recordsEvery) {
		setWall()
		e.flush(false)
	}
}

// flush sends what chains have to tell so far, also those of versions before that calls still pass.
func (e *end) flush(last bool) {
	chains := e.before.passed()
	if v := e.current.Load(); v != nil {
		chains = append(chains, v.chains...)
	}
	for _, it := range chains {
		at, wall := it.time()
		flush(it.instance, it.records, at, wall, last)
		runtime.KeepAlive(it)
	}
}

// close ends what the end shares with others.
func (e *end) close() {
	if v := e.current.Load(); v != nil {
		for _, it := range v.chains {
			if it.carrier != nil {
				it.carrier.close()
			}
		}
	}
	e.flush(true)
}

// flush sends records, spans and counts of an instance; the last time, counts even if that was just done.
func flush(instance *object.Instance, receiver string, at, wall uint64, last bool) {
	if receiver == "" {
		return
	}
	post(receiver, logs, instance.Records(at, wall))
	if told, count := instance.Spans(at, wall); count > 0 && !post(receiver, spans, told) {
		instance.SpansLost(count)
	}
	post(receiver, metrics, instance.Metrics(at, wall, last))
}

var poster = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}

// Where OTLP has them.
const (
	logs    = "/v1/logs"
	spans   = "/v1/traces"
	metrics = "/v1/metrics"
)

// post sends telemetry to a receiver, once: it is theirs to be there. Whether they took it.
func post(receiver, path string, telemetry []byte) bool {
	if len(telemetry) == 0 {
		return true
	}
	answer, err := poster.Post("http://"+receiver+path, "application/x-protobuf", bytes.NewReader(telemetry))
	if err != nil {
		complain("telemetry is lost: " + err.Error())
		return false
	}
	answer.Body.Close()
	return answer.StatusCode/100 == 2
}
