package engine

import "github.com/tetratelabs/wazero/experimental"

// allocator gives modules memory that grows where it is: what wazero does by itself is to copy it to the garbage collector's.
var allocator = experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
	return &memory{most: most}
})

// memory is that of a module. All that it may have is set apart; the system gives what is used.
type memory struct {
	most uint64
	all  []byte
}

func (m *memory) Reallocate(size uint64) []byte {
	if m.all == nil && size > 0 {
		m.all = reserve(m.most)
	}
	if size > uint64(len(m.all)) {
		return nil
	}
	return m.all[:size:size]
}

func (m *memory) Free() {
	if m.all != nil {
		giveBack(m.all)
		m.all = nil
	}
}
