package leakwatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files reads a file of logs, or every file below a directory, in the order of
// their names. A file that cannot be read does not stop the others. A log that is
// read again, as a whole or after it has grown, counts once.
func (w *Watch) Files(ctx context.Context, path string) (total Summary, err error) {
	var failed error
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("reading logs: %w", err))
			return nil
		}
		if d.IsDir() || name != path && !d.Type().IsRegular() {
			return nil
		}
		s, err := w.file(ctx, name)
		total.add(s)
		failed = errors.Join(failed, err)
		return ctx.Err()
	})
	if err != nil {
		return total, err
	}
	return total, failed
}

func (w *Watch) file(ctx context.Context, name string) (Summary, error) {
	f, err := os.Open(name)
	if err != nil {
		return Summary{}, fmt.Errorf("reading logs: %w", err)
	}
	defer f.Close()
	log, err := filepath.Abs(name)
	if err != nil {
		return Summary{}, fmt.Errorf("reading logs: %w", err)
	}
	return w.Read(ctx, "file://"+filepath.ToSlash(log), f)
}
