package conns

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// grain is how much a client may have taken that acknowledged does not know.
const grain = 0

// acknowledged is how many bytes the other side has acknowledged (tcp(7), TCP_INFO),
// or handed where that cannot be told.
func acknowledged(c net.Conn, handed int64) int64 {
	s, ok := c.(syscall.Conn)
	if !ok {
		return handed
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return handed
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			handed = int64(info.Bytes_acked)
		}
	})
	return handed
}
