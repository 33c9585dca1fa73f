package main

import (
	"context"
	"fmt"
	"time"
)

// works are all of them, in the order in which they are done.
func works(b *bench) []*work {
	return []*work{
		b.smallWork(), b.mediumWork(), b.largeWork(false), b.largeWork(true), b.uploadWork(),
		b.latencyWork(), b.memoryWork(), b.tokensWork(), b.rulesWork(), b.gatesWork(),
	}
}

// Metrics of CPU time, and that of Redis, which is told apart.
func cpuPer(what string, aims ...aim) []metric {
	return []metric{{name: "CPU", unit: what, aims: aims}, {name: "Redis CPU", unit: what, aside: true}}
}

const (
	microsPerRequest = "µs/request"
	secondsPerGiB    = "s/GiB"
)

// perRequest and perGiB are the values of cpuPer.
func (c costs) perRequest(n int) []float64 {
	return []float64{micros(c.servers) / float64(n), micros(c.redis) / float64(n)}
}

func (c costs) perGiB(bytes int64) []float64 {
	gib := float64(bytes) / (1 << 30)
	return []float64{c.servers.Seconds() / gib, c.redis.Seconds() / gib}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (b *bench) smallWork() *work {
	return &work{
		name: "get-4k", title: "small downloads", peer: nginxLua,
		how: fmt.Sprintf("%s GETs of %s over %d connections that are kept, each sending its next request when it has the last answer.",
			thousands(b.requests), size(b.small), b.clients),
		metrics: cpuPer(microsPerRequest, aim{gateUnlimited, 1.0, 0}, aim{gateLimited, 1.4, 0}),
		prepare: func(ctx context.Context) ([]contender, error) {
			return b.closedLoops(ctx, smallObject, b.small, b.requests, gateUnlimited, gateLimited, nginxLua, nginxPlain, haproxyPlain)
		},
	}
}

func (b *bench) mediumWork() *work {
	return &work{
		name: "get-1m", title: "downloads of medium size", peer: nginxLua,
		how:     fmt.Sprintf("The same with %s GETs of %s.", thousands(b.mediumRequests), size(b.medium)),
		metrics: cpuPer(microsPerRequest, aim{gateUnlimited, 0.7, 0}, aim{gateLimited, 0.7, 0}),
		prepare: func(ctx context.Context) ([]contender, error) {
			return b.closedLoops(ctx, mediumObject, b.medium, b.mediumRequests, gateUnlimited, gateLimited, nginxLua, nginxPlain, haproxyPlain)
		},
	}
}

// closedLoops are contenders who answer requests for an object, by CPU time of each.
func (b *bench) closedLoops(ctx context.Context, object string, size int64, n int, names ...string) ([]contender, error) {
	var all []contender
	for _, name := range names {
		t, err := b.target(ctx, name, object, size, false)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, contender{name: name, gate: t.gate(), measure: func(ctx context.Context) ([]float64, error) {
			c, err := t.closedLoop(ctx, b.clients, n)
			return c.perRequest(n), err
		}})
	}
	return all, nil
}

func (b *bench) largeWork(secure bool) *work {
	w := &work{
		name: "get-256m", title: "large downloads", peer: nginxPlain,
		how: fmt.Sprintf("%d GETs of %s, two at a time, over plain HTTP on both sides.", b.largeRequests, size(b.large)),
	}
	limit := 0.4
	if secure {
		w.name, w.title, limit = "get-256m-tls", "large downloads over TLS", 1.0
		w.how = "The same with TLS 1.3 on both sides (AES-128-GCM, and a certificate with a key on P-256 that is verified)."
	}
	w.metrics = cpuPer(secondsPerGiB, aim{gateOnly, limit, 0})
	w.prepare = func(ctx context.Context) ([]contender, error) {
		names := []string{gateOnly, nginxPlain, haproxyPlain}
		if secure {
			names = names[:2]
		}
		return b.largeLoops(ctx, secure, names)
	}
	return w
}

func (b *bench) largeLoops(ctx context.Context, secure bool, names []string) ([]contender, error) {
	var all []contender
	for _, name := range names {
		t, err := b.target(ctx, name, largeObject, b.large, secure)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, contender{name: name, gate: t.gate(), measure: func(ctx context.Context) ([]float64, error) {
			c, err := t.large(ctx, b.largeRequests)
			return c.perGiB(int64(b.largeRequests) * b.large), err
		}})
	}
	return all, nil
}

// large is the cost of large requests, two at a time, after a small part of one.
func (t *target) large(ctx context.Context, n int) (costs, error) {
	all, err := t.dial(ctx, 2)
	if err != nil {
		return costs{}, err
	}
	defer closeAll(all)
	if err := t.work(all, 1); err != nil {
		return costs{}, err
	}
	return t.cost(func() error { return t.work(all, n) })
}
