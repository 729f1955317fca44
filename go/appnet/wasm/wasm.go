// Package wasm runs chains in modules of WebAssembly, apart from the program that they judge the calls of:
//
//	conn, err := grpc.NewClient(target, append(appnet.Dial("frontend", wasm.Runtime()), credentials)...)
//
// It serves systems that have no native chains, which are all but Linux on amd64 and arm64, and programs that want chains
// isolated: a chain that faults fails its calls with INTERNAL, and its memory is bounded. One call of a chain runs at a time,
// and costs several times what it does natively.
package wasm

import (
	"github.com/appnet-org/appnet/go/appnet"
	"github.com/appnet-org/appnet/go/appnet/wasm/engine"
)

// Option changes how modules run.
type Option func(*settings)

type settings struct{ memory int }

const usualMemory = 64 << 20

// Memory bounds the memory of each chain, in bytes; 64 MiB if not told. A chain that needs more refuses calls.
func Memory(bytes int) Option { return func(s *settings) { s.memory = bytes } }

// Runtime is the option of appnet.Dial and appnet.Serve by which chains run in modules.
func Runtime(options ...Option) appnet.Option {
	s := settings{memory: usualMemory}
	for _, it := range options {
		it(&s)
	}
	return appnet.Engine(engine.New(s.memory))
}
