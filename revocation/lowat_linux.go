package revocation

import (
	"net"
	"syscall"
)

// unsentMost is how many bytes the kernel takes for a connection before it
// has sent what it has. Bytes in flight are not among them, so that distant
// clients lose no speed.
const unsentMost = 128 << 10

// tcpNotSentLowat is TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall
// lacks.
const tcpNotSentLowat = 25

// keepUnsentLow has the kernel take bytes when it can send them, not
// megabytes before. What it holds is lost when a connection breaks, but was
// given out.
func keepUnsentLow(c net.Conn) {
	tcp, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// An old kernel may refuse, which costs budget and nothing else.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsentMost)
	})
}
