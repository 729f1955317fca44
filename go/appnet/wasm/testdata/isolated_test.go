package appnet

import "github.com/appnet-org/appnet/go/appnet/wasm/engine"

// All tests of package appnet, and the program that others drive, run their chains in modules with this file among them.
func init() { testEngine = engine.New(256 << 20) }
