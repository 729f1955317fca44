//go:build linux && (amd64 || arm64)

package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Image is a file in memory: its code can be run but not written, its data written but not run, and what relocation alone
// changes is read-only.
type Image struct {
	layout *layout
	memory []byte
	base   uintptr
}

// open maps a file that has been checked.
func open(file []byte) (*Image, error) {
	l, err := readLayout(file, elfMachine, relativeKind)
	if err != nil {
		return nil, err
	}
	code, err := codeFile(l)
	if err != nil {
		return nil, fmt.Errorf("no memory for its code: %w", err)
	}
	defer syscall.Close(code)
	memory, err := syscall.Mmap(-1, 0, int(l.size), syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("no memory for it: %w", err)
	}
	i := &Image{layout: l, memory: memory, base: uintptr(unsafe.Pointer(unsafe.SliceData(memory)))}
	if err := i.fill(code); err != nil {
		_ = syscall.Munmap(memory)
		return nil, err
	}
	return i, nil
}

// codeFile is a file in memory that has all segments at their places, and that nobody can change any more. Code is mapped
// from it: some systems forbid to run what could once be written.
func codeFile(l *layout) (int, error) {
	const closeOnExec, allowSealing = 1, 2
	const addSeals, sealAll = 1033, 1 | 2 | 4 | 8
	name := [...]byte{'a', 'p', 'p', 'n', 'e', 't', 0}
	number, _, e := syscall.Syscall(sysMemfdCreate, uintptr(unsafe.Pointer(&name[0])), closeOnExec|allowSealing, 0)
	if e != 0 {
		return 0, e
	}
	fd := int(number)
	for _, s := range l.segments {
		if _, err := syscall.Pwrite(fd, s.file, int64(s.from)); err != nil {
			syscall.Close(fd)
			return 0, err
		}
	}
	if err := syscall.Ftruncate(fd, int64(l.size)); err != nil {
		syscall.Close(fd)
		return 0, err
	}
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, number, addSeals, sealAll) // older kernels do without
	return fd, nil
}

func (i *Image) fill(code int) error {
	own := uint64(os.Getpagesize())
	for _, s := range i.layout.segments {
		from, to := s.from&^(own-1), (s.to+own-1)&^(own-1)
		protection := syscall.PROT_READ
		switch {
		case s.executable():
			protection |= syscall.PROT_EXEC
		case s.writable():
			protection |= syscall.PROT_WRITE
		}
		_, _, e := syscall.Syscall6(syscall.SYS_MMAP, i.base+uintptr(from), uintptr(to-from), uintptr(protection),
			syscall.MAP_PRIVATE|syscall.MAP_FIXED, uintptr(code), uintptr(from))
		if e != 0 {
			return fmt.Errorf("its segments cannot be mapped: %w", e)
		}
	}
	for _, r := range i.layout.relative {
		binary.LittleEndian.PutUint64(i.memory[r.at:], uint64(i.base)+r.value)
	}
	for _, s := range i.layout.segments {
		if !s.sealed {
			continue
		}
		if err := syscall.Mprotect(i.memory[s.from&^(own-1):(s.to+own-1)&^(own-1)], syscall.PROT_READ); err != nil {
			return fmt.Errorf("its tables cannot be sealed: %w", err)
		}
	}
	return nil
}

func (i *Image) close() { _ = syscall.Munmap(i.memory) }

// at is the place of an address within the image; size bytes there have to be its own.
func (i *Image) at(address uintptr, size uint64) (uint64, error) {
	place := uint64(address - i.base)
	if address < i.base || i.layout.segmentOf(place, size) == nil {
		return 0, errOutside
	}
	return place, nil
}

// function is the address of code at this place of a table.
func (i *Image) function(address uintptr) (uintptr, error) {
	place := uint64(address - i.base)
	if s := i.layout.segmentOf(place, 1); address < i.base || s == nil || !s.executable() {
		return 0, errors.New("a function is no code")
	}
	return address, nil
}

func (i *Image) bytes(address uintptr, size uint64) ([]byte, error) {
	place, err := i.at(address, size)
	if err != nil {
		return nil, err
	}
	return i.memory[place : place+size], nil
}

// text is the C string at an address.
func (i *Image) text(address uintptr) (string, error) {
	place, err := i.at(address, 1)
	if err != nil {
		return "", err
	}
	s := i.layout.segmentOf(place, 1)
	for n := place; n < s.to; n++ {
		if i.memory[n] == 0 {
			return string(i.memory[place:n]), nil
		}
	}
	return "", errOutside
}
