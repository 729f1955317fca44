package appnet

import (
	"context"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

const binarySuffix = "-bin"

// offer shows a map of metadata to the chain. What is binary appears as on the wire, as base64.
func offer(c *object.Call, which int, md metadata.MD) {
	for key, values := range md {
		for _, it := range values {
			c.AddMetadata(which, key, toWire(key, it))
		}
	}
}

// offerNew adds what gRPC has on the wire, where the library does not tell it.
func offerNew(c *object.Call, which int, md metadata.MD, key, value string) {
	if _, there := md[key]; !there {
		c.AddMetadata(which, key, value)
	}
}

// withEdits does to a map what handlers did; md is nil or nobody else's. The result is nil where nothing was changed and there
// was nothing.
func withEdits(edits []object.Edit, which int, md metadata.MD) metadata.MD {
	for _, it := range edits {
		switch {
		case it.Map != which:
		case it.Removes:
			delete(md, it.Key)
		default:
			if md == nil {
				md = metadata.MD{}
			}
			md[it.Key] = []string{fromWire(it.Key, it.Value)}
		}
	}
	return md
}

// edit does so with what handlers did in the last event.
func edit(c *object.Call, which int, md metadata.MD) metadata.MD {
	edits, _ := c.Edits()
	return withEdits(edits, which, md)
}

func toWire(key, value string) string {
	if !strings.HasSuffix(key, binarySuffix) {
		return value
	}
	return base64.RawStdEncoding.EncodeToString([]byte(value))
}

func fromWire(key, value string) string {
	if !strings.HasSuffix(key, binarySuffix) {
		return value
	}
	bytes, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return value
	}
	return string(bytes)
}

// entriesOf are the metadata of a refusal or an answer.
func entriesOf(list func(each func(key, value string))) metadata.MD {
	var md metadata.MD
	list(func(key, value string) {
		if md == nil {
			md = metadata.MD{}
		}
		md[key] = append(md[key], fromWire(key, value))
	})
	return md
}

// ---- requests

// offerRequest shows what the chain may ask for of a request. incoming says on which side of the wire this is.
func (m *method) offerRequest(ctx context.Context, c *object.Call, cc *grpc.ClientConn, opts []grpc.CallOption) {
	wants := m.chain.wants
	m.offerContext(ctx, c, &m.Request)
	if wants&(object.WantsRequestMetadata|object.WantsAuthority|object.WantsTimeout|object.WantsPeer) == 0 {
		return
	}
	server := m.chain.server
	if wants&object.WantsRequestMetadata != 0 {
		var md metadata.MD
		if server {
			md, _ = metadata.FromIncomingContext(ctx)
		} else {
			md, _ = metadata.FromOutgoingContext(ctx)
		}
		offer(c, object.RequestMetadata, md)
		offerNew(c, object.RequestMetadata, md, "content-type", "application/grpc")
		offerNew(c, object.RequestMetadata, md, "te", "trailers")
	}
	if !server || wants&object.WantsRequestMetadata == 0 {
		m.offerAuthority(ctx, c, cc, opts)
	}
	if deadline, ok := ctx.Deadline(); ok && wants&object.WantsTimeout != 0 {
		c.AddMetadata(object.RequestMetadata, "grpc-timeout", timeoutText(time.Until(deadline)))
	}
	if server && wants&object.WantsPeer != 0 {
		c.SetPeer(identity(ctx))
	}
}

// remind shows at an event of the response what may be asked for of the request.
func (m *method) remind(ctx context.Context, c *object.Call, cc *grpc.ClientConn, opts []grpc.CallOption) {
	m.offerAuthority(ctx, c, cc, opts)
	m.offerContext(ctx, c, &m.Response)
}

// offerAuthority shows the host that the caller addressed, which may be asked for at any event.
func (m *method) offerAuthority(ctx context.Context, c *object.Call, cc *grpc.ClientConn, opts []grpc.CallOption) {
	switch {
	case m.chain.wants&object.WantsAuthority == 0:
	case m.chain.server:
		for _, it := range metadata.ValueFromIncomingContext(ctx, ":authority") {
			c.AddMetadata(object.RequestMetadata, ":authority", it)
		}
	default:
		c.AddMetadata(object.RequestMetadata, ":authority", authority(cc, opts))
	}
}

// authority is what the request will name as its host.
func authority(cc *grpc.ClientConn, opts []grpc.CallOption) string {
	for _, it := range opts {
		if set, ok := it.(grpc.AuthorityOverrideCallOption); ok {
			return set.Authority
		}
	}
	if cc == nil {
		return ""
	}
	target := cc.Target()
	if u, err := url.Parse(target); err == nil && u.Scheme != "" && (u.Path != "" || u.Opaque != "") {
		target = strings.TrimPrefix(u.Path+u.Opaque, "/")
	}
	return target
}

// timeoutText is a time as grpc-timeout has it: at most eight digits.
func timeoutText(left time.Duration) string {
	units := []struct {
		letter string
		size   time.Duration
	}{{"n", 1}, {"u", time.Microsecond}, {"m", time.Millisecond}, {"S", time.Second}, {"H", time.Hour}}
	left = max(left, 0)
	for _, it := range units {
		if count := int64(left / it.size); count < 1e8 {
			return strconv.FormatInt(count, 10) + it.letter
		}
	}
	return "99999999H"
}

// identity is who the caller proved to be by mutual TLS: the first URI of its certificate, or the first name, or its
// subject.
func identity(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 || len(info.State.VerifiedChains) == 0 {
		return ""
	}
	certificate := info.State.PeerCertificates[0]
	switch {
	case len(certificate.URIs) > 0:
		return certificate.URIs[0].String()
	case len(certificate.DNSNames) > 0:
		return certificate.DNSNames[0]
	}
	return certificate.Subject.String()
}

// requestContext is the context that a request goes on with.
func (m *method) requestContext(ctx context.Context, c *object.Call) context.Context {
	if !c.Frame().Edited() {
		return ctx
	}
	if m.chain.server {
		md, _ := metadata.FromIncomingContext(ctx) // a copy
		return metadata.NewIncomingContext(ctx, edit(c, object.RequestMetadata, md))
	}
	return m.outgoingContext(ctx, c)
}

// ---- responses

// offerResponse shows what the chain may ask for of a response.
func (m *method) offerResponse(c *object.Call, header, trailer metadata.MD) {
	if m.chain.wants&object.WantsResponseMetadata == 0 {
		return
	}
	offer(c, object.ResponseMetadata, header)
	offerNew(c, object.ResponseMetadata, header, "content-type", "application/grpc")
	offer(c, object.ResponseTrailers, trailer)
}

// tell gives the caller's own options the metadata of a response as the chain made them.
func tell(opts []grpc.CallOption, header, trailer metadata.MD) {
	for _, it := range opts {
		switch option := it.(type) {
		case grpc.HeaderCallOption:
			*option.HeaderAddr = header
		case grpc.TrailerCallOption:
			*option.TrailerAddr = trailer
		}
	}
}

// borrowed is bytes as a text that shares their memory.
func borrowed(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }
