//go:build unix

package accesslog

import "syscall"

// nonblock makes it an error to open a pipe that nobody reads, which would wait else.
const nonblock = syscall.O_NONBLOCK
