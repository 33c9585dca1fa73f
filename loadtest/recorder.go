package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"s3gate/client"
)

// recorder counts what operations do. It is safe for concurrent use.
type recorder struct {
	cfg     Config
	running atomic.Int64

	mu        sync.Mutex
	beganAt   time.Time
	endedAt   time.Time
	measured  time.Time // when the warm-up is over
	last      time.Time // when the last operation ended
	latency   *hdrhistogram.Histogram
	firstByte *hdrhistogram.Histogram
	ok        uint64
	failed    map[string]uint64
	examples  map[string]string
	received  int64
	sent      int64
	ticks     []Second
	second    *hdrhistogram.Histogram // of the second that runs
	current   Second
}

// Second is what happened in one second of a run.
type Second struct {
	// At is the second's end, in seconds since the run began.
	At float64 `json:"at"`
	// Operations that ended, and those of them that failed.
	Operations uint64 `json:"operations"`
	Failed     uint64 `json:"failed"`
	// Received and Sent are bytes of bodies of operations that ended.
	Received int64 `json:"received"`
	Sent     int64 `json:"sent"`
	// P50 and P99 are latencies in milliseconds; 0 if nothing ended.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Running is how many operations run at its end.
	Running int64 `json:"running"`
	// Memory is the resident memory of the watched processes in bytes, and CPU
	// their CPU time since the run began in seconds; 0 without any.
	Memory int64   `json:"memory"`
	CPU    float64 `json:"cpu"`
}

// Progress is a [Second] as it ends.
type Progress struct {
	Second
	// Left is how long operations are begun from then on.
	Left time.Duration
}

// newHistogram counts microseconds from 1 to an hour, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 3_600_000_000, 3) }

func newRecorder(cfg Config) *recorder {
	return &recorder{
		cfg: cfg, latency: newHistogram(), firstByte: newHistogram(), second: newHistogram(),
		failed: map[string]uint64{}, examples: map[string]string{},
	}
}

func (r *recorder) begin(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beganAt, r.measured = at, at.Add(r.cfg.Warmup)
}

func (r *recorder) end(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endedAt = at
}

func (r *recorder) started() { r.running.Add(1) }

// done records an operation that was due at due.
func (r *recorder) done(due time.Time, o outcome) {
	now := time.Now()
	r.running.Add(-1)
	took := now.Sub(due)
	if o.took > 0 {
		took = o.took
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Operations++
	r.current.Received += o.received
	r.current.Sent += o.sent
	record(r.second, took)
	if o.err != nil {
		r.current.Failed++
	}
	if due.Before(r.measured) {
		return // the warm-up
	}
	r.last = now
	r.received += o.received
	r.sent += o.sent
	if o.err != nil {
		kind := kindOf(o.err)
		r.failed[kind]++
		if r.examples[kind] == "" {
			r.examples[kind] = o.err.Error()
		}
		return
	}
	r.ok++
	record(r.latency, took)
	if !o.first.IsZero() {
		record(r.firstByte, o.first.Sub(due))
	}
}

// measures are durations of other things than operations. They are safe for concurrent
// use.
type measures struct {
	mu  sync.Mutex
	all map[string]*hdrhistogram.Histogram
}

// lastByte is when a client of a revoked link has seen its last byte; 0 if that was
// before the acknowledgement.
const lastByte = "acknowledgement to last byte"

func (m *measures) record(name string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]*hdrhistogram.Histogram{}
	}
	if m.all[name] == nil {
		m.all[name] = newHistogram()
	}
	record(m.all[name], d)
}

// list returns their quantiles.
func (m *measures) list() map[string]Quantiles {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := map[string]Quantiles{}
	for name, h := range m.all {
		list[name] = quantiles(h)
	}
	return list
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue()))
}

// kindOf sorts errors, for a table of them. Their texts hold no tokens.
func kindOf(err error) string {
	var status *statusError
	var refused *client.Error
	var op *net.OpError
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("HTTP %d", status.status)
	case errors.As(err, &refused):
		return fmt.Sprintf("API HTTP %d", refused.Status)
	case errors.Is(err, errBytes):
		return "wrong bytes"
	case errors.Is(err, context.DeadlineExceeded):
		return "time-out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EMFILE):
		return "too many open files here"
	case errors.As(err, &op):
		return op.Op + " failed"
	}
	return "connection broken"
}

// follow closes a second each second until stop is called.
func (r *recorder) follow(p processes) (stop func()) {
	ticker := time.NewTicker(time.Second)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case now := <-ticker.C:
				r.tick(now, p)
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(over)
		<-done
		r.tick(time.Now(), p)
	}
}

func (r *recorder) tick(now time.Time, p processes) {
	memory, cpu := p.now()
	r.mu.Lock()
	if r.beganAt.IsZero() {
		r.mu.Unlock()
		return
	}
	s := r.current
	s.At = now.Sub(r.beganAt).Seconds()
	s.P50, s.P99 = milliseconds(r.second, 50), milliseconds(r.second, 99)
	s.Running = r.running.Load()
	s.Memory, s.CPU = memory, cpu
	r.ticks = append(r.ticks, s)
	r.current = Second{}
	r.second.Reset()
	left := r.beganAt.Add(r.cfg.Warmup + r.cfg.Duration).Sub(now)
	r.mu.Unlock()
	if r.cfg.Progress != nil {
		r.cfg.Progress(Progress{s, max(left, 0)})
	}
}

// milliseconds is a quantile, 0 of an empty histogram.
func milliseconds(h *hdrhistogram.Histogram, percent float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtQuantile(percent)) / 1000
}
