package uploads

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
	"s3gate/s3client"
	"s3gate/tokens"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	beginScript = script.Load(sources, "begin")
	takeScript  = script.Load(sources, "take")
	holdScript  = script.Load(sources, "hold")
	dropScript  = script.Load(sources, "drop")
)

const (
	// agendaKey names the list of uploads that somebody has to look at. Members
	// are {token ID}/{name}.
	agendaKey = "s3g:uploads"
	// entryLife bounds how long an entry stands that nobody could resolve.
	entryLife = 60 * 24 * time.Hour
	// takeWait is how long Take waits for a holder: longer than one that has
	// died keeps its hold.
	takeWait = holdLife + 5*time.Second
	takeTry  = 100 * time.Millisecond
)

// agendaMember is what stands on the agenda for an upload.
func agendaMember(id tokens.ID, name string) string { return string(id) + "/" + name }

func entryKey(id tokens.ID, name string) string { return "s3g:{" + string(id) + "}:u:" + name }

// State is how far an upload has come.
type State string

// The states. What is completing may have been stored: only S3 can tell.
const (
	Uploading  State = "uploading"
	Completing State = "completing"
	Done       State = "done"
	// Dropped is what came to nothing and may have left a stray multipart upload.
	Dropped State = "dropped"
)

// Entry is one upload in the journal.
type Entry struct {
	// Token is the token of its use.
	Token tokens.ID
	// Name names it among the uploads of the token, for clients that go on with
	// it: 130 random bits. [Journal.Begin] fills it.
	Name string
	// Attempt is the use, as [tokens.Use.Attempt] names it.
	Attempt string
	// Bucket is the alias of the bucket, and Key the key of the object to be.
	Bucket, Key string
	// Overwrite permits to replace an object.
	Overwrite bool
	// Size is that of the object in bytes, less than 0 while it is not known.
	Size int64
	// Part is the size in bytes of each of its parts but the last; 0 for one that
	// ends with its request.
	Part int64
	// Header describes the object to be; only uploads that can be resumed need
	// it.
	Header http.Header
	// Expires is until when a client may go on with the upload, by Redis time;
	// zero for one that ends with its request.
	Expires time.Time
	// Began is when it began, by Redis time, filled by the journal.
	Began time.Time

	// State is uploading in a new entry.
	State State
	// Multipart says that a multipart upload was asked for, and UploadID is what
	// S3 calls it; "" until it has said so.
	Multipart bool
	UploadID  string
	// Stray says that S3 may have begun another one, whose ID nobody has heard.
	Stray bool
	// Parts is the [Fingerprint] of what is completing; "" if that is one
	// request.
	Parts string
	left  time.Time // when it was last held, at the latest

	// Result are the headers with which S3 answered when it was stored; of what
	// is done.
	Result http.Header
}

// Object is the object that the upload is to become.
func (e *Entry) Object() *Object {
	return &Object{Key: e.Key, Mark: tokens.MarkOf(e.Attempt), Overwrite: e.Overwrite, Agent: string(e.Token)}
}

// Upload is the multipart upload; nil if its ID is not known.
func (e *Entry) Upload() *s3client.Upload {
	if e.UploadID == "" {
		return nil
	}
	return &s3client.Upload{Key: e.Key, ID: e.UploadID, Agent: string(e.Token)}
}

// Redis is what a [Journal] needs of a go-redis client; see [tokens.Redis].
type Redis interface {
	redis.Scripter
	ZRem(ctx context.Context, key string, members ...any) *redis.IntCmd
}

// Options configure a [Journal]. The zero Options are ready to use.
type Options struct {
	// Grace is how long after its gate was last heard of an upload is left
	// alone, before another gate ends it; 0 means 15 minutes. It must be longer
	// than a gate that has lost Redis goes on, and than S3 needs to carry out a
	// request that it has got.
	Grace time.Duration
	// Resume is how long after it was last worked on a client may go on with an
	// upload that can be resumed; 0 means 24 hours.
	Resume time.Duration
	// MinAcks and AckTimeout are as in [tokens.Options].
	MinAcks    int
	AckTimeout time.Duration
	// Logger hears of what could not be noted; nil discards.
	Logger *slog.Logger

	// Tests have no patience. 0 means the constant.
	holdLife, holdEvery, takeWait time.Duration
}

// Journal is the list of uploads in Redis that leave something behind if their
// gate dies. It is safe for concurrent use; any number of journals on one Redis
// act as one.
type Journal struct {
	scripts *script.Runner
	agenda  *script.Agenda
	opts    Options
}

// New returns the journal on a Redis client, which stays the caller's to close.
func New(rdb Redis, opts Options) *Journal {
	opts.Grace = cmp.Or(opts.Grace, 15*time.Minute)
	opts.Resume = cmp.Or(opts.Resume, 24*time.Hour)
	opts.holdLife = cmp.Or(opts.holdLife, holdLife)
	opts.holdEvery = cmp.Or(opts.holdEvery, holdEvery)
	opts.takeWait = cmp.Or(opts.takeWait, takeWait)
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	scripts := script.NewRunner(rdb, script.Acks{Replicas: opts.MinAcks, Timeout: opts.AckTimeout})
	return &Journal{scripts: scripts, agenda: &script.Agenda{Key: agendaKey, Scripts: scripts, RDB: rdb}, opts: opts}
}

