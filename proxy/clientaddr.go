package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress finds the client's address behind proxies that are trusted to
// report it. The zero ClientAddress trusts nobody: the peer is the client.
type ClientAddress struct {
	// Trusted are the networks of proxies that append the address of their
	// peer to the header.
	Trusted []netip.Prefix
	// Header is "X-Forwarded-For" (also when empty) or "Forwarded" (RFC
	// 7239): the one that the trusted proxies write. Only one is read, since
	// a proxy passes the other on as the client sent it.
	Header string
}

// Of returns the client's address: the right-most one in the header that is
// not a trusted proxy's. What stands further to the left is what the client
// says of itself, and is ignored. An address that cannot be read ends the
// search at the proxy that reported it. The result is the zero Addr only if
// the peer's address cannot be read, as on a Unix socket.
func (c *ClientAddress) Of(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	if len(c.Trusted) == 0 || !c.trusts(client) {
		return client
	}
	hops := c.hops(r.Header)
	for _, hop := range slices.Backward(hops) {
		addr, ok := parseHop(hop)
		if !ok {
			return client
		}
		client = addr
		if !c.trusts(addr) {
			break
		}
	}
	return client
}

func (c *ClientAddress) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(c.Trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// hops returns the addresses as they were reported, the client's end first.
func (c *ClientAddress) hops(h http.Header) []string {
	if !strings.EqualFold(c.Header, "Forwarded") {
		return strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	}
	var hops []string
	for element := range strings.SplitSeq(strings.Join(h.Values("Forwarded"), ","), ",") {
		node := ""
		for pair := range strings.SplitSeq(element, ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.EqualFold(name, "for") {
				node = strings.Trim(value, `"`)
			}
		}
		hops = append(hops, node)
	}
	return hops
}

// parseHop reads an address with or without brackets and port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}
