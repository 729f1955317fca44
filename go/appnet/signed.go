package appnet

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

// What is signed of a version begins with this, so that a signature of anything else is none of a version.
const signedDomain = "AppNet library version 2\n"

// signedForm is that of signed versions that this release reads, on their way and in files.
const signedForm = 2

const mostTrusted = 8

// nodePart is all that an end runs of a node, as it came.
type nodePart struct {
	version *control.Version
	signed  *control.SignedVersion
}

func (p nodePart) running() *control.Running {
	digest := sha256.Sum256(p.signed.Version)
	return &control.Running{Node: p.version.Node, Version: p.version.Id, Digest: digest[:]}
}

// versions are those of parts, by the names of their nodes.
func versions(parts map[string]nodePart) []*control.Version {
	var found []*control.Version
	for _, node := range slices.Sorted(maps.Keys(parts)) {
		found = append(found, parts[node].version)
	}
	return found
}

// trustedKeys reads public keys.
func trustedKeys(texts []string) ([]ed25519.PublicKey, error) {
	var found []ed25519.PublicKey
	for _, it := range texts {
		key, err := hex.DecodeString(strings.TrimSpace(it))
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("nobody is trusted here: %.70q in APPNET_TRUSTED_KEYS is no public key of Ed25519, as 64 hexadecimal digits", it)
		}
		if isWeak(key) {
			return nil, fmt.Errorf("nobody is trusted here: anybody could sign for %.70q in APPNET_TRUSTED_KEYS, which stands in the place of a key", it)
		}
		found = append(found, key)
	}
	if len(found) > mostTrusted {
		return nil, fmt.Errorf("nobody is trusted here: APPNET_TRUSTED_KEYS has more than %d keys", mostTrusted)
	}
	return found, nil
}

// isWeak says whether a key is a point of small order, such as zeros that stand for a key to come: for these, signatures are
// there without any private key. They are all that have one of these y, also where it is not reduced.
func isWeak(key ed25519.PublicKey) bool {
	y := slices.Clone(key)
	y[31] &= 0x7f // the rest is the sign of x
	switch hex.EncodeToString(y) {
	case strings.Repeat("00", 32), "01" + strings.Repeat("00", 31),
		"ec" + strings.Repeat("ff", 30) + "7f", "ed" + strings.Repeat("ff", 30) + "7f", "ee" + strings.Repeat("ff", 30) + "7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a":
		return true
	}
	return false
}

var (
	errNobodyTrusted = errors.New("no version is trusted here: start the program with the public key of its control plane in APPNET_TRUSTED_KEYS")
	errNotTrusted    = errors.New("it is signed by none of the keys in APPNET_TRUSTED_KEYS: the program needs the public key of the control plane that sends it")
	errOldForm       = errors.New("it was made by an older AppNet, without its application and its time, by which a version is told from one that is sent again: let this release make it anew")
)

// signedText is what a signature of a version is of.
func signedText(it *control.SignedVersion) []byte {
	text := binary.BigEndian.AppendUint64([]byte(signedDomain), it.Made)
	return append(text, it.Version...)
}

// opened reads a version. Where it has to be verified, nothing of it is looked into before.
func (e *end) opened(signed *control.SignedVersion, verified bool) (nodePart, error) {
	switch {
	case signed.Form > signedForm:
		return nodePart{}, fmt.Errorf("it is of form %d, and this release of AppNet reads %d: build the program with a newer one", signed.Form, signedForm)
	case signed.Form < signedForm:
		return nodePart{}, errOldForm
	}
	if verified {
		if len(e.options.trusted) == 0 {
			return nodePart{}, errNobodyTrusted
		}
		text := signedText(signed)
		isSigner := func(key ed25519.PublicKey) bool { return ed25519.Verify(key, text, signed.Signature) }
		if !slices.ContainsFunc(e.options.trusted, isSigner) {
			return nodePart{}, errNotTrusted
		}
	}
	version := &control.Version{}
	if err := proto.Unmarshal(signed.Version, version); err != nil {
		return nodePart{}, fmt.Errorf("it cannot be read: %w", err)
	}
	return nodePart{version, signed}, nil
}
