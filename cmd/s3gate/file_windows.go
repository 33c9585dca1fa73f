package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openLocked opens a file, which it makes if need be, for one process at a
// time; errLocked if another has it. It can be renamed while it is open.
func openLocked(path string, _ fs.FileMode) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const sharingViolation = syscall.Errno(32)
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_DELETE, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// inode would tell a file from another one that has taken its name; its size
// and time must do.
func inode(fs.FileInfo) uint64 { return 0 }
