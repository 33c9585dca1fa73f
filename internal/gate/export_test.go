package gate

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Registry is where the metrics of a gate are.
func Registry(g *Gate) *prometheus.Registry { return g.metrics }

// Catching is what stands around each handler of a gate.
func Catching(g *Gate, h http.Handler) http.Handler { return g.catching(h, "links") }

// Limited is what stands around the API, without what has its own tests.
func Limited(g *Gate, h http.Handler) http.Handler { return g.timeBodies(g.limitRequests(h)) }

// LogOfServers is where net/http writes what it has to say.
func LogOfServers(logger *slog.Logger, text string) {
	_, _ = serverLog{logger}.Write([]byte(text))
}
