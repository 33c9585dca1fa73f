package gate

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
)

// listenerNames are those of a gate's listeners, which sockets may have.
var listenerNames = []string{"links", "api", "ops"}

// ErrSocket is wrapped by errors about [Options.Sockets].
var ErrSocket = errors.New("inherited socket")

// opener returns what opens the port of a listener: the socket that was inherited for
// it, if there is one, else Listen for links, and nil for others, which is net.Listen.
func (o *Options) opener(name string) func(network, addr string) (net.Listener, error) {
	if l := o.Sockets[name]; l != nil {
		return func(string, string) (net.Listener, error) { return l, nil }
	}
	if name == "links" {
		return o.Listen
	}
	return nil
}

// checkSockets refuses those that nobody would answer on: clients would wait for ever.
func (g *Gate) checkSockets(sockets map[string]net.Listener) error {
	for _, name := range slices.Sorted(maps.Keys(sockets)) {
		if !slices.Contains(listenerNames, name) {
			return fmt.Errorf("%w %q: its name (FileDescriptorName) must be one of %v", ErrSocket, name, listenerNames)
		}
		if _, ok := sockets[name].(*net.TCPListener); !ok {
			return fmt.Errorf("%w %q: must be a TCP socket that listens, is %s", ErrSocket, name, sockets[name].Addr().Network())
		}
		if name == "ops" && (g.cfg.Ops.Addr == "" || g.cfg.Ops.Addr == g.cfg.API.Addr) {
			return fmt.Errorf("%w %q: ops.addr says that there is no such listener", ErrSocket, name)
		}
	}
	return nil
}
