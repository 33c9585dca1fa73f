package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Errors of a Reader.
var (
	// ErrPosition: the text is no position.
	ErrPosition = errors.New("malformed position")
	// ErrFollowers: as many follow as may.
	ErrFollowers = errors.New("too many followers")
	// ErrClosed: the gate is shutting down.
	ErrClosed = errors.New("no more events")
	// ErrStream: Redis could not be asked.
	ErrStream = errors.New("stream of events cannot be read")
)

// Entry is an event of the stream. [Entry.About] decides who may see it.
type Entry struct {
	// Position is its place in the stream.
	Position string
	// Raw is the event as JSON.
	Raw []byte
	// Type is the event's.
	Type Type
}

// About is what an event is about. Fields that it does not say are "".
type About struct {
	// Token is the ID of a token, and Request that of a request.
	Token, Request string
	// Issuer, IssuedBy and Bucket are those of the token, or of what else it is
	// about.
	Issuer, IssuedBy, Bucket string
	// Rule says that it is about a revocation rule of more than one token, which
	// selects by Issuer and Bucket.
	Rule bool
}

// Page is what was read.
type Page struct {
	// Entries are in order.
	Entries []Entry
	// Next is the position after which to go on.
	Next string
	// Missed is what was asked for and is not there any more; nil if nothing is
	// missing.
	Missed *Missed
}

// Now is the position after everything that there is.
const Now = "now"

// Start is the position before everything that there is.
const Start = "0"

var positionForm = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

// ParsePosition checks a position: [Start], [Now] or one of an [Entry].
func ParsePosition(text string) error {
	if text != Start && text != Now && !positionForm.MatchString(text) {
		return ErrPosition
	}
	return nil
}

// Reader reads the stream. It is safe for concurrent use.
type Reader struct {
	rdb  redis.UniversalClient
	most int

	mu        sync.Mutex
	followers map[chan struct{}]bool
	stopped   chan struct{} // closed by Close
	watching  sync.WaitGroup
	stop      context.CancelFunc // of the one that watches; nil while nobody follows
}

// NewReader returns a reader that so many may follow at a time.
func NewReader(rdb redis.UniversalClient, followers int) *Reader {
	return &Reader{rdb: rdb, most: followers, followers: map[chan struct{}]bool{}, stopped: make(chan struct{})}
}

// Read returns up to most events after a position, as soon as it can. If the
// stream does not have the position any more it goes on with what it has, and says
// so in Missed.
func (r *Reader) Read(ctx context.Context, after string, most int) (Page, error) {
	if after == Now {
		return r.end(ctx)
	}
	from, gap := "-", (*Missed)(nil)
	if after != Start {
		var err error
		if from, gap, err = r.resume(ctx, after); err != nil {
			return Page{}, err
		}
	}
	found, err := r.rdb.XRangeN(ctx, streamKey, from, "+", int64(most)).Result()
	if err != nil {
		return Page{}, fmt.Errorf("%w: %w", ErrStream, err)
	}
	page := Page{Next: after, Missed: gap}
	if gap != nil {
		page.Next = Start
	}
	for _, m := range found {
		page.Entries = append(page.Entries, entryOf(m))
		page.Next = m.ID
	}
	if gap != nil && len(found) > 0 {
		gap.Oldest = found[0].ID
	}
	return page, nil
}

// end is an empty page at the end of the stream.
func (r *Reader) end(ctx context.Context) (Page, error) {
	last, err := r.rdb.XRevRangeN(ctx, streamKey, "+", "-", 1).Result()
	if err != nil {
		return Page{}, fmt.Errorf("%w: %w", ErrStream, err)
	}
	if len(last) == 0 {
		return Page{Next: Start}, nil
	}
	return Page{Next: last[0].ID}, nil
}

// resume says where to read on after a position. An entry that is not there was
// trimmed, with others that nobody can name; or Redis has lost the end of the
// stream, and what is there may all be new.
func (r *Reader) resume(ctx context.Context, after string) (from string, gap *Missed, err error) {
	there, err := r.rdb.XRangeN(ctx, streamKey, after, after, 1).Result()
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	if len(there) > 0 {
		return "(" + after, nil, nil
	}
	end, err := r.end(ctx)
	if err != nil {
		return "", nil, err
	}
	if end.Next != Start && before(after, end.Next) {
		return "(" + after, &Missed{After: after}, nil
	}
	return "-", &Missed{After: after}, nil
}

