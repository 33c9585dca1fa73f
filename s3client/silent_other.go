//go:build !unix

package s3client

import "syscall"

// canTell says that silent cannot.
const canTell = false

func silent(syscall.RawConn) bool { return false }
