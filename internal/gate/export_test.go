package gate

import "github.com/prometheus/client_golang/prometheus"

// Registry is where the metrics of a gate are.
func Registry(g *Gate) *prometheus.Registry { return g.metrics }
