// Package object opens chains: shared objects that need neither a C library nor a dynamic linker. It checks all of a file
// before any of it runs, keeps code and what can be written apart, and calls C on stacks of its own, without cgo.
package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Numbers of the ELF format that a chain's file uses.
const (
	elfHeader     = 64
	programHeader = 56

	typeShared = 3
	ptLoad     = 1
	ptDynamic  = 2
	ptInterp   = 3
	ptTLS      = 7
	ptRelro    = 0x6474e552

	canExecute = 1
	canWrite   = 2

	dtNull    = 0
	dtNeeded  = 1
	dtPltRel  = 2
	dtRela    = 7
	dtRelaSz  = 8
	dtRelaEnt = 9
	dtInit    = 12
	dtFini    = 13
	dtRel     = 17
	dtJmpRel  = 23
	dtInitArr = 25
	dtFiniArr = 26
	dtPreinit = 32
	dtRelr    = 36

	relaSize = 24
)

// pageSize is the largest that Linux has: segments that share no page of this size share none anywhere.
const pageSize = 1 << 16

// maxImage bounds what a file may ask for: chains have tens of kilobytes.
const maxImage = 64 << 20

type segment struct {
	from, to uint64 // in the image
	file     []byte // what it begins with; zero behind it
	flags    uint32
	sealed   bool // read-only once it has been relocated
}

func (s segment) writable() bool   { return s.flags&canWrite != 0 }
func (s segment) executable() bool { return s.flags&canExecute != 0 }

// layout is a file that has been read and checked: what goes where in memory.
type layout struct {
	size     uint64
	entry    uint64
	segments []segment
	relative []relocation
}

type relocation struct{ at, value uint64 }

var errTruncated = errors.New("the file ends early")

// readLayout checks a file for this machine: that all it names lies within it, that no page is both written and run, and
// that it asks for nothing but to be moved.
func readLayout(file []byte, machine, relative uint32) (*layout, error) {
	if len(file) < elfHeader {
		return nil, errTruncated
	}
	le := binary.LittleEndian
	if string(file[:7]) != "\x7fELF\x02\x01\x01" {
		return nil, errors.New("not an object file of 64 bits")
	}
	if le.Uint16(file[16:]) != typeShared {
		return nil, errors.New("not a shared object")
	}
	if found := uint32(le.Uint16(file[18:])); found != machine {
		return nil, fmt.Errorf("for another machine (%d)", found)
	}
	at, count := le.Uint64(file[32:]), uint64(le.Uint16(file[56:]))
	if le.Uint16(file[54:]) != programHeader || at > uint64(len(file)) || count*programHeader > uint64(len(file))-at {
		return nil, errTruncated
	}
	l := &layout{entry: le.Uint64(file[24:])}
	var dynamic []byte
	var sealed [2]uint64
	for i := range count {
		header := file[at+i*programHeader:]
		kind, flags := le.Uint32(header), le.Uint32(header[4:])
		offset, from, inFile, inMemory := le.Uint64(header[8:]), le.Uint64(header[16:]), le.Uint64(header[32:]), le.Uint64(header[40:])
		if kind == ptInterp || kind == ptTLS {
			return nil, errors.New("needs a dynamic linker")
		}
		if kind != ptLoad && kind != ptDynamic && kind != ptRelro {
			continue
		}
		if from > maxImage || inMemory > maxImage || inFile > inMemory {
			return nil, errors.New("a segment is too large")
		}
		if kind == ptRelro {
			sealed = [2]uint64{from, from + inMemory}
			continue
		}
		if offset > uint64(len(file)) || inFile > uint64(len(file))-offset {
			return nil, errTruncated
		}
		if kind == ptDynamic {
			dynamic = file[offset : offset+inFile]
			continue
		}
		l.segments = append(l.segments, segment{from, from + inMemory, file[offset : offset+inFile], flags, false})
	}
	for i := range l.segments {
		s := &l.segments[i]
		s.sealed = s.writable() && s.from >= sealed[0] && s.to <= sealed[1]
	}
	if err := l.arrange(); err != nil {
		return nil, err
	}
	if err := l.readDynamic(dynamic, relative); err != nil {
		return nil, err
	}
	return l, nil
}

// arrange checks that segments stand apart, page by page, and how much memory they take.
func (l *layout) arrange() error {
	end := uint64(0)
	code := false
	for _, s := range l.segments {
		if s.writable() && s.executable() {
			return errors.New("a segment is both written and run")
		}
		if s.from < end {
			return errors.New("segments overlap")
		}
		end = roundUp(s.to)
		code = code || s.executable()
	}
	if !code || end == 0 || end > maxImage {
		return errors.New("no code in it")
	}
	l.size = end
	return nil
}

func roundUp(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// segmentOf is the segment that has all of these bytes, or nil.
func (l *layout) segmentOf(at, size uint64) *segment {
	for i := range l.segments {
		s := &l.segments[i]
		if at >= s.from && at <= s.to && size <= s.to-at {
			return s
		}
	}
	return nil
}

func (l *layout) readDynamic(entries []byte, relative uint32) error {
	var table, size, each uint64
	each = relaSize
	for ; len(entries) >= 16; entries = entries[16:] {
		tag, value := binary.LittleEndian.Uint64(entries), binary.LittleEndian.Uint64(entries[8:])
		switch tag {
		case dtNull:
			return l.readRelocations(table, size, each, relative)
		case dtRela:
			table = value
		case dtRelaSz:
			size = value
		case dtRelaEnt:
			each = value
		case dtNeeded:
			return errors.New("needs other libraries")
		case dtPltRel, dtRel, dtJmpRel, dtRelr, dtInit, dtFini, dtInitArr, dtFiniArr, dtPreinit:
			return fmt.Errorf("asks a dynamic linker for what a chain needs not (%d)", tag)
		}
	}
	return errors.New("its list of what to move has no end")
}

func (l *layout) readRelocations(table, size, each uint64, relative uint32) error {
	if each != relaSize || size%relaSize != 0 {
		return errors.New("relocations of another size")
	}
	if size == 0 {
		return errors.New("nothing in it leads anywhere")
	}
	s := l.segmentOf(table, size)
	if s == nil || table-s.from > uint64(len(s.file)) || size > uint64(len(s.file))-(table-s.from) {
		return errors.New("relocations lie outside")
	}
	data := s.file[table-s.from:][:size]
	for ; len(data) > 0; data = data[relaSize:] {
		at, info, value := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
		if info != uint64(relative) {
			return fmt.Errorf("a relocation of another kind (%#x)", info)
		}
		if place := l.segmentOf(at, 8); place == nil || !place.writable() || at%8 != 0 || at > math.MaxInt32 {
			return fmt.Errorf("a relocation changes what is not data (%#x)", at)
		}
		if l.segmentOf(value, 0) == nil {
			return fmt.Errorf("a relocation leads out of the file (%#x)", value)
		}
		l.relative = append(l.relative, relocation{at, value})
	}
	return nil
}
