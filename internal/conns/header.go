package conns

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// Proxy says whether connections begin with a header of the PROXY protocol, version 1
// or 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt), that names the client.
type Proxy int

const (
	// ProxyOff: none does, and one that comes is no HTTP.
	ProxyOff Proxy = iota
	// ProxyOptional: those of trusted proxies may. Whoever reaches the gate through a
	// proxy that only passes bytes on could write one too.
	ProxyOptional
	// ProxyRequired: every connection comes from a trusted proxy and has one, or is
	// closed.
	ProxyRequired
)

// ParseProxy reads off, optional or required; "" is off.
func ParseProxy(text string) (Proxy, bool) {
	switch text {
	case "", "off":
		return ProxyOff, true
	case "optional":
		return ProxyOptional, true
	case "required":
		return ProxyRequired, true
	}
	return ProxyOff, false
}

// maxAhead is how much is read at once to find the header, which takes 28 bytes for
// IPv4 and 52 for IPv6. One with more in it may have up to 4 KiB (that is the
// library's limit), and is not kept.
const maxAhead = 512

// unknownAddr is the address of a client that the proxy knows nothing of. It is not
// the peer's: that is a trusted proxy, whose word on the client would count.
type unknownAddr struct{}

func (unknownAddr) Network() string { return "proxy" }
func (unknownAddr) String() string  { return "unknown" }

// readHeader reads the header, in the time that there is for it, and takes the
// client's place in the count of its network. After an error, which says no more than
// that there is nothing to read, the connection is closed.
func (c *conn) readHeader() error {
	_ = c.Conn.SetReadDeadline(c.headerTime())
	r := bufio.NewReaderSize(c.Conn, maxAhead)
	h, err := proxyproto.Read(r)
	if err == nil || errors.Is(err, proxyproto.ErrNoProxyProtocol) {
		// The server sets its own when it knows the address.
		_ = c.Conn.SetReadDeadline(time.Time{})
	}
	switch {
	case err == nil:
		c.client = clientOf(h)
	case c.limits.Proxy == ProxyRequired || !errors.Is(err, proxyproto.ErrNoProxyProtocol):
		c.refuse(reasonHeader)
		return io.EOF
	}
	if r.Buffered() > 0 {
		c.rest = r
	}
	if c.client != nil && !c.join(addressOf(c.client)) {
		c.refuse(reasonNetwork)
		return io.EOF
	}
	return nil
}

// clientOf is the client's address by a header; nil says that there is none but the
// proxy itself, as when it asks for the gate's health.
func clientOf(h *proxyproto.Header) net.Addr {
	if h.Command.IsLocal() && h.Version != 1 { // UNKNOWN of version 1 is for clients too
		return nil
	}
	tcp, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok || tcp == nil {
		return unknownAddr{}
	}
	addr, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return unknownAddr{}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), uint16(tcp.Port)))
}
