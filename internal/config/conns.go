package config

import (
	"time"

	"s3gate/internal/conns"
)

// ConnectionLimits are what clients may take of a listener.
type ConnectionLimits struct {
	// MaxConnections is how many connections may be open at once; one more is closed
	// at once. 0 takes a sixth of the files that the process may have open. Default
	// 0.
	MaxConnections int `koanf:"max_connections" reload:"true"`
	// MaxConnectionsPerNetwork is how many of them one network may have, a /24 of IPv4
	// or a /64 of IPv6; trusted proxies may have all. 0 takes a tenth of
	// max_connections, and 100 if that is more. Default 0.
	MaxConnectionsPerNetwork int `koanf:"max_connections_per_network" reload:"true"`
	// MaxRequestsPerNetwork is how many requests of one network may run at once; more
	// are 429. Those that come through a trusted proxy count for the client that it
	// names in client_header, and at the API for nobody. 0 takes twice as many as there
	// may be connections. Default 0.
	MaxRequestsPerNetwork int `koanf:"max_requests_per_network" reload:"true"`
	// ProxyProtocol says whether connections begin with a header of the PROXY protocol
	// that names the client: off; optional, where those of trusted_proxies may; or
	// required, where all others are closed. Default off.
	ProxyProtocol string `koanf:"proxy_protocol" reload:"true"`
}

func (l *ConnectionLimits) validate(name string, bad func(name, format string, args ...any)) {
	for setting, n := range map[string]int{
		"max_connections": l.MaxConnections, "max_connections_per_network": l.MaxConnectionsPerNetwork, "max_requests_per_network": l.MaxRequestsPerNetwork,
	} {
		if n < 0 {
			bad(name+"."+setting, "must not be less than 0, got %d", n)
		}
	}
	if _, ok := conns.ParseProxy(l.ProxyProtocol); !ok {
		bad(name+".proxy_protocol", "must be off, optional or required, got %q", l.ProxyProtocol)
	}
}

// Connections is MaxConnections, or what nobody has changed.
func (l *ConnectionLimits) Connections() int {
	if l.MaxConnections > 0 {
		return l.MaxConnections
	}
	return conns.Default()
}

// PerNetwork is MaxConnectionsPerNetwork, or what nobody has changed.
func (l *ConnectionLimits) PerNetwork() int {
	if l.MaxConnectionsPerNetwork > 0 {
		return l.MaxConnectionsPerNetwork
	}
	return conns.DefaultPerNetwork(l.Connections())
}

// Requests is MaxRequestsPerNetwork, or what nobody has changed.
func (l *ConnectionLimits) Requests() int {
	if l.MaxRequestsPerNetwork > 0 {
		return l.MaxRequestsPerNetwork
	}
	return 2 * l.PerNetwork()
}

// Download bounds downloads through links.
type Download struct {
	// IdleTimeout is how long a client may take nothing of what it is sent; time in
	// which the gate has nothing for it, or may send nothing, does not count. Default
	// 1m.
	IdleTimeout time.Duration `koanf:"idle_timeout" reload:"true"`
	// MinRate is how many bytes a second a client must take, on average over
	// download.idle_timeout; 0 lets it be slow. Default 1024.
	MinRate int64 `koanf:"min_rate" reload:"true"`
}

func (d *Download) validate(bad func(name, format string, args ...any)) {
	if d.IdleTimeout < time.Second {
		bad("download.idle_timeout", "must be at least 1s, got %s", d.IdleTimeout)
	}
	if d.MinRate < 0 {
		bad("download.min_rate", "must not be less than 0, got %d", d.MinRate)
	}
}
