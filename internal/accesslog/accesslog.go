// Package accesslog writes a line of JSON for each link request, for whoever counts,
// bills or looks for abuse. It is not the audit log: nothing waits for it, a flood of
// refused requests is summed up, and what finds its queue full, or its disk, is dropped
// and counted.
//
// The invariant: [Log.Add] never blocks, whatever becomes of the file.
package accesslog

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Line is one request. Fields that are empty are left out.
type Line struct {
	Time        time.Time `json:"time"`
	Request     string    `json:"request"`
	Token       string    `json:"token,omitempty"`
	Operation   string    `json:"op,omitempty"`
	Bucket      string    `json:"bucket,omitempty"`
	Method      string    `json:"method"`
	Status      int       `json:"status"`
	Outcome     string    `json:"outcome"`
	BytesIn     int64     `json:"bytes_in"`
	BytesOut    int64     `json:"bytes_out"`
	MS          float64   `json:"ms"`
	FirstByteMS float64   `json:"first_byte_ms"`
	Client      string    `json:"client,omitempty"`
	Agent       string    `json:"agent,omitempty"`
	Proto       string    `json:"proto"`
	TLS         string    `json:"tls,omitempty"`
	Trace       string    `json:"trace,omitempty"`
}

// Limits may change while a log is written.
type Limits struct {
	// Refusals is how many lines a second refused requests get, those with a status of
	// 400 and more or with none. The rest of them are counted, and told of together once
	// a second. 0 gives them none.
	Refusals int
	// MaxAgent is how many bytes of a User-Agent are kept.
	MaxAgent int
}

// Options say how a [Log] is kept.
type Options struct {
	Limits
	// Queue is how many lines wait for the file at most; 0 means 10,000.
	Queue int
	// Logger hears that the file cannot be written, once a minute at most; nil discards.
	Logger *slog.Logger
}

// Log is an access log. It is safe for concurrent use. The nil Log keeps nothing.
type Log struct {
	opts   Options
	queue  chan Line
	reopen chan chan error
	done   chan struct{}

	maxAgent atomic.Int64
	refusals atomic.Pointer[rate.Limiter]
	mu       sync.Mutex
	folded   map[string]int64 // by outcome; never nil

	closing sync.RWMutex // held by those who put, so that the queue can be closed
	closed  bool

	lines   prometheus.Counter
	dropped *prometheus.CounterVec

	writer writer // of the goroutine that writes
}

// Open opens the log at path, to which it appends, or stdout if that is "-", and
// registers its metrics.
func Open(path string, opts Options, reg prometheus.Registerer) (*Log, error) {
	if opts.Queue == 0 {
		opts.Queue = 10_000
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		opts: opts, queue: make(chan Line, opts.Queue), reopen: make(chan chan error), done: make(chan struct{}),
		folded: map[string]int64{},
		writer: writer{path: path},
	}
	l.Adjust(opts.Limits)
	l.lines, l.dropped = register(reg)
	if err := l.writer.open(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// Register registers the metrics of a log that is not kept, so that they are there:
//
//	s3gate_access_log_lines_total            lines that were written
//	s3gate_access_log_dropped_total{reason}  requests without a line: folded, full or write
func Register(reg prometheus.Registerer) { register(reg) }

func register(reg prometheus.Registerer) (lines prometheus.Counter, dropped *prometheus.CounterVec) {
	lines = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "s3gate_access_log_lines_total", Help: "Lines that the access log has."})
	dropped = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "s3gate_access_log_dropped_total", Help: "Link requests that the access log has no line for, and why."}, []string{"reason"})
	reg.MustRegister(lines, dropped)
	for _, reason := range []string{reasonFolded, reasonFull, reasonWrite} {
		dropped.WithLabelValues(reason)
	}
	return lines, dropped
}

// Why a request has no line.
const (
	reasonFolded = "folded" // refused, and told of together with others
	reasonFull   = "full"   // the queue was
	reasonWrite  = "write"  // the file could not be written
)

// Adjust changes the limits.
func (l *Log) Adjust(limits Limits) {
	if l == nil {
		return
	}
	l.refusals.Store(rate.NewLimiter(rate.Limit(limits.Refusals), limits.Refusals))
	l.maxAgent.Store(int64(limits.MaxAgent))
}

// Add gives a request its line, sooner or later, and does not wait.
func (l *Log) Add(line Line) {
	if l == nil {
		return
	}
	if (line.Status == 0 || line.Status >= http.StatusBadRequest) && !l.refusals.Load().Allow() {
		l.fold(line.Outcome)
		return
	}
	line.Agent = agent(line.Agent, int(l.maxAgent.Load()))
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.queue <- line:
	default:
		l.dropped.WithLabelValues(reasonFull).Inc()
	}
}

func (l *Log) fold(outcome string) {
	l.dropped.WithLabelValues(reasonFolded).Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.folded[outcome]++
}

// secretStart begins what must not be kept, if a client sends it as its name.
const secretStart = "s3g_"

// agent is what is kept of a User-Agent: so many bytes, in valid UTF-8, and no link.
func agent(text string, most int) string {
	if at := strings.Index(text, secretStart); at >= 0 {
		text = text[:at] + secretStart + "…"
	}
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}

// patience is how long a file may take that is opened again or closed: one that is a
// pipe may take nothing any more.
const patience = 3 * time.Second

// Reopen goes on with the file that has the name now, after somebody has renamed it.
// If that fails the next line tries it again.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	asked, late := make(chan error, 1), time.After(patience)
	select {
	case l.reopen <- asked:
	case <-l.done:
		return nil
	case <-late:
		return errStuck
	}
	select {
	case err := <-asked:
		return err
	case <-late:
		return errStuck
	}
}

// Close writes what waits, and closes the file. Lines that come later are not kept.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.closing.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.closing.Unlock()
	select {
	case <-l.done:
		return nil
	case <-time.After(patience):
		return errStuck
	}
}

var errStuck = errors.New("the access log's file takes nothing")
