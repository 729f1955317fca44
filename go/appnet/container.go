package appnet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// What a chain was built to is a container with code for several machines:
//
//	"appnet\x00\x01" | u32 count | count times: u8 length, name of the machine, SHA-256, u32 size | the code of each
//
// little-endian, and nothing behind it.
const containerMagic = "appnet\x00\x01"

var errContainer = errors.New("not the code of a chain")

// codeFor is the code for a machine, which is what its hash says.
func codeFor(container []byte, machine string) ([]byte, error) {
	rest, ok := cut(&container, len(containerMagic))
	if !ok || string(rest) != containerMagic {
		return nil, errContainer
	}
	count, ok := cut(&container, 4)
	if !ok {
		return nil, errContainer
	}
	type part struct {
		name string
		hash [sha256.Size]byte
		size int
	}
	var parts []part
	for range min(binary.LittleEndian.Uint32(count), 64) {
		length, ok := cut(&container, 1)
		if !ok {
			return nil, errContainer
		}
		name, ok1 := cut(&container, int(length[0]))
		hash, ok2 := cut(&container, sha256.Size)
		size, ok3 := cut(&container, 4)
		if !ok1 || !ok2 || !ok3 {
			return nil, errContainer
		}
		parts = append(parts, part{string(name), [sha256.Size]byte(hash), int(binary.LittleEndian.Uint32(size))})
	}
	var found []byte
	var there []string
	for _, it := range parts {
		code, ok := cut(&container, it.size)
		if !ok {
			return nil, errContainer
		}
		there = append(there, it.name)
		if it.name != machine {
			continue
		}
		if sha256.Sum256(code) != it.hash {
			return nil, fmt.Errorf("its code for %s is not what its hash says", machine)
		}
		found = code
	}
	if len(container) > 0 {
		return nil, errContainer
	}
	if found == nil {
		return nil, fmt.Errorf("it has no code for %s, only for %v", machine, there)
	}
	return found, nil
}

func cut(from *[]byte, size int) ([]byte, bool) {
	if size < 0 || size > len(*from) {
		return nil, false
	}
	part := (*from)[:size]
	*from = (*from)[size:]
	return part, true
}
