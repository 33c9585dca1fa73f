package leakwatch

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"s3gate/s3client"
)

// Logs is a bucket that logs are delivered to; [s3client.Bucket] is one. It must
// be safe for concurrent use.
type Logs interface {
	// Do sends a request for an object or for a listing, as [s3client.Bucket.Do]
	// does.
	Do(ctx context.Context, r *s3client.Request) (*http.Response, error)
}

// LogBucket reads what is delivered to a bucket under a prefix: server access
// logs, or files of CloudTrail. Keys there sort by the time of their delivery, or
// nearly so, since S3 delivers late and out of order: it looks again at all that has
// come within Late before the last, and leaves out what it has read. Where what is
// under the prefix has prefixes of its own before the date, as logs of several
// buckets or regions do, that goes for each of them.
type LogBucket struct {
	// Logs is the bucket, Name what findings call it, and Prefix what the keys
	// begin with.
	Logs   Logs
	Name   string
	Prefix string
	// Late is by how much later a log may come than one whose key sorts behind it;
	// 0 means an hour. Since leaves out logs that are older; zero leaves out none.
	Late  time.Duration
	Since time.Time
	// Every is how long [LogBucket.Run] waits between two looks; 0 means a minute.
	Every time.Duration
	// Most is how many logs are remembered as read; 0 means 100,000. Where more come
	// within Late, the oldest of them are left out from then on, and not read
	// again.
	Most int
}

// place is how far a bucket was read: of each prefix before a date everything up to
// its floor, and of what comes behind it what is in Read, with its time in seconds.
// Tries are how often a log could not be read that others stood beside which could.
type place struct {
	Floors map[string]string `json:"floors"`
	Read   map[string]int64  `json:"read"`
	Tries  map[string]int    `json:"tries,omitempty"`
	// Floor is what the first version kept: the only one.
	Floor string `json:"floor,omitempty"`
}

// dated is where a date begins in the key of a log: 2026-11-22-… in access logs,
// 2026/11/22/… in those that are partitioned by date, and in CloudTrail.
var dated = regexp.MustCompile(`[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[-/]`)

// series is the part of a key that stands before the date, and "" without a date:
// keys with the same sort by time.
func (b *LogBucket) series(key string) string {
	rest := strings.TrimPrefix(key, b.Prefix)
	if at := dated.FindStringIndex(rest); at != nil {
		return rest[:at[0]]
	}
	return ""
}

func (b *LogBucket) source() string { return "s3://" + b.Name + "/" + b.Prefix }

// Run reads what is there and what comes, until ctx is done.
func (b *LogBucket) Run(ctx context.Context, w *Watch) error {
	every := b.Every
	if every == 0 {
		every = time.Minute
	}
	for ctx.Err() == nil {
		if _, err := b.Once(ctx, w); err != nil && ctx.Err() == nil {
			w.logger().Warn("reading logs", "source", b.source(), "err", err)
		}
		pause(ctx, every)
	}
	return ctx.Err()
}

// savePause is how often the place is saved on the way.
const savePause = 2 * time.Second

// Once reads what has come since the last time. A log that cannot be read is left
// for the next time, and does not stop the others; one that is damaged is read
// as far as it goes, once.
func (b *LogBucket) Once(ctx context.Context, w *Watch) (total Summary, err error) {
	p, err := b.load(ctx, w)
	if err != nil {
		return total, err
	}
	l := &look{b: b, w: w, place: p, stuck: map[string]bool{}, saved: time.Now(), old: time.Now().Add(-orHour(b.Late))}
	for after, more := "", true; more; {
		page, err := listPage(ctx, b.Logs, b.Prefix, after)
		if err != nil {
			return l.total, errors.Join(l.trouble(), err)
		}
		after, err = l.page(ctx, page.Objects)
		if err != nil {
			// Nobody is to read again what was read, if that can be helped.
			return l.total, errors.Join(err, l.save(context.WithoutCancel(ctx)))
		}
		more = page.More && len(page.Objects) > 0
	}
	l.giveUp()
	return l.total, errors.Join(l.trouble(), l.save(ctx))
}

// page takes a page of a listing, and returns the key after which to go on. What
// stands before a floor was read, and is not listed further.
func (l *look) page(ctx context.Context, objects []s3client.ListedObject) (after string, err error) {
	for _, o := range objects {
		if after >= o.Key {
			continue
		}
		after = o.Key
		if floor := l.place.Floors[l.b.series(o.Key)]; o.Key <= floor {
			after = floor
			continue
		}
		if err := l.take(ctx, o); err != nil {
			return after, err
		}
	}
	return after, nil
}

func orHour(d time.Duration) time.Duration {
	if d == 0 {
		return time.Hour
	}
	return d
}

// look is one look at the bucket.
type look struct {
	b      *LogBucket
	w      *Watch
	place  *place
	old    time.Time       // nothing comes any more between logs that are older
	stuck  map[string]bool // series of which not all so far was read, and is old
	saved  time.Time
	total  Summary
	read   int      // how many logs were
	failed []string // the keys of logs that could not be read
	err    error    // of the first of them
}

