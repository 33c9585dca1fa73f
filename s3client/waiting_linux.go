package s3client

import (
	"syscall"
	"unsafe"
)

// inQueue asks how many bytes wait to be read (SIOCINQ, tcp(7)), which package
// syscall has under another name.
const inQueue = syscall.TIOCINQ

// waiting is how many bytes of a connection the kernel has, without waiting for more.
func waiting(c syscall.RawConn) (n int) {
	_ = c.Control(func(fd uintptr) {
		var size int32
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, fd, inQueue, uintptr(unsafe.Pointer(&size))); e == 0 {
			n = int(size)
		}
	})
	return n
}
