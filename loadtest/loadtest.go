// Package loadtest puts load on a gate and judges what the gate does under it.
//
// A [Run] makes what a [Scenario] needs through the gate's own API, does its
// operations at a constant rate or with a number of workers, and ends with a
// [Report]: how many, how fast, and which of the scenario's invariants held. A fast
// gate that gives a single-use link to two people has failed.
//
// At a constant rate (an open loop) the time of an operation is counted from when it
// was due, so that a gate which stands still is not asked less often and then looks
// good. Nothing is sent to anybody whom the [Target] does not name, and what a run
// may cost is bounded: see [Config].
package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Config says what to do, and for how long.
type Config struct {
	// Target is the gate. Required.
	Target Target
	// Scenario is the name of one of [Scenarios]. Required.
	Scenario string
	// Rate is the number of operations a second that are begun, whatever becomes of
	// those before (an open loop). 0 is a closed loop: each worker begins its next
	// operation when the last one has ended.
	Rate float64
	// Workers are the most operations at a time; 0 is the scenario's number. Where
	// they do not suffice for the rate the report says so.
	Workers int
	// Duration is how long operations are begun, after the warm-up; 0 is 10 s.
	Duration time.Duration
	// Warmup goes before, and counts for the invariants only. 0 is none.
	Warmup time.Duration
	// Ramp is how long the rate grows from 0, within the warm-up; 0 begins with
	// the whole rate.
	Ramp time.Duration
	// Operations ends the run after as many, all of which count: there is no warm-up
	// then. 0 is no limit.
	Operations uint64
	// Size of an object in bytes; 0 is the scenario's.
	Size int64
	// Seed makes the objects, and what is asked of them; the same seed asks for the
	// same. 0 is a seed like any other.
	Seed uint64
	// Clients are those that race for one token; 0 is 8. Only for races and storms.
	Clients int
	// Mix are the weights of the scenarios that "mixed" consists of; nil is
	// [DefaultMix].
	Mix map[string]int
	// Grace is how long what is on its way may still arrive after a revocation was
	// acknowledged: buffers of kernels and networks. 0 is 250 ms.
	Grace time.Duration
	// Timeout bounds one operation; 0 is 1 min.
	Timeout time.Duration
	// PIDs are processes of this machine whose CPU time and memory are reported;
	// nil is none. Linux only.
	PIDs []int
	// Progress hears of a run once a second; nil hears nothing.
	Progress func(Progress)
}

// The bounds of a run, so that a slip of the finger costs nobody much.
const (
	MaxRate     = 100_000
	MaxWorkers  = 20_000
	MaxDuration = 24 * time.Hour
	MaxSize     = 64 << 30
	MaxClients  = 1_000
)

// ErrConfig is wrapped by errors about a [Config], which name the field, the limit
// and the value.
var ErrConfig = errors.New("load test")

// complete fills in what is left out and checks the rest.
func (c *Config) complete() (*scenario, error) {
	s, ok := scenarios()[c.Scenario]
	if !ok {
		return nil, fmt.Errorf("%w: scenario: %q is none of %v", ErrConfig, c.Scenario, names())
	}
	for _, fallback := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Duration, 10 * time.Second}, {&c.Grace, 250 * time.Millisecond}, {&c.Timeout, time.Minute}} {
		if *fallback.field == 0 {
			*fallback.field = fallback.value
		}
	}
	if c.Workers == 0 {
		c.Workers = s.workers
		if c.Rate > 0 {
			c.Workers = max(c.Workers, int(min(c.Rate, MaxWorkers)))
		}
	}
	if c.Size == 0 {
		c.Size = s.size
	}
	if c.Clients == 0 {
		c.Clients = 8
	}
	for _, bound := range []struct {
		field       string
		value, most float64
		least       float64
	}{
		{"rate", c.Rate, MaxRate, 0},
		{"workers", float64(c.Workers), MaxWorkers, 1},
		{"duration", c.Duration.Seconds(), MaxDuration.Seconds(), 0.001},
		{"warmup", c.Warmup.Seconds(), MaxDuration.Seconds(), 0},
		{"ramp", c.Ramp.Seconds(), c.Warmup.Seconds(), 0},
		{"size", float64(c.Size), MaxSize, 1},
		{"clients", float64(c.Clients), MaxClients, 2},
		{"grace", c.Grace.Seconds(), 60, 0},
		{"timeout", c.Timeout.Seconds(), MaxDuration.Seconds(), 0.001},
	} {
		if math.IsNaN(bound.value) || bound.value < bound.least || bound.value > bound.most {
			return nil, fmt.Errorf("%w: %s: must be %s to %s, is %s", ErrConfig, bound.field, plain(bound.least), plain(bound.most), plain(bound.value))
		}
	}
	if c.Operations > 0 {
		c.Warmup, c.Ramp = 0, 0
	}
	switch c.Scenario {
	case mixed:
		if err := c.checkMix(); err != nil {
			return nil, err
		}
	case slowClients: // each operation takes as long as the run
		c.Duration, c.Warmup = c.Duration+c.Warmup, 0
		c.Timeout += c.Duration
	}
	return s, c.Target.check()
}

func plain(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// Run does what cfg says. It returns a report also of a run that ctx has ended, or
// whose invariants did not hold; an error is one of the configuration ([ErrConfig]),
// or of making what the scenario needs.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	s, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	w := newWorld(cfg)
	defer w.close()
	operation, err := s.prepare(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", cfg.Scenario, err)
	}
	processes, err := watch(cfg.PIDs)
	if err != nil {
		return nil, err
	}
	r := newRecorder(cfg)
	stop := r.follow(processes)
	attack(ctx, cfg, operation, r)
	stop()
	return r.report(w, processes), nil
}
