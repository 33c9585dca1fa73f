package events

import (
	"context"
	"errors"
	"time"
)

// Why events are dropped.
const (
	reasonFull   = "full"     // the sink's queue was
	reasonClosed = "closed"   // the gate has ended
	reasonBroken = "encoding" // its data are no JSON
)

// ErrRejected is wrapped by the error of a sink that will not take a batch however
// often it comes; it is counted as failed, and not tried again.
var ErrRejected = errors.New("events rejected for good")

const (
	maxBatch   = 256
	linger     = 5 * time.Millisecond
	logPause   = time.Minute
	writeLimit = 30 * time.Second
)

// queue is what waits for one sink.
type queue struct {
	bus     *Bus
	sink    Sink
	records chan *Record
	ended   time.Time // when the sink had the last batch; for its goroutine only
	logged  time.Time // when it last complained; for its goroutine only
	silent  int       // how often it would have, since
}

func newQueue(b *Bus, s Sink) *queue {
	q := &queue{bus: b, sink: s, records: make(chan *Record, b.opts.Queue)}
	b.opts.Metrics.add(s.Name())
	return q
}

// put does not wait.
func (q *queue) put(r *Record) {
	if !q.sink.Wants(r.Type) {
		return
	}
	if q.bus.stopping.Err() != nil {
		q.drop(1, reasonClosed)
		return
	}
	select {
	case q.records <- r:
	default:
		q.drop(1, reasonFull)
	}
}

func (q *queue) drop(n int, why string) {
	q.bus.opts.Metrics.dropped.WithLabelValues(q.sink.Name(), why).Add(float64(n))
}

// run takes the queue to the sink until the bus is closed.
func (q *queue) run() {
	for {
		select {
		case r := <-q.records:
			q.deliver(q.batch(r))
		case <-q.bus.stopping.Done():
			q.drain()
			return
		}
	}
}

// drain takes what is left, as long as that is not given up.
func (q *queue) drain() {
	for q.bus.closed.Err() == nil {
		select {
		case r := <-q.records:
			if !q.deliver(q.batch(r)) {
				return
			}
		default:
			return
		}
	}
}

// batch is the record and what is behind it. Where events come one after the other
// it waits for more of them: a sink costs about as much for one as for hundreds.
func (q *queue) batch(first *Record) []*Record {
	if len(q.records) < maxBatch/2 && time.Since(q.ended) < 10*linger {
		select {
		case <-time.After(linger):
		case <-q.bus.stopping.Done():
		}
	}
	batch := q.sound(nil, first)
	for len(batch) < maxBatch {
		select {
		case r := <-q.records:
			batch = q.sound(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// sound adds a record that can be written as JSON.
func (q *queue) sound(batch []*Record, r *Record) []*Record {
	if _, err := r.JSON(); err != nil {
		q.drop(1, reasonBroken)
		q.complain("an event cannot be encoded", err, 1)
		return batch
	}
	return append(batch, r)
}

// deliver writes a batch until the sink has it. False means that it has not, and
// the bus is closed.
func (q *queue) deliver(batch []*Record) bool {
	m, name := q.bus.opts.Metrics, q.sink.Name()
	for wait := q.bus.opts.Retry; len(batch) > 0; wait = min(2*wait, 64*q.bus.opts.Retry) {
		last := q.bus.stopping.Err() != nil
		m.pending(name, len(batch)+len(q.records))
		err := q.write(batch)
		q.ended = time.Now()
		if err == nil {
			m.delivered.WithLabelValues(name).Add(float64(len(batch)))
			m.lag.WithLabelValues(name).Set(time.Since(batch[0].Time).Seconds())
			m.pending(name, len(q.records))
			return true
		}
		m.failed.WithLabelValues(name).Inc()
		q.complain("a sink of events has failed", err, len(batch)+len(q.records))
		if errors.Is(err, ErrRejected) {
			return true
		}
		if last {
			q.drop(len(batch), reasonClosed)
			return false
		}
		select {
		case <-time.After(wait):
		case <-q.bus.stopping.Done():
		}
	}
	return true
}

func (q *queue) write(batch []*Record) error {
	ctx, cancel := context.WithTimeout(q.bus.closed, writeLimit)
	defer cancel()
	return q.sink.Write(ctx, batch)
}

// complain logs, once a minute at most.
func (q *queue) complain(what string, err error, waiting int) {
	if time.Since(q.logged) < logPause {
		q.silent++
		return
	}
	q.bus.opts.Logger.Error(what, "sink", q.sink.Name(), "err", err, "waiting", waiting, "not_logged", q.silent)
	q.logged, q.silent = time.Now(), 0
}
