package gate

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"s3gate/api"
	"s3gate/internal/config"
	"s3gate/internal/conns"
)

// connections are what clients may take of the listeners.
type connections struct {
	metrics               *conns.Metrics
	links, api, ops, acme *conns.Listener // nil until they listen
	running               conns.Networks  // requests to the API
	proxies               atomic.Pointer[[]netip.Prefix]
}

// peer is where a request comes from, and whether that is a trusted proxy.
func (c *connections) peer(r *http.Request) (addr netip.Addr, trusted bool) {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	addr = peer.Addr().Unmap().WithZone("")
	return addr, slices.ContainsFunc(*c.proxies.Load(), func(p netip.Prefix) bool { return p.Contains(addr) })
}

// bound puts limits on what a listener accepts, right above TCP.
func (g *Gate) bound(l *listener) net.Listener {
	c := &g.connections
	if c.metrics == nil {
		c.metrics = conns.NewMetrics(g.metrics)
	}
	bounded := conns.Listen(l.Listener, l.name, conns.Limits{}, c.metrics)
	*map[string]**conns.Listener{"links": &c.links, "api": &c.api, "ops": &c.ops, "acme": &c.acme}[l.name] = bounded
	c.adjust(g.cfg)
	return bounded
}

// adjust makes limits count for connections that come from now on.
func (c *connections) adjust(cfg *config.Config) {
	proxies, _ := cfg.Proxies() // they were validated
	c.proxies.Store(&proxies)
	links, api := connectionLimits(cfg.Links, proxies), connectionLimits(cfg.API.Listener, proxies)
	links.Idle, links.MinRate = cfg.Download.IdleTimeout, cfg.Download.MinRate
	api.Idle = cfg.API.WriteTimeout
	ops, acme := api, links
	ops.Proxy, acme.Proxy = conns.ProxyOff, conns.ProxyOff
	for l, limits := range map[*conns.Listener]conns.Limits{c.links: links, c.api: api, c.ops: ops, c.acme: acme} {
		if l != nil {
			l.Adjust(limits)
		}
	}
}

func connectionLimits(l config.Listener, proxies []netip.Prefix) conns.Limits {
	mode, _ := conns.ParseProxy(l.ProxyProtocol)
	return conns.Limits{
		Max: l.Connections(), PerNetwork: l.PerNetwork(), Trusted: proxies, Proxy: mode, HeaderTimeout: l.HeaderTimeout,
	}
}

// timeBodies bounds how long the body of a request to the API may take, also where it is
// refused and nobody reads it: net/http waits for it.
func (g *Gate) timeBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			rc := http.NewResponseController(w)
			_ = rc.SetReadDeadline(time.Now().Add(g.live.cfg.Load().API.BodyTimeout))
			r.Body = &timedBody{r.Body, rc}
		}
		next.ServeHTTP(w, r)
	})
}

// limitRequests bounds what one request to the API may take, and how many of one
// network run, but for those of trusted proxies, which do not say for whom they ask, and
// for what asks how the gate is.
func (g *Gate) limitRequests(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cfg := g.live.cfg.Load().API
		addr, trusted := g.connections.peer(r)
		probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		if !probe && !trusted {
			leave, ok := g.connections.running.Take(addr, cfg.Requests())
			if !ok {
				crowded(w)
				return
			}
			defer leave()
		}
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close") // what follows must be no request: see proxy
		}
		if r.ProtoMajor > 1 { // otherwise the connection's pace says it
			w = &timedWriter{w, http.NewResponseController(w), cfg.WriteTimeout}
		}
		handler.ServeHTTP(w, r)
	})
}

// withoutBodies refuses requests with a body where none has a use. What is left of it has
// some time to come, for which net/http waits.
func withoutBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second))
			refuse(w, http.StatusBadRequest, "This request takes no body.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// crowded refuses a request of a network of which too many run.
func crowded(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "2")
	w.WriteHeader(http.StatusTooManyRequests)
	_ = json.NewEncoder(w).Encode(api.Problem{
		Type: "about:blank", Title: http.StatusText(http.StatusTooManyRequests), Status: http.StatusTooManyRequests,
		Detail: "Too many requests of this network are running.",
	})
}

// timedBody has a time to arrive in, which is over at its end: net/http would take the
// client for gone else.
type timedBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// timedWriter gives each write of an answer over HTTP/2 its time. Whoever has a time of
// its own sets that after.
type timedWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout))
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
