// Package leakwatch finds out that something has leaked: it reads the server
// access logs of Amazon S3, the data events of CloudTrail, and the events of the
// gates, and tells of requests that were signed in a URL or a form, of links that
// are used from many networks, and of canary tokens that somebody has touched.
//
// A [Watch] turns logs into [Finding]s. Where the logs are is for [LogBucket],
// [Files], [Queue] and [Events]; what becomes of findings is for a [Store] and
// the [Watch.Act] of its owner. The invariants:
//
//   - Requests that are signed in their headers are no findings.
//   - A log that is read twice, wholly or in part, gives the same findings with
//     the same counts. Whoever dies reads again from the last position that was
//     saved.
//   - Memory is bounded, however long a log, a line of it, or the list of logs.
//   - Nothing of a signature, a session token or a gate's token is kept.
package leakwatch

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"s3gate/guard/accesslog"
)

// Store keeps findings, and how far logs were read. It must be safe for
// concurrent use.
type Store interface {
	// Record adds what one part of a log has to say about a finding. A part that
	// comes again replaces what it said before. It returns the whole finding, and
	// whether it was told already.
	Record(ctx context.Context, f Finding, part string) (whole Finding, told bool, err error)
	// Told notes that a finding was told, and what was done about it.
	Told(ctx context.Context, id string, taken []Taken) error
	// Findings returns what a query selects, the latest first.
	Findings(ctx context.Context, q Query) ([]Finding, error)
	// Position returns what was saved for a source, "" if nothing was.
	Position(ctx context.Context, source string) (string, error)
	SavePosition(ctx context.Context, source, position string) error
	// Malformed keeps a few lines that could not be read.
	Malformed(ctx context.Context, log string, line []byte) error
}

// Watch turns logs into findings. Its fields are set before its first use; its
// methods are safe for concurrent use.
type Watch struct {
	// Buckets are those whose requests are looked at, by name; nil means all.
	Buckets map[string]Bucket
	// Store keeps the findings. Required.
	Store Store
	// Window is the time within which requests of one kind are one finding; 0
	// means an hour.
	Window time.Duration
	// Since leaves out requests that were made before; zero leaves out none.
	Since time.Time
	// Act is called once for each finding, and again if whoever did it has died
	// before that was noted. It tells of the finding and does what should be done,
	// and returns what it has done. For [Retries] it is called with what was done: then
	// it does what is pending, and returns all. Nil does nothing.
	Act func(ctx context.Context, f Finding) []Taken
	// Metrics counts; nil does not.
	Metrics *Metrics
	// Logger hears of logs that cannot be read; nil discards.
	Logger *slog.Logger

	buffers sync.Pool // of [*accesslog.Scanner]
}

func (w *Watch) window() time.Duration {
	if w.Window == 0 {
		return time.Hour
	}
	return w.Window
}

func (w *Watch) logger() *slog.Logger {
	if w.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return w.Logger
}

// Summary is what a log came to.
type Summary struct {
	// Lines are those that were read, or events of CloudTrail, and Malformed those
	// of them that could not be.
	Lines     int64 `json:"lines"`
	Malformed int64 `json:"malformed"`
	// Bytes are those of the log, unzipped.
	Bytes int64 `json:"bytes"`
	// Found is how many requests are in findings.
	Found int64 `json:"found"`
}

func (s *Summary) add(t Summary) {
	s.Lines += t.Lines
	s.Malformed += t.Malformed
	s.Bytes += t.Bytes
	s.Found += t.Found
}

// maxOpen is how many findings of one log are held in memory before they are
// recorded.
const maxOpen = 10_000

// maxKept is how many malformed lines of one log are kept.
const maxKept = 10

// reading is one log on its way through.
type reading struct {
	w       *Watch
	ctx     context.Context
	log     string
	open    map[string]*Finding
	part    int
	summary Summary
	err     error // of the store
}

