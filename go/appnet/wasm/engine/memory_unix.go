//go:build unix

package engine

import "syscall"

// reserve sets memory apart, nil where there is none.
func reserve(size uint64) []byte {
	all, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return all
}

func giveBack(all []byte) { _ = syscall.Munmap(all) }
