package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ViewerAddress is where CloudFront says who its viewer is, if an origin request
// policy has it add that: the address and port of whoever connected to it, of IPv6
// without brackets (CloudFront Developer Guide, "Add CloudFront request headers").
const ViewerAddress = "CloudFront-Viewer-Address"

// ClientAddress finds the client's address behind proxies that are trusted to
// report it. The zero ClientAddress trusts nobody: the peer is the client.
type ClientAddress struct {
	// Trusted are the networks of proxies that append the address of their
	// peer to the header, or with [ViewerAddress] pass on what CloudFront wrote.
	Trusted []netip.Prefix
	// Header is "X-Forwarded-For" (also when empty), "Forwarded" (RFC 7239) or
	// [ViewerAddress]: the one that the trusted proxies write. Only one is read,
	// since a proxy passes the others on as the client sent them.
	Header string
}

// Of returns the client's address: the right-most one in the header that is
// not a trusted proxy's. What stands further to the left is what the client
// says of itself, and is ignored. An address that cannot be read ends the
// search at the proxy that reported it. Of [ViewerAddress] there has to be exactly
// one, which then names the client. The result is the zero Addr only if the peer's
// address cannot be read, as on a Unix socket.
func (c *ClientAddress) Of(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	if len(c.Trusted) == 0 || !c.trusts(client) {
		return client
	}
	if strings.EqualFold(c.Header, ViewerAddress) {
		if viewer, ok := parseViewer(r.Header.Values(ViewerAddress)); ok {
			return viewer
		}
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

// parseViewer reads the one value of [ViewerAddress]. The last colon stands before
// the port, also where the address has colons of its own: 2001:db8::7:46532.
func parseViewer(values []string) (netip.Addr, bool) {
	if len(values) != 1 {
		return netip.Addr{}, false
	}
	at := strings.LastIndexByte(values[0], ':')
	if at < 0 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(values[0][:at])
	if _, portErr := strconv.ParseUint(values[0][at+1:], 10, 16); err != nil || portErr != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
