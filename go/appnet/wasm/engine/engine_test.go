package engine

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

func compiled(t *testing.T) []byte {
	folder := os.Getenv("APPNET_CHAINS")
	if folder == "" {
		t.Skip("pytest tests/processors/grpc compiles the chains, and runs this")
	}
	code, err := os.ReadFile(filepath.Join(folder, "calls.wasm32.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// judge makes a call, with what anybody may ask for; what came of it.
func judge(c *object.Chain, instance *object.Instance, body string) (uint32, *object.Call) {
	var call object.Call
	call.Reset(instance, &c.Methods[0])
	call.Fields(len(c.Methods[0].Request.Fields))
	for i := range c.Methods[0].Request.Fields {
		call.SetText(i, body)
	}
	call.AddMetadata(object.RequestMetadata, "x-user", "ann")
	return call.Begin(), &call
}

func TestOpens(t *testing.T) {
	e := New(16 << 20)
	c, err := e.Open(compiled(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Name != "calls.client" || len(c.Methods) != 2 || c.Methods[0].Path != "/grpc.testing.TestService/UnaryCall" {
		t.Fatal(c.Name, c.Methods)
	}
	instance, err := c.New(object.Setup{Scope: "opens", Resource: []byte("resource")})
	if err != nil {
		t.Fatal(err)
	}
	defer instance.Free()
	verdict, call := judge(c, instance, "refuse")
	if verdict != object.Refuse || call.Frame().Text() != "refused" || call.Frame().Code != 10 {
		t.Fatal(verdict, call.Frame())
	}
	call.End()
	if verdict, call = judge(c, instance, "change"); verdict != object.Forward || !call.Touched() || edits(call) != 2 {
		t.Fatal(verdict, call.Frame())
	}
	call.End()
	if !strings.Contains(instance.State(), "calls.count = 2\n") {
		t.Error(instance.State())
	}
}

// State goes from version to version, and both see what either changes.
func TestVersionsShareState(t *testing.T) {
	e := New(16 << 20)
	var chains []*object.Chain
	var instances []*object.Instance
	for range 3 {
		c, err := e.Open(compiled(t))
		if err != nil {
			t.Fatal(err)
		}
		instance, err := c.New(object.Setup{Scope: "shared"})
		if err != nil {
			t.Fatal(err)
		}
		chains, instances = append(chains, c), append(instances, instance)
		for i := range instances {
			_, call := judge(chains[i], instances[i], "change")
			call.End()
		}
	}
	for i := range instances {
		if !strings.Contains(instances[i].State(), "calls.count = 6\n") {
			t.Errorf("%d: %s", i, instances[i].State())
		}
	}
	for i := range 2 {
		instances[i].Free()
		chains[i].Close()
	}
	_, call := judge(chains[2], instances[2], "change")
	call.End()
	if !strings.Contains(instances[2].State(), "calls.count = 7\n") {
		t.Error(instances[2].State())
	}
	instances[2].Free()
	chains[2].Close()
}

// Modules that come and go leave nothing behind.
func TestMemoryComesBack(t *testing.T) {
	e := New(64 << 20)
	code := compiled(t)
	mappings := func() int {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("only Linux tells")
		}
		return bytes.Count(maps, []byte("\n"))
	}
	before := 0
	for i := range 16 {
		c, err := e.Open(code)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := c.New(object.Setup{})
		if err != nil {
			t.Fatal(err)
		}
		instance.Free()
		c.Close()
		if i == 6 {
			runtime.GC()
			before = mappings()
		}
	}
	runtime.GC()
	if after := mappings(); after > before+20 {
		t.Error(before, after)
	}
}

// Whatever the tables of a module say, its host reads nothing beyond its memory, and survives.
func TestHostileModules(t *testing.T) {
	code := compiled(t)
	data := dataSection(t, code)
	source := rand.New(rand.NewPCG(1, 2))
	e := New(16 << 20)
	opened, refused, cases := 0, 0, 40
	if told, err := strconv.Atoi(os.Getenv("APPNET_HOSTILE")); err == nil {
		cases = told
	}
	for range cases {
		mutated := bytes.Clone(code)
		for range 1 + source.IntN(4) {
			at := data + source.IntN(len(code)-data)
			mutated[at] = byte(source.Uint32())
		}
		c, err := e.Open(mutated)
		if err != nil {
			refused++
			continue
		}
		opened++
		if instance, err := c.New(object.Setup{}); err == nil {
			if len(c.Methods) > 0 {
				for _, body := range []string{"change", "refuse", "answer"} {
					_, call := judge(c, instance, body)
					call.Edits()
					call.Frame().Text()
					call.End()
				}
			}
			instance.Free()
		}
		c.Close()
	}
	if opened < cases/10 || refused == 0 { // most of the data are texts, which may be any
		t.Error(opened, refused)
	}
}

// dataSection is where the data of a module begin, which stand last.
func dataSection(t *testing.T, code []byte) int {
	const header, dataKind = 8, 11
	for at := header; at < len(code); {
		kind, size, shift := code[at], 0, 0
		for at++; ; at++ {
			size |= int(code[at]&0x7f) << shift
			shift += 7
			if code[at]&0x80 == 0 {
				break
			}
		}
		at++
		if kind == dataKind {
			return at
		}
		at += size
	}
	t.Fatal("no data")
	return 0
}

func edits(call *object.Call) int {
	found, _ := call.Edits()
	return len(found)
}
