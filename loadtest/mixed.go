package loadtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// DefaultMix is what the scenario "mixed" does, as [Config] says it.
func DefaultMix() map[string]int {
	return map[string]int{"download-small": 60, "range-video": 20, "mint": 10, "upload-many": 8, "single-use-race": 2}
}

// prepareMixed does operations of several scenarios by their weights, and measures
// each for itself too.
func prepareMixed(ctx context.Context, w *world) (operation, error) {
	type part struct {
		name string
		upTo int
		op   operation
	}
	var parts []part
	total := 0
	for _, name := range slices.Sorted(maps.Keys(w.cfg.Mix)) {
		s := scenarios()[name]
		op, err := s.prepare(ctx, w.with(s.size))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		total += w.cfg.Mix[name]
		parts = append(parts, part{name, total, op})
	}
	return func(ctx context.Context, n uint64) outcome {
		at := rand.New(rand.NewPCG(w.cfg.Seed, n)).IntN(total)
		p := parts[slices.IndexFunc(parts, func(p part) bool { return at < p.upTo })]
		began := time.Now()
		o := p.op(ctx, n)
		if o.err == nil {
			w.measures.record(p.name, time.Since(began))
		}
		return o
	}, nil
}

// checkMix checks the weights.
func (c *Config) checkMix() error {
	if c.Mix == nil {
		c.Mix = DefaultMix()
	}
	total := 0
	for name, weight := range c.Mix {
		switch s := scenarios()[name]; {
		case s == nil || name == mixed:
			return fmt.Errorf("%w: mix: %q is none of the scenarios that can be mixed", ErrConfig, name)
		case weight < 0 || weight > 1_000_000:
			return fmt.Errorf("%w: mix: the weight of %s must be 0 to 1000000, is %d", ErrConfig, name, weight)
		}
		total += weight
	}
	if total == 0 {
		return fmt.Errorf("%w: mix: all weights are 0", ErrConfig)
	}
	return nil
}
