//go:build linux && (amd64 || arm64)

package object

import (
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

//go:noescape
func call(fn, a, b, c, d, stack uintptr) uintptr

const (
	stackSize = 256 << 10
	guardSize = pageSize
	// A signal that comes as the stack changes may look above it for an address to return to.
	stackHead = 64
)

// stack is memory that C runs on, with pages below it that nobody can touch.
type stack struct{ top uintptr }

var stacks = sync.Pool{New: func() any {
	memory, err := mapStack()
	// What the pool let go is unmapped only after a garbage collection, and the kernel limits how many mappings there are.
	for tries := 0; err != nil && tries < 100; tries++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		memory, err = mapStack()
	}
	if err != nil {
		panic("appnet: no memory for a stack: " + err.Error())
	}
	s := &stack{uintptr(unsafe.Pointer(unsafe.SliceData(memory))) + guardSize + stackSize - stackHead}
	runtime.AddCleanup(s, func(memory []byte) { _ = syscall.Munmap(memory) }, memory)
	return s
}}

func mapStack() ([]byte, error) {
	memory, err := syscall.Mmap(-1, 0, guardSize+stackSize, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	if err := syscall.Mprotect(memory[:guardSize], syscall.PROT_NONE); err != nil {
		_ = syscall.Munmap(memory)
		return nil, err
	}
	return memory, nil
}

// call4 calls a C function. It cannot be interrupted meanwhile: a garbage collection waits for it.
func call4(fn, a, b, c, d uintptr) uintptr {
	s := stacks.Get().(*stack)
	result := call(fn, a, b, c, d, s.top)
	stacks.Put(s)
	return result
}
