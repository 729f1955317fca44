//go:build linux && (amd64 || arm64)

package object

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

func object(t testing.TB) []byte {
	folder := os.Getenv("APPNET_CHAINS")
	if folder == "" {
		t.Skip("pytest tests/processors/grpc compiles the chains, and runs this")
	}
	file, err := os.ReadFile(filepath.Join(folder, "calls."+runtime.GOARCH+".so"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// read does all that Open does before it runs anything; whether the file is taken.
func read(file []byte) bool {
	image, err := open(file)
	if err != nil {
		return false
	}
	_, err = readChain(image)
	image.close()
	return err == nil
}

func TestOpens(t *testing.T) {
	file := object(t)
	c, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Name != "calls.client" || len(c.Methods) != 2 || c.Methods[0].Path != "/grpc.testing.TestService/UnaryCall" {
		t.Fatal(c.Name, c.Methods)
	}
	fields := c.Methods[0].Request.Fields
	if len(fields) == 0 || fields[len(fields)-1].Kind != KindBytes {
		t.Fatal(fields)
	}
}

func TestRefusesWhatWasCutShort(t *testing.T) {
	file := object(t)
	for size := range len(file) {
		if size%16 == 0 || size < 1024 {
			if _, err := readLayout(file[:size], elfMachine, relativeKind); err == nil && size < len(file)*9/10 {
				t.Fatal(size)
			}
		}
	}
}

func TestRefusesOtherMachines(t *testing.T) {
	file := append([]byte(nil), object(t)...)
	binary.LittleEndian.PutUint16(file[18:], 3)
	if read(file) {
		t.Fatal()
	}
	file = append([]byte(nil), object(t)...)
	l, err := readLayout(file, elfMachine, relativeKind)
	if err != nil {
		t.Fatal(err)
	}
	// Another ABI: its number is what the entry point leads to, in a segment with data.
	s := l.segmentOf(l.entry, 4)
	s.file[l.entry-s.from]++
	if read(file) {
		t.Fatal("another ABI is taken")
	}
}

// What has been tampered with is refused or read, but no bounds are left, whatever its tables say. Nothing of it runs: that
// a file is what was built, its hash says.
func TestHostileFiles(t *testing.T) {
	file := object(t)
	l, err := readLayout(file, elfMachine, relativeKind)
	if err != nil {
		t.Fatal(err)
	}
	// The parts that lead somewhere: headers, dynamic entries and relocations, and the tables themselves.
	var parts [][2]int
	parts = append(parts, [2]int{0, 64 + 9*programHeader})
	for _, s := range l.segments {
		if len(s.file) > 0 && !s.executable() {
			start := cap(file) - cap(s.file)
			parts = append(parts, [2]int{start, start + len(s.file)})
		}
	}
	source := rand.New(rand.NewPCG(1, 2))
	taken, refused, cases := 0, 0, 30_000
	if told, err := strconv.Atoi(os.Getenv("APPNET_HOSTILE")); err == nil {
		cases = told
	}
	for range cases {
		mutated := append([]byte(nil), file...)
		part := parts[source.IntN(len(parts))]
		for range 1 + source.IntN(3) {
			at := part[0] + source.IntN(part[1]-part[0])
			switch source.IntN(4) {
			case 0:
				mutated[at] ^= 1 << source.IntN(8)
			case 1:
				mutated[at] = byte(source.Uint32())
			case 2:
				if at+8 <= len(mutated) {
					binary.LittleEndian.PutUint64(mutated[at&^7:], source.Uint64())
				}
			default:
				if at+8 <= len(mutated) {
					edge := []uint64{0, 1, 1 << 16, 1<<16 - 8, 1 << 31, 1 << 32, 1<<64 - 1, 1<<64 - 8, uint64(len(file))}
					binary.LittleEndian.PutUint64(mutated[at&^7:], edge[source.IntN(len(edge))])
				}
			}
		}
		if read(mutated) {
			taken++
		} else {
			refused++
		}
	}
	if refused < 3_000 || taken == 0 {
		t.Fatal(taken, refused)
	}
	t.Logf("%d read, %d refused", taken, refused)
}