// take reads a log unless that was done, and moves the floor.
func (l *look) take(ctx context.Context, o s3client.ListedObject) error {
	_, done := l.place.Read[o.Key]
	series := l.b.series(o.Key)
	if !done && !strings.HasSuffix(o.Key, "/") && !o.LastModified.Before(l.b.Since) {
		s, err := readObject(ctx, l.w, l.b.Logs, l.b.Name, o.Key)
		l.total.add(s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			l.stuck[series] = true
			return l.fail(ctx, o.Key, err)
		}
		l.read++
		l.w.Metrics.behind(time.Since(o.LastModified).Seconds())
	}
	if !l.stuck[series] && o.LastModified.Before(l.old) {
		l.place.Floors[series] = o.Key
		delete(l.place.Read, o.Key)
	} else {
		l.stuck[series] = true
		l.place.Read[o.Key] = o.LastModified.Unix()
	}
	if time.Since(l.saved) < savePause {
		return nil
	}
	l.saved = time.Now()
	return l.save(ctx)
}

// fail notes that a log could not be read. The error is one to stop for if findings
// cannot be stored: the next log would be read in vain.
func (l *look) fail(ctx context.Context, key string, err error) error {
	if _, storeErr := l.w.Store.Position(ctx, l.b.source()); storeErr != nil {
		return errors.Join(err, storeErr)
	}
	l.failed = append(l.failed, key)
	if l.err == nil {
		l.err = err
	}
	return nil
}

// trouble is the error of the logs that could not be read.
func (l *look) trouble() error {
	if n := len(l.failed); n > 1 {
		return fmt.Errorf("%d logs cannot be read, the first: %w", n, l.err)
	}
	return l.err
}

// maxTries is how often a log is read before it is given up.
const maxTries = 20

// giveUp leaves out logs that could not be read again and again while others could:
// then it is the log, and neither the store nor the credentials.
func (l *look) giveUp() {
	if l.read == 0 {
		return
	}
	tries := map[string]int{}
	for _, key := range l.failed {
		if n := l.place.Tries[key] + 1; n < maxTries {
			tries[key] = n
			continue
		}
		l.place.Read[key] = time.Now().Unix()
		l.w.Metrics.gaveUp()
		l.w.logger().Error("a log cannot be read, and is given up", "log", "s3://"+l.b.Name+"/"+key, "tries", maxTries, "err", l.err)
	}
	l.place.Tries = tries
}

// save saves the place, which it keeps within its bound.
func (l *look) save(ctx context.Context) error {
	most := l.b.Most
	if most == 0 {
		most = 100_000
	}
	if len(l.place.Read) > most {
		keys := slices.Sorted(maps.Keys(l.place.Read))
		for _, key := range keys[:len(keys)-most*9/10] {
			l.place.Floors[l.b.series(key)] = key
			delete(l.place.Read, key)
		}
		l.w.logger().Warn("so many logs came at once that late ones among them may be missed", "source", l.b.source(), "remembered", most)
	}
	raw, err := json.Marshal(l.place)
	if err != nil {
		return fmt.Errorf("saving the place in %s: %w", l.b.source(), err)
	}
	return l.w.Store.SavePosition(ctx, l.b.source(), string(raw))
}

func (b *LogBucket) load(ctx context.Context, w *Watch) (*place, error) {
	p := &place{Floors: map[string]string{}, Read: map[string]int64{}, Tries: map[string]int{}}
	text, err := w.Store.Position(ctx, b.source())
	if err != nil || text == "" {
		return p, err
	}
	if err := json.Unmarshal([]byte(text), p); err != nil {
		return nil, fmt.Errorf("place in %s: %w", b.source(), err)
	}
	if p.Floor != "" {
		p.Floors[b.series(p.Floor)] = p.Floor
		p.Floor = ""
	}
	return p, nil
}

// listPage returns one page of what is under a prefix.
func listPage(ctx context.Context, logs Logs, prefix, after string) (*s3client.Listing, error) {
	resp, err := logs.Do(ctx, s3client.NewListRequest(s3client.ListQuery{Prefix: prefix, After: after, Flat: true}))
	if err != nil {
		return nil, fmt.Errorf("listing logs: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("listing logs: s3 answered %d", resp.StatusCode)
	}
	return s3client.ReadListing(resp)
}

// readObject reads one log. One that is gone, as its lifecycle may have it, has
// nothing to say, and of one that is damaged what can be read was read: neither is
// an error, since it would be the same the next time.
func readObject(ctx context.Context, w *Watch, logs Logs, bucket, key string) (Summary, error) {
	name := "s3://" + bucket + "/" + key
	resp, err := logs.Do(ctx, &s3client.Request{Method: http.MethodGet, Key: key})
	if err != nil {
		return Summary{}, fmt.Errorf("log %s: %w", name, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return Summary{}, nil
	default:
		return Summary{}, fmt.Errorf("log %s: s3 answered %d", name, resp.StatusCode)
	}
	body := &transfer{in: resp.Body}
	s, err := w.Read(ctx, name, body)
	if damaged(err) && body.err == nil {
		w.logger().Warn("a log is damaged, and was read as far as it goes", "log", name, "err", err)
		err = nil
	}
	return s, err
}

// damaged reports whether an error is one of the content.
func damaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) ||
		errors.As(err, &corrupt) || errors.As(err, new(*json.SyntaxError))
}

// transfer remembers whether what was sent has arrived.
type transfer struct {
	in  io.Reader
	err error
}

func (t *transfer) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}
