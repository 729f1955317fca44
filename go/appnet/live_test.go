package appnet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

// signer signs what planes say.
var signerPublic, signer, _ = ed25519.GenerateKey(nil)

var clock atomic.Uint64

// signed is a version that was made now.
func signed(version *control.Version) *control.SignedVersion {
	return signedAt(version, clock.Add(1))
}

func signedAt(version *control.Version, made uint64) *control.SignedVersion {
	encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(version)
	it := &control.SignedVersion{Version: encoded, Form: signedForm, Made: made}
	it.Signature = ed25519.Sign(signer, signedText(it))
	return it
}

func trusted() Option { return Trust(hex.EncodeToString(signerPublic)) }

// plane is a control plane that says what a test wants.
type plane struct {
	address string
	server  *grpc.Server
	tell    chan *control.SignedVersion
	heard   chan *control.Report
	tokens  chan string
	wants   string // the only token that is let in, if any is wanted
}

func newPlane(t *testing.T, address string, options ...grpc.ServerOption) *plane {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{
		address: listener.Addr().String(), server: grpc.NewServer(options...),
		tell: make(chan *control.SignedVersion, 8), heard: make(chan *control.Report, 64), tokens: make(chan string, 64),
	}
	p.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "appnet.library.v1.Library", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Follow", ServerStreams: true, ClientStreams: true, Handler: p.follow}},
	}, struct{}{})
	go p.server.Serve(listener)
	t.Cleanup(p.server.Stop)
	return p
}

