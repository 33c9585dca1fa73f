//go:build unix

package s3client

import "syscall"

// canTell says that silent can.
const canTell = true

// silent reports whether a connection is open and has nothing to be read, without
// waiting. What there is instead is lost.
func silent(c syscall.RawConn) bool {
	quiet := false
	err := c.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}
