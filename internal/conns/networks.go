package conns

import (
	"net/netip"
	"sync"
)

// Network is what shares a limit: the /24 of an IPv4 address, the /64 of an IPv6
// address. No address is a network of its own, the zero Prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p
}

// Networks counts what each network has at the moment. It remembers only those that
// have something. The zero Networks is ready to use, and safe for concurrent use.
type Networks struct {
	mu  sync.Mutex
	has map[netip.Prefix]int
}

// Take counts one for the network of an address unless that has as many as most, which
// is without limit if it is not more than 0. Who gets true calls give once; calling it
// again does nothing.
func (n *Networks) Take(a netip.Addr, most int) (give func(), ok bool) {
	network := Network(a)
	n.mu.Lock()
	defer n.mu.Unlock()
	if most > 0 && n.has[network] >= most {
		return nil, false
	}
	if n.has == nil {
		n.has = map[netip.Prefix]int{}
	}
	n.has[network]++
	return sync.OnceFunc(func() { n.give(network) }), true
}

func (n *Networks) give(network netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.has[network]--; n.has[network] == 0 {
		delete(n.has, network)
	}
}

// Len is how many networks have something.
func (n *Networks) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.has)
}