func (p *plane) follow(_ any, stream grpc.ServerStream) error {
	if md, _ := metadata.FromIncomingContext(stream.Context()); p.wants != "" {
		shown := strings.Join(md.Get("authorization"), ", ")
		p.tokens <- shown
		if shown != "Bearer "+p.wants {
			return status.Error(codes.Unauthenticated, "no token or certificate of a service account")
		}
	}
	go func() {
		for {
			report := &control.Report{}
			if stream.RecvMsg(report) != nil {
				return
			}
			p.heard <- report
		}
	}()
	for {
		select {
		case it := <-p.tell:
			if err := stream.SendMsg(it); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// says tells a version, and waits for the answer.
func (p *plane) says(t *testing.T, version *control.Version) *control.Report {
	t.Helper()
	return p.saysSigned(t, signed(version), version.Id)
}

func (p *plane) saysSigned(t *testing.T, version *control.SignedVersion, id string) *control.Report {
	t.Helper()
	p.tell <- version
	for {
		if report := p.hears(t); report.Version == id {
			return report
		}
	}
}

// hears is the next report.
func (p *plane) hears(t *testing.T) *control.Report {
	t.Helper()
	select {
	case report := <-p.heard:
		return report
	case <-time.After(20 * time.Second):
		t.Fatal("no report")
	}
	return nil
}

func TestFollows(t *testing.T) {
	kept := t.TempDir()
	p := newPlane(t, "127.0.0.1:0")
	calls, counts := part(t, "calls", false), part(t, "counts-b", false)
	counts.Node = calls.Node
	s := &service{}
	c := connected(t, s, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
	if first := p.hears(t); len(first.Running) > 0 || first.Host == "" {
		t.Fatal(first)
	}
	if report := p.says(t, calls); !report.Accepted || report.Service != "frontend" || report.Server || report.Node != calls.Node {
		t.Fatal(report)
	}
	_, err := c.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")

	// What cannot be used is refused with a reason, and what ran goes on.
	broken := part(t, "calls", false)
	broken.Id = "broken"
	broken.Chains[0].Code[len(broken.Chains[0].Code)/4] ^= 1
	if report := p.says(t, broken); report.Accepted || !strings.Contains(report.Error, "is not what its hash says") {
		t.Fatal(report)
	}
	other := part(t, "calls", true)
	other.Id = "other"
	if report := p.says(t, other); report.Accepted || !strings.Contains(report.Error, "it is for") {
		t.Fatal(report)
	}
	lie := part(t, "calls", false)
	lie.Id, lie.Chains[0].Version = "lie", "another"
	if report := p.says(t, lie); report.Accepted || !strings.Contains(report.Error, "its code is calls.client, version") {
		t.Fatal(report)
	}
	_, err = c.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")

	// The next version takes the place of the one before, also after the control plane was away: that is told what runs.
	p.server.Stop()
	if _, err := c.UnaryCall(within(t), request("hello")); err != nil {
		t.Fatal(err)
	}
	p = newPlane(t, p.address)
	digest := sha256.Sum256(signed(calls).Version)
	if first := p.hears(t); len(first.Running) != 1 || first.Running[0].Node != calls.Node || !bytes.Equal(first.Running[0].Digest, digest[:]) {
		t.Fatal(first)
	}
	if report := p.says(t, counts); !report.Accepted {
		t.Fatal(report)
	}
	if _, err := c.UnaryCall(within(t), request("refuse")); err != nil {
		t.Fatal(err)
	}
	p.server.Stop()

	// A process that starts meanwhile goes on with what was kept.
	files, _ := filepath.Glob(filepath.Join(kept, "*"))
	if len(files) != 1 || !strings.HasSuffix(files[0], suffix) {
		t.Fatal(files)
	}
	again := connected(t, s, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
	if _, err := again.UnaryCall(within(t), request("refuse")); err != nil {
		t.Fatal(err)
	}
	if got := s.seen.Load().Get("x-version"); len(got) != 1 || got[0] != "b" {
		t.Fatal(got)
	}

	// What was kept and then tampered with is not used.
	bytes, _ := os.ReadFile(files[0])
	bytes[len(bytes)/4] ^= 1
	if err := os.WriteFile(files[0], bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	third := connected(t, s, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept), Patience(3*time.Second)))
	_, err = third.UnaryCall(within(t), request("hello"))
	if err == nil || !strings.Contains(err.Error(), "frontend has no chains: the control plane at "+p.address) {
		t.Fatal(err)
	}
}

// A receiver of telemetry that swallows what is sent holds up no answer.
func TestAnswersBeforeTelemetryIsTaken(t *testing.T) {
	var given atomic.Int32 // posts that nobody waits for any more
	asked := make(chan struct{}, 64)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		asked <- struct{}{}
		<-q.Context().Done()
		given.Add(1)
	}))
	p := newPlane(t, "127.0.0.1:0")
	calls, counts := part(t, "calls", false), part(t, "counts-b", false)
	counts.Node, calls.Records = calls.Node, strings.TrimPrefix(receiver.URL, "http://")
	c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted()))
	for _, it := range []*control.Version{calls, counts} {
		if report := p.says(t, it); !report.Accepted {
			t.Fatal(report)
		}
		if _, err := c.UnaryCall(within(t), request("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if given.Load() > 0 {
		t.Error("the answer waited for a receiver of telemetry")
	}
	<-asked
}

// Nothing runs that nobody signed who is trusted, whatever the control plane says.
func TestTrusts(t *testing.T) {
	calls := part(t, "calls", false)
	genuine := signed(calls)
	_, stranger, _ := ed25519.GenerateKey(nil)
	text := signedText(genuine)
	later := proto.Clone(genuine).(*control.SignedVersion)
	later.Made++
	fewer := proto.Clone(calls).(*control.Version)
	fewer.Chains = nil
	renamed := proto.Clone(calls).(*control.Version)
	renamed.Chains[0].Name = "another"
	for name, it := range map[string]*control.SignedVersion{
		"unsigned":            {Version: genuine.Version, Form: signedForm, Made: genuine.Made},
		"by another":          {Version: genuine.Version, Signature: ed25519.Sign(stranger, text), Form: signedForm, Made: genuine.Made},
		"of something else":   {Version: genuine.Version, Signature: ed25519.Sign(signer, genuine.Version), Form: signedForm, Made: genuine.Made},
		"of the whole":        {Version: signed(fewer).Version, Signature: genuine.Signature, Form: signedForm, Made: genuine.Made},
		"of another chain":    {Version: signed(renamed).Version, Signature: genuine.Signature, Form: signedForm, Made: genuine.Made},
		"of another time":     later,
		"with a part missing": {Version: genuine.Version, Signature: genuine.Signature[:63], Form: signedForm, Made: genuine.Made},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlane(t, "127.0.0.1:0")
			c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Patience(100*time.Millisecond)))
			if report := p.saysSigned(t, it, calls.Id); report.Accepted || !strings.Contains(report.Error, "signed by none of the keys") {
				t.Fatal(report)
			}
			_, err := c.UnaryCall(within(t), request("hello"))
			code(t, err, codes.Unavailable, "appnet: frontend has no chains: the control plane at "+p.address+": a version is refused: "+errNotTrusted.Error())
		})
	}
	t.Run("nobody", func(t *testing.T) {
		p := newPlane(t, "127.0.0.1:0")
		connected(t, &service{}, nil, Dial("frontend", Control(p.address)))
		if report := p.says(t, calls); report.Accepted || !strings.Contains(report.Error, "no version is trusted here") {
			t.Fatal(report)
		}
	})
	t.Run("no key", func(t *testing.T) {
		c := connected(t, &service{}, nil, Dial("frontend", Control("127.0.0.1:1"), Trust("abc"), Patience(time.Millisecond)))
		_, err := c.UnaryCall(within(t), request("hello"))
		code(t, err, codes.Unavailable, `appnet: frontend has no chains: nobody is trusted here: "abc" in APPNET_TRUSTED_KEYS is no public key of Ed25519, as 64 hexadecimal digits`)
	})
	t.Run("by AppNet", func(t *testing.T) {
		file, err := os.ReadFile(filepath.Join(chainsFolder(t), "calls.client"+suffix))
		key, err2 := os.ReadFile(filepath.Join(chainsFolder(t), "trusted"))
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		files := fstest.MapFS{"a.chains": {Data: file}}
		right := connected(t, &service{}, nil, Dial("frontend", Embedded(files), Trust(string(key))))
		_, err = right.UnaryCall(within(t), request("refuse"))
		code(t, err, codes.Aborted, "refused")
		wrong := connected(t, &service{}, nil, Dial("frontend", Embedded(files), trusted(), Patience(time.Millisecond)))
		_, err = wrong.UnaryCall(within(t), request("hello"))
		if err == nil || !strings.Contains(err.Error(), "a.chains: it is signed by none of the keys") {
			t.Fatal(err)
		}
	})
}

