// Package conns bounds what one client may take of a listener: how many
// connections there are in all and from one network, how long each may keep the
// server waiting to write, and whose address counts for it, which may come in a
// header of the PROXY protocol.
//
// It lies right on top of TCP, below everything that cuts connections, speaks TLS or
// HTTP. What it returns has the methods of [net.TCPConn] that those need.
package conns

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits are what clients of a listener may take. The zero Limits bound nothing.
type Limits struct {
	// Max is how many connections may be open at once, and PerNetwork how many of
	// them from one network (see [Network]); 0 is without limit.
	Max, PerNetwork int
	// Trusted are the networks of proxies in front of the listener: they are in no
	// network's count, and a header of the PROXY protocol is believed only from them.
	Trusted []netip.Prefix
	// Proxy says who has to send such a header.
	Proxy Proxy
	// HeaderTimeout is how long it may take to come; 0 means 10 s.
	HeaderTimeout time.Duration
	// Idle is how long a client may take nothing of what it is sent while the server
	// waits for it to; 0 lets it. MinRate is how many bytes a second it has to take on
	// average over Idle, of the time in which it kept the server waiting; 0 lets it
	// be slow.
	Idle    time.Duration
	MinRate int64
}

func (l *Limits) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(l.Trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// ErrSlow is why a write failed: its client took too little for too long, and was
// reset.
var ErrSlow = errors.New("the client takes too little of what it is sent")

// Listener accepts connections under [Limits].
type Listener struct {
	net.Listener
	limits   atomic.Pointer[Limits]
	metrics  *listenerMetrics
	total    atomic.Int64
	networks Networks
}

// Listen bounds what l accepts. Name is the listener's in the metrics, of which nil
// counts nothing. l returns connections that have the methods of [net.TCPConn].
func Listen(l net.Listener, name string, limits Limits, m *Metrics) *Listener {
	own := &Listener{Listener: l, metrics: m.of(name)}
	own.Adjust(limits)
	return own
}

// Adjust replaces the limits, for connections that come from now on. It is safe for
// concurrent use.
func (l *Listener) Adjust(limits Limits) { l.limits.Store(&limits) }

// Accept returns the next connection that is within the limits, and closes those that
// are not. It waits for no client: a header of the PROXY protocol is read by the first
// Read or RemoteAddr of the connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own := l.admit(c); own != nil {
			return own, nil
		}
	}
}

// admit takes what a connection needs, or refuses it and returns nil.
func (l *Listener) admit(c net.Conn) *conn {
	limits := l.limits.Load()
	own := &conn{Conn: c, l: l, limits: limits, peer: addressOf(c.RemoteAddr())}
	own.watch()
	l.metrics.opened()
	total := l.total.Add(1)
	switch trusted := limits.trusts(own.peer); {
	case limits.Max > 0 && total > int64(limits.Max):
		own.refuse(reasonTotal)
	case trusted && limits.Proxy != ProxyOff:
		own.headed = sync.OnceValue(own.readHeader) // and then its network counts
		return own
	case limits.Proxy == ProxyRequired:
		own.refuse(reasonUntrusted)
	case !trusted && !own.join(own.peer):
		own.refuse(reasonNetwork)
	default:
		return own
	}
	return nil
}

// addressOf is the address of a peer; the zero Addr where it has none.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
