package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

func (b *bench) latencyWork() *work {
	return &work{
		name: "latency", title: "added latency at low load", peer: nginxLua, base: direct,
		how: fmt.Sprintf("GETs of %s that begin at a constant rate of %d a second for %v, whatever becomes of those before (an open loop); "+
			"a request's time counts from when it was due. The numbers are what a server adds to the same percentile of direct access in the same round.",
			size(b.small), b.rate, b.low),
		metrics: []metric{
			{name: "p50", unit: "µs", aims: []aim{{gateUnlimited, 1.0, 0}, {gateLimited, 1.0, 0}}},
			{name: "p99", unit: "µs"},
		},
		prepare: func(ctx context.Context) ([]contender, error) {
			var all []contender
			for _, name := range []string{direct, gateUnlimited, gateLimited, nginxLua, nginxPlain, haproxyPlain} {
				t, err := b.target(ctx, name, smallObject, b.small, false)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				all = append(all, contender{name: name, gate: t.gate(), measure: func(ctx context.Context) ([]float64, error) {
					return t.openLoop(ctx, b.clients, b.rate, b.low)
				}})
			}
			return all, nil
		},
	}
}

// openLoop returns the median and the 99th percentile of requests at a constant rate,
// in microseconds, after a few that do not count.
func (t *target) openLoop(ctx context.Context, clients, rate int, length time.Duration) ([]float64, error) {
	all, err := t.dial(ctx, clients)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	if err := t.work(all, 10*clients); err != nil {
		return nil, err
	}
	n := int(float64(rate) * length.Seconds())
	due := make(chan time.Time, n)
	taken := make([]*hdrhistogram.Histogram, len(all))
	var group errgroup.Group
	for i, c := range all {
		taken[i] = hdrhistogram.New(1, int64(time.Minute), 3)
		group.Go(func() error { return t.whenDue(c, due, taken[i]) })
	}
	pace(ctx, due, n, time.Second/time.Duration(rate))
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, h := range taken[1:] {
		taken[0].Merge(h)
	}
	at := func(q float64) float64 { return micros(time.Duration(taken[0].ValueAtQuantile(q))) }
	return []float64{at(50), at(99)}, ctx.Err()
}

// wakeful is how long before a request the client stays awake: the runtime's timers
// wake an idle process up to a millisecond late, which would be the whole latency.
const wakeful = 1200 * time.Microsecond

// pace says when each of n requests is due, and then closes the channel.
func pace(ctx context.Context, due chan<- time.Time, n int, interval time.Duration) {
	defer close(due)
	start := time.Now()
	for i := range n {
		next := start.Add(time.Duration(i) * interval)
		time.Sleep(time.Until(next) - wakeful)
		for time.Now().Before(next) {
			runtime.Gosched()
		}
		if ctx.Err() != nil {
			return
		}
		due <- next
	}
}

// whenDue sends requests as they are due, and notes how long after that each answer
// was there.
func (t *target) whenDue(c *connection, due <-chan time.Time, taken *hdrhistogram.Histogram) error {
	n := 0
	for at := range due {
		n++
		if err := c.get(t.request(n), t.size); err != nil {
			return err
		}
		if err := taken.RecordValue(int64(time.Since(at))); err != nil {
			return err
		}
	}
	return nil
}
