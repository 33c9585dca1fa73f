package disk

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// graveyard removes files that nothing names any more. Windows does not remove
// a file that somebody still reads: such a file stays here and is tried again
// with the next, and at the latest by the sweep of the next [Open].
type graveyard struct {
	mu    sync.Mutex
	paths []string
}

func (g *graveyard) bury(paths ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paths = slices.DeleteFunc(append(g.paths, paths...), func(path string) bool {
		err := os.Remove(path)
		return err == nil || errors.Is(err, fs.ErrNotExist)
	})
}