// before compares two positions of one stream.
func before(a, b string) bool {
	aTime, aNumber := splitPosition(a)
	bTime, bNumber := splitPosition(b)
	return aTime < bTime || aTime == bTime && aNumber < bNumber
}

func splitPosition(p string) (time, number uint64) {
	first, second, _ := strings.Cut(p, "-")
	time, _ = strconv.ParseUint(first, 10, 64)
	number, _ = strconv.ParseUint(second, 10, 64)
	return time, number
}

func entryOf(m redis.XMessage) Entry {
	text, _ := m.Values["e"].(string)
	e := Entry{Position: m.ID, Raw: []byte(text)}
	if t, _ := e.Text("type"); Type(t).Known() {
		e.Type = Type(t)
		return e
	}
	var read struct{ Type Type }
	_ = json.Unmarshal(e.Raw, &read) // or it is of a later version
	e.Type = read.Type
	return e
}

// Text is the first field of the event with a name, if that is a string without
// escapes; ok is false otherwise. It costs much less than to decode the event, and
// finds no field in what a string holds, since quotes are escaped there.
func (e *Entry) Text(name string) (text string, ok bool) {
	_, rest, found := bytes.Cut(e.Raw, []byte(`"`+name+`":"`))
	end := bytes.IndexAny(rest, `"\\`)
	if !found || end < 0 || rest[end] != '"' {
		return "", false
	}
	return string(rest[:end]), true
}

// About decodes what the event is about. Of one that cannot be decoded, as one of a
// later version may be, nothing is known: it is for those who see everything.
func (e *Entry) About() About {
	var read struct {
		Data struct {
			ID, Token, Request, Bucket, Issuer string
			IssuedBy                           string `json:"issued_by"`
			Grant                              *Grant
		}
	}
	if json.Unmarshal(e.Raw, &read) != nil {
		return About{}
	}
	d := &read.Data
	about := About{Token: d.Token, Request: d.Request, Bucket: d.Bucket, Issuer: d.Issuer, IssuedBy: d.IssuedBy}
	if e.Type == RuleRevoked || e.Type == RuleLifted {
		about.Rule = d.Token == ""
		if g := d.Grant; g != nil {
			about.Issuer, about.IssuedBy, about.Bucket = g.Issuer, g.IssuedBy, g.Bucket
		} else if d.Token != "" {
			about = About{Token: d.Token} // whose it is nobody knows
		}
	}
	return about
}

// Follow tells on a channel that there may be something new, also when there is
// nothing. The caller ends it. Errors: [ErrFollowers], [ErrClosed].
func (r *Reader) Follow() (more <-chan struct{}, end func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.stopped:
		return nil, nil, ErrClosed
	default:
	}
	if len(r.followers) >= r.most {
		return nil, nil, ErrFollowers
	}
	wake := make(chan struct{}, 1)
	r.followers[wake] = true
	if r.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		r.stop = stop
		r.watching.Go(func() { r.watch(ctx) })
	}
	return wake, sync.OnceFunc(func() { r.leave(wake) }), nil
}

func (r *Reader) leave(wake chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, wake)
	if len(r.followers) == 0 && r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// Stopped is closed when the reader is: whoever follows should end.
func (r *Reader) Stopped() <-chan struct{} { return r.stopped }

// watchPause is how often the end of the stream is looked at, once for all who
// follow.
const watchPause = 200 * time.Millisecond

// watch wakes those who follow when the stream has grown. While Redis is away
// they are woken too, and find out for themselves.
func (r *Reader) watch(ctx context.Context) {
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	last := ""
	for {
		page, err := r.end(ctx)
		if err != nil || page.Next != last {
			last = page.Next
			r.wake()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reader) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for wake := range r.followers {
		select {
		case wake <- struct{}{}:
		default: // it was told and has not looked yet
		}
	}
}

// Close ends everybody who follows.
func (r *Reader) Close() {
	r.mu.Lock()
	select {
	case <-r.stopped:
	default:
		close(r.stopped)
	}
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
	r.mu.Unlock()
	r.watching.Wait()
}
