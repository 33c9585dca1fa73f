package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

var errLocked = errors.New("another process has this file")

// openCurrent opens and locks the file at a path, and makes it if there is
// none; errLocked if another process has it. Who had the lock before may have
// moved the file away or removed it meanwhile: then it opens the next one.
func openCurrent(path string, mode fs.FileMode) (*os.File, error) {
	for {
		file, err := openLocked(path, mode)
		if err != nil {
			return nil, err
		}
		current, err := isCurrent(file, path)
		if err == nil && current {
			return file, nil
		}
		file.Close()
		if err != nil {
			return nil, err
		}
	}
}

// isCurrent reports whether an open file is still the one at the path.
func isCurrent(file *os.File, path string) (bool, error) {
	mine, err := file.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !there.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file", path)
	}
	return os.SameFile(mine, there), nil
}
