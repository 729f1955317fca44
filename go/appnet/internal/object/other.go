//go:build !linux || !(amd64 || arm64)

package object

import (
	"fmt"
	"runtime"
)

// Native says whether this system runs chains as native code.
const Native = false

// Open would open a shared object.
func Open([]byte) (*Chain, error) {
	return nil, fmt.Errorf("programs for %s/%s run no native code of chains", runtime.GOOS, runtime.GOARCH)
}