// Begin enters an upload and holds it; resumable says that other requests may
// go on with it. When it returns the entry cannot be lost with the primary of
// Redis. Errors: [ErrJournal].
func (j *Journal) Begin(ctx context.Context, e Entry, resumable bool) (*Held, error) {
	e.Name, e.State = rand.Text(), Uploading
	first := j.opts.Grace
	if resumable {
		first = min(first, unheardLife)
	}
	// The list comes first: what is on it and not in the journal is harmless.
	if err := j.agenda.Add(ctx, j.opts.holdLife+first, agendaMember(e.Token, e.Name)); err != nil {
		return nil, unreachable(err)
	}
	on := any("")
	if resumable {
		on = j.opts.Resume.Milliseconds()
	}
	args := []any{j.opts.holdLife.Milliseconds(), entryLife.Milliseconds(), on,
		"s", string(Uploading), "a", e.Attempt, "b", e.Bucket, "k", e.Key, "z", e.Size, "q", e.Part, "r", flag(e.Overwrite), "h", encodeHeader(e.Header)}
	_, r, err := j.scripts.Write(ctx, beginScript, string(e.Token), []string{entryKey(e.Token, e.Name)}, args...)
	if err != nil {
		return nil, unreachable(err)
	}
	if e.Began = r.Time(0); resumable {
		e.Expires = e.Began.Add(j.opts.Resume)
	}
	return j.held(e, 1, e.Began), nil
}

// Take takes over an upload that can be resumed. A request that holds it is
// asked to let go, and waited for; one whose gate has died lets go after ten
// seconds. What is done is returned and held by nobody. Errors: [ErrGone], also
// for one that cannot be resumed, or not any more, [ErrBusy], [ErrJournal], and that of ctx.
func (j *Journal) Take(ctx context.Context, id tokens.ID, name string) (*Held, error) {
	who := rand.Text()
	for deadline := time.Now().Add(j.opts.takeWait); ; {
		h, _, err := j.take(ctx, id, name, who, "", false)
		if err == nil && (h.State == Dropped || !h.now.Before(h.Expires)) {
			h.leave(ctx)
			return nil, ErrGone
		}
		if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			return h, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(takeTry):
		}
	}
}

// take runs take.lua; of an upload that may be taken later it returns after how
// long, and nil. With ended it does not matter that a client may go on with it.
func (j *Journal) take(ctx context.Context, id tokens.ID, name, who string, grace any, ended bool) (h *Held, later time.Duration, err error) {
	status, r, err := j.scripts.Write(ctx, takeScript, string(id), []string{entryKey(id, name)},
		j.opts.holdLife.Milliseconds(), entryLife.Milliseconds(), who, grace, flag(ended))
	if err != nil {
		return nil, 0, unreachable(err)
	}
	switch status {
	case "gone":
		return nil, 0, ErrGone
	case "busy":
		return nil, 0, ErrBusy
	case "later":
		return nil, time.Duration(r.Number(0)) * time.Millisecond, nil
	case "ok", "done":
	default:
		return nil, 0, unreachable(fmt.Errorf("status %q", status))
	}
	fields := r.Pairs(1)
	fence, _ := strconv.ParseInt(fields["f"], 10, 64)
	e := readEntry(id, name, fields)
	if status == "done" && grace == "" {
		return &Held{Entry: e, journal: j, now: r.Time(0)}, 0, nil
	}
	return j.held(e, fence, r.Time(0)), 0, nil
}

func readEntry(id tokens.ID, name string, f map[string]string) Entry {
	size, err := strconv.ParseInt(f["z"], 10, 64)
	if err != nil {
		size = -1
	}
	part, _ := strconv.ParseInt(f["q"], 10, 64)
	return Entry{
		Token: id, Name: name, Attempt: f["a"], Bucket: f["b"], Key: f["k"], Overwrite: f["r"] == "1", Size: size, Part: part,
		Header: decodeHeader(f["h"]), Expires: readTime(f["x"]), Began: readTime(f["c"]), left: readTime(f["y"]),
		State: State(f["s"]), Multipart: f["m"] == "1", UploadID: f["i"], Stray: f["l"] == "1", Parts: f["p"],
		Result: decodeHeader(f["j"]),
	}
}

func readTime(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

func encodeHeader(h http.Header) string {
	text, err := json.Marshal(h)
	if err != nil {
		panic(err) // strings
	}
	return string(text)
}

func decodeHeader(text string) http.Header {
	var h http.Header
	if json.Unmarshal([]byte(text), &h) != nil {
		return nil
	}
	return h
}

// flag is how Redis has a yes or no.
func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func unreachable(err error) error { return fmt.Errorf("%w: %w", ErrJournal, err) }
