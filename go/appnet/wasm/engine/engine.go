// Package engine has wazero run the modules of chains. Programs use package wasm.
package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/appnet-org/appnet/go/appnet/internal/object"
)

const pageSize = 64 << 10

// New makes an engine whose chains have so many bytes of memory each, at most.
func New(memory int) *Engine {
	return &Engine{pages: uint32(min(max(memory/pageSize, 1), 1<<16))}
}

// Engine opens chains as modules.
type Engine struct {
	pages   uint32
	once    sync.Once
	runtime wazero.Runtime
}

// Machine is that of the code among a chain's.
func (*Engine) Machine() string { return "wasm32" }

// Open compiles a module. What was compiled goes with the chain.
func (e *Engine) Open(code []byte) (*object.Chain, error) {
	e.once.Do(func() {
		config := wazero.NewRuntimeConfig().WithMemoryLimitPages(e.pages)
		e.runtime = wazero.NewRuntimeWithConfig(context.Background(), config)
	})
	ctx := experimental.WithMemoryAllocator(context.Background(), allocator)
	compiled, err := e.runtime.CompileModule(ctx, code)
	if err != nil {
		return nil, fmt.Errorf("its module: %w", err)
	}
	load := func() (object.Module, error) {
		found, err := e.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			return nil, fmt.Errorf("its module: %w", err)
		}
		return module{found}, nil
	}
	chain, err := object.OpenIsolated(load, func() { compiled.Close(context.Background()) })
	if err != nil {
		compiled.Close(context.Background())
	}
	return chain, err
}

// module is an instance of wazero's, as chains see it.
type module struct{ of api.Module }

func (m module) Memory() []byte {
	memory := m.of.Memory()
	if memory == nil {
		return nil
	}
	all, _ := memory.Read(0, memory.Size())
	return all
}

func (m module) Global(name string) (uint32, bool) {
	found := m.of.ExportedGlobal(name)
	if found == nil {
		return 0, false
	}
	return uint32(found.Get()), true
}

func (m module) Function(name string) object.Function {
	found := m.of.ExportedFunction(name)
	if found == nil {
		return nil
	}
	return function{found}
}

func (m module) Close() { m.of.Close(context.Background()) }

type function struct{ of api.Function }

func (f function) Call(stack []uint64) error { return f.of.CallWithStack(context.Background(), stack) }
