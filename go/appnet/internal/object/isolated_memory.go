package object

import (
	"encoding/binary"
	"errors"
	"slices"
)

func (i *isolated) bytes(address uintptr, size uint64) ([]byte, error) {
	memory := i.module.Memory()
	if uint64(address) > uint64(len(memory)) || size > uint64(len(memory))-uint64(address) {
		return nil, errOutside
	}
	return memory[address : uint64(address)+size], nil
}

func (i *isolated) text(address uintptr) (string, error) {
	memory := i.module.Memory()
	if uint64(address) < uint64(len(memory)) {
		if size := slices.Index(memory[address:], 0); size >= 0 {
			return string(memory[address : uint64(address)+uint64(size)]), nil
		}
	}
	return "", errOutside
}

func (i *isolated) u32(address uint32) (uint32, error) {
	data, err := i.bytes(uintptr(address), 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(data), nil
}

// put brings bytes to where the module has room for them; where that is.
func (i *isolated) put(input []byte) (uint32, error) {
	if size := uint32(len(input)); size > i.roomSize || i.room == 0 {
		if i.room != 0 {
			if _, err := i.call(fnFree, i.room); err != nil {
				return 0, err
			}
		}
		i.room, i.roomSize = 0, max(size, 4096)
		found, err := i.call(fnAlloc, i.roomSize)
		if err != nil {
			return 0, err
		}
		if i.room = uint32(found); i.room == 0 {
			return 0, errNoMemory
		}
	}
	to, err := i.bytes(uintptr(i.room), uint64(len(input)))
	copy(to, input)
	return i.room, err
}

var errNoMemory = errors.New("out of memory")