// Read reads one log: a server access log or a file of CloudTrail, gzipped or
// plain. The name must be its own, and another one for other content. Lines that
// cannot be read are counted and left out. A log that breaks off gives an error
// and the findings of what stands before. Errors of the store come back too;
// then the log is to be read again.
func (w *Watch) Read(ctx context.Context, log string, in io.Reader) (Summary, error) {
	r := &reading{w: w, ctx: ctx, log: log, open: map[string]*Finding{}}
	in = &cancelled{ctx, in}
	plain, err := unzip(in)
	if err == nil {
		first, _ := plain.Peek(1)
		if bytes.Equal(first, []byte("{")) {
			err = r.events(plain)
		} else {
			err = r.lines(plain)
		}
	}
	r.flush()
	w.Metrics.read(r.summary)
	if err == nil {
		err = r.err
	}
	if err != nil {
		return r.summary, fmt.Errorf("log %s: %w", log, err)
	}
	return r.summary, nil
}

// cancelled ends reading when its context is done.
type cancelled struct {
	ctx context.Context
	in  io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.in.Read(p)
}

func unzip(in io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(in, 64<<10)
	if magic, _ := b.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, 64<<10), nil
}

func (r *reading) lines(in io.Reader) error {
	s, ok := r.w.buffers.Get().(*accesslog.Scanner)
	if ok {
		s.Reset(in)
	} else {
		s = accesslog.NewScanner(in)
	}
	before := s.Stats()
	s.Malformed = r.malformed
	for s.Scan() && r.err == nil {
		record := s.Record()
		auth := record.Auth()
		if auth != accesslog.Query && auth != accesslog.Post {
			continue
		}
		if f := r.w.found(fromRecord(record, auth), r.log); f != nil {
			r.add(f)
		}
	}
	after := s.Stats()
	r.summary.Lines, r.summary.Bytes = after.Lines-before.Lines, after.Bytes-before.Bytes
	err := s.Err()
	s.Malformed = nil
	s.Reset(bytes.NewReader(nil)) // hold on to nothing
	r.w.buffers.Put(s)
	return err
}

func (r *reading) events(in io.Reader) error {
	counted := &counting{in: in}
	err := eachEvent(counted, func(e *cloudTrail) {
		r.summary.Lines++
		if a := e.access(); a != nil {
			if f := r.w.found(a, r.log); f != nil {
				r.add(f)
			}
		}
	}, func(raw []byte, err error) {
		r.summary.Lines++
		r.malformed(raw, err)
	})
	r.summary.Bytes = counted.n
	if errors.Is(err, errEvent) {
		r.malformed(nil, err)
		err = nil // the file will never be any better
	}
	return err
}

type counting struct {
	in io.Reader
	n  int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// malformed counts a line that could not be read, and keeps the first of a log.
func (r *reading) malformed(line []byte, err error) {
	r.summary.Malformed++
	if r.summary.Malformed > maxKept {
		return
	}
	r.w.logger().Warn("a line of a log cannot be read", "log", r.log, "err", err)
	const most = 1 << 10
	if keepErr := r.w.Store.Malformed(r.ctx, r.log, accesslog.Redact(line[:min(len(line), most)])); keepErr != nil {
		r.w.logger().Warn("a malformed line cannot be kept", "err", keepErr)
	}
}

// add counts a request.
func (r *reading) add(f *Finding) {
	r.summary.Found++
	if known := r.open[f.ID]; known != nil {
		known.merge(f)
		return
	}
	if len(r.open) >= maxOpen {
		r.flush()
	}
	r.open[f.ID] = f
}

// flush records what was found, and tells of what is new.
func (r *reading) flush() {
	part := fmt.Sprintf("%s#%d", r.log, r.part)
	r.part++
	for id, f := range r.open {
		if r.err == nil {
			r.err = r.w.report(r.ctx, *f, part)
		}
		delete(r.open, id)
	}
}

// report records a finding, and tells of it unless that was done.
func (w *Watch) report(ctx context.Context, f Finding, part string) error {
	if f.Last.Before(w.Since) {
		return nil
	}
	whole, told, err := w.Store.Record(ctx, f, part)
	if err != nil || told {
		return err
	}
	w.Metrics.found(&whole)
	if w.Act != nil {
		whole.Taken = w.Act(ctx, whole)
	}
	return w.Store.Told(ctx, whole.ID, whole.Taken)
}
