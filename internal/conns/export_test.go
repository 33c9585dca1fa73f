package conns

import (
	"net"
	"sync"
)

// CountedNetworks is how many networks have connections.
func CountedNetworks(l *Listener) int { return l.networks.Len() }

// Wrap is a connection of a trusted proxy.
func Wrap(c net.Conn, limits Limits) net.Conn {
	l := Listen(nil, "test", limits, nil)
	own := &conn{Conn: c, l: l, limits: &limits}
	own.watch()
	own.headed = sync.OnceValue(own.readHeader)
	return own
}
