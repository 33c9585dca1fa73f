package events

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sink is where events go. One goroutine calls it, so its methods need not be
// safe for concurrent use.
type Sink interface {
	// Name is its label in metrics and logs.
	Name() string
	// Wants reports whether it takes events of a type.
	Wants(t Type) bool
	// Write takes a batch, in order. After an error the same batch comes again:
	// what it has taken of it already must not be there twice where that can be
	// helped. It ends early when ctx is done.
	Write(ctx context.Context, batch []*Record) error
	// Close releases what it holds. Nothing is written after it.
	Close() error
}

// Options say how a [Bus] works. Zero fields have their defaults.
type Options struct {
	// Gate names the gate in events.
	Gate string
	// Queue is how many events wait for one sink at most; 0 means 10,000.
	Queue int
	// RefusalWindow is for how long refusals of one kind are counted together; 0
	// means 10 s. RefusalKinds is how many kinds there are in a window before all
	// others are one; 0 means 100.
	RefusalWindow time.Duration
	RefusalKinds  int
	// Retry is how long a sink that has failed is left alone at first; it doubles
	// with each failure, up to 64 times as much. 0 means 100 ms.
	Retry time.Duration
	// Metrics counts; nil does not.
	Metrics *Metrics
	// Logger hears of sinks that fail, once a minute at most each; nil discards.
	Logger *slog.Logger
}

// Bus takes events to sinks. It is safe for concurrent use. A nil Bus takes
// nothing.
type Bus struct {
	opts     Options
	source   string
	queues   []*queue
	refusals *refusals
	working  sync.WaitGroup
	stopping context.Context
	stop     context.CancelFunc
	closed   context.Context // when nothing is waited for any more
	giveUp   context.CancelFunc
}

// NewBus starts a bus to the sinks, which it closes in the end.
func NewBus(opts Options, sinks ...Sink) *Bus {
	if opts.Queue == 0 {
		opts.Queue = 10_000
	}
	if opts.RefusalWindow == 0 {
		opts.RefusalWindow = 10 * time.Second
	}
	if opts.RefusalKinds == 0 {
		opts.RefusalKinds = 100
	}
	if opts.Retry == 0 {
		opts.Retry = 100 * time.Millisecond
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	b := &Bus{opts: opts, source: Source(opts.Gate), refusals: newRefusals(opts.RefusalWindow, opts.RefusalKinds)}
	b.stopping, b.stop = context.WithCancel(context.Background())
	b.closed, b.giveUp = context.WithCancel(context.Background())
	for _, s := range sinks {
		q := newQueue(b, s)
		b.queues = append(b.queues, q)
		b.working.Go(q.run)
	}
	b.working.Go(b.tellRefusals)
	return b
}

// Emit tells an event to every sink that wants its type, and does not wait: what
// finds a queue full is dropped and counted. Nobody changes data afterwards. The
// subject is the ID of the token that it is about, or "".
func (b *Bus) Emit(t Type, subject string, data any) {
	if b == nil {
		return
	}
	r := &Record{Event: newEvent(t, b.source, subject, data)}
	for _, q := range b.queues {
		q.put(r)
	}
}

// Refuse tells of a request that was refused. The first of its kind in a window
// is told at once; the rest of them are counted, and told together when the
// window is over, so that a flood of guesses is a few events.
func (b *Bus) Refuse(r Refused) {
	if b == nil {
		return
	}
	if r, now := b.refusals.add(r); now {
		b.Emit(TokenRefused, r.Token, r)
	} else {
		b.opts.Metrics.folded.Inc()
	}
}

// tellRefusals tells at the end of each window what was counted in it.
func (b *Bus) tellRefusals() {
	tick := time.NewTicker(b.opts.RefusalWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-b.stopping.Done():
			return // Close tells the rest
		}
		b.flushRefusals()
	}
}

func (b *Bus) flushRefusals() {
	for _, r := range b.refusals.flush() {
		b.Emit(TokenRefused, r.Token, r)
	}
}

// Close has the sinks take what they have not yet, each with one more try, until
// ctx is done, and closes them. What is left then is dropped and counted.
// Nothing is emitted after it.
func (b *Bus) Close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.flushRefusals()
	b.stop()
	stop := context.AfterFunc(ctx, b.giveUp)
	defer stop()
	b.working.Wait()
	b.giveUp()
	var first error
	for _, q := range b.queues {
		q.drop(len(q.records), reasonClosed)
		if err := q.sink.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
