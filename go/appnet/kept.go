package appnet

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// file is where a node's version is kept; what it runs on the server's side and on the client's may be kept in one folder.
func (l *live) file(node string) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == 0 {
			return '_'
		}
		return r
	}, node)
	return filepath.Join(l.options.kept, name+suffix)
}

// keep writes what runs where the next process finds it; it goes on without where that cannot be.
func (l *live) keep(told nodePart) {
	if l.options.kept == "" {
		return
	}
	encoded, err := proto.Marshal(told.signed)
	if err == nil {
		err = os.MkdirAll(l.options.kept, 0o700)
	}
	if err == nil {
		var file *os.File
		if file, err = os.CreateTemp(l.options.kept, "version-"); err == nil {
			if _, err = file.Write(encoded); err == nil {
				err = file.Sync() // a name without content would be left where the machine stops
			}
			if closed := file.Close(); err == nil {
				err = closed
			}
			if err == nil {
				err = os.Rename(file.Name(), l.file(told.version.Node))
			} else {
				os.Remove(file.Name())
			}
		}
	}
	if err != nil {
		complain("a version cannot be kept: " + err.Error())
	}
}

// kept is what was kept last, by node. Nothing older may follow it, whenever the control plane answers.
func (l *live) kept() map[string]nodePart {
	if l.options.kept == "" {
		return nil
	}
	skip := func(err error) error {
		complain("a version that was kept is left out: " + err.Error())
		return nil
	}
	kept, err := l.readParts(os.DirFS(l.options.kept), true, skip)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		complain("what was kept cannot be read: " + err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Where nobody says which application this is, the version that was made last tells.
	for _, it := range slices.SortedFunc(maps.Values(kept), func(a, b nodePart) int { return cmp.Compare(b.signed.Made, a.signed.Made) }) {
		if err := l.last.admits(it); err != nil {
			skip(fmt.Errorf("%s: %w", it.version.Node, err))
			delete(kept, it.version.Node)
			continue
		}
		l.last.note(it)
	}
	return kept
}

// startFrom starts with what was kept where the control plane says nothing that can be used.
func (l *live) startFrom(kept map[string]nodePart, took <-chan struct{}) {
	if len(kept) == 0 {
		return
	}
	select {
	case <-took:
		return
	case <-time.After(keptAfter):
	}
	if err := l.useKept(kept); err != nil {
		complain("the version that was kept cannot be used: " + err.Error())
	}
}

// useKept makes these run if nothing does.
func (l *live) useKept(kept map[string]nodePart) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current.Load() != nil {
		return nil
	}
	v, err := l.versionOf(versions(kept))
	if err == nil {
		l.parts = kept
		l.use(v)
	}
	return err
}