// A token is read for each connection; who shows none gets nothing, and is told why.
func TestShowsItsToken(t *testing.T) {
	calls := part(t, "calls", false)
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("expired")
	t.Setenv("APPNET_TOKEN", file)
	p, another := newPlane(t, "127.0.0.1:0"), newPlane(t, "127.0.0.1:0")
	p.wants, another.wants = "fresh", "fresh"
	c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted()))
	hasty := connected(t, &service{}, nil, Dial("frontend", Control(another.address), trusted(), Patience(300*time.Millisecond)))
	_, err := hasty.UnaryCall(within(t), request("hello"))
	code(t, err, codes.Unavailable, "appnet: frontend has no chains: the control plane at "+another.address+": no token or certificate of a service account")
	if got := <-p.tokens; got != "Bearer expired" {
		t.Fatal(got)
	}
	write("fresh")
	p.tell <- signed(calls)
	_, err = c.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")

	far := connected(t, &service{}, nil, Dial("frontend", Control("192.0.2.1:18000"), Patience(100*time.Millisecond)))
	_, err = far.UnaryCall(within(t), request("hello"))
	code(t, err, codes.Unavailable, "appnet: frontend has no chains: the control plane at 192.0.2.1:18000: a token is sent by TLS alone, or to an address of this machine: set APPNET_CA, or pass appnet.TLS")
}

// By TLS it follows whoever has a certificate of the right authority, and for the right name.
func TestFollowsByTLS(t *testing.T) {
	calls := part(t, "calls", false)
	authority, pair := certified(t, "127.0.0.1")
	other, _ := certified(t, "127.0.0.1")
	_, misnamed := certified(t, "example.com")
	file := func(pem []byte) string {
		name := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(name, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	p := newPlane(t, "127.0.0.1:0", grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	t.Setenv("APPNET_CA", file(authority))
	c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted()))
	if report := p.says(t, calls); !report.Accepted {
		t.Fatal(report)
	}
	_, err := c.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")

	t.Setenv("APPNET_CA", file(other))
	wrong := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Patience(500*time.Millisecond)))
	if _, err = wrong.UnaryCall(within(t), request("hello")); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Fatal(err)
	}
	misplaced := newPlane(t, "127.0.0.1:0", grpc.Creds(credentials.NewServerTLSFromCert(&misnamed)))
	pool := x509.NewCertPool()
	leaf, _ := x509.ParseCertificate(misnamed.Certificate[1])
	pool.AddCert(leaf)
	named := connected(t, &service{}, nil, Dial("frontend", Control(misplaced.address), trusted(), TLS(&tls.Config{RootCAs: pool}), Patience(500*time.Millisecond)))
	if _, err = named.UnaryCall(within(t), request("hello")); err == nil || !strings.Contains(err.Error(), "cannot validate certificate for 127.0.0.1") {
		t.Fatal(err)
	}
	t.Setenv("APPNET_CA", file([]byte("nothing")))
	none := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Patience(time.Millisecond)))
	if _, err = none.UnaryCall(within(t), request("hello")); err == nil || !strings.Contains(err.Error(), "there is no certificate in") {
		t.Fatal(err)
	}
}

// certified is a new authority, as PEM, and a certificate of it for a host.
func certified(t *testing.T, host string) ([]byte, tls.Certificate) {
	now := time.Now()
	parent := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: parent.NotBefore, NotAfter: parent.NotAfter, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		leaf.DNSNames, leaf.IPAddresses = nil, []net.IP{ip}
	}
	parentPublic, parentKey, _ := ed25519.GenerateKey(nil)
	public, key, _ := ed25519.GenerateKey(nil)
	own, err := x509.CreateCertificate(rand.Reader, parent, parent, parentPublic, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.CreateCertificate(rand.Reader, leaf, parent, public, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own}), tls.Certificate{Certificate: [][]byte{encoded, own}, PrivateKey: key}
}

// A message that was written must be one that protobuf can encode.
func TestTextsAreUTF8(t *testing.T) {
	e := endWith(t, "text", false)
	s := &service{}
	c := connected(t, s, nil, clientOptions(e))
	_, err := c.UnaryCall(within(t), request("\xff\xfe"))
	code(t, err, codes.Internal, "appnet: an element wrote a text that is not UTF-8 into grpc.testing.SimpleResponse.username")
	answer, err := c.UnaryCall(within(t), request("plain"))
	if err != nil || answer.Username != "plain" {
		t.Fatal(answer, err)
	}
}
