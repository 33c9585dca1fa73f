package uploads

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"s3gate/internal/script"
	"s3gate/s3client"
)

const (
	// holdLife is how long a hold stands that nobody keeps: what a gate that
	// dies takes with it.
	holdLife = 10 * time.Second
	// holdEvery is how often a hold is kept: so often its owner also learns that
	// somebody waits.
	holdEvery = time.Second
	// unheardLife is how long an upload stands that nobody has come for yet.
	unheardLife = 2 * time.Minute
	// noteTimeout bounds what is noted when a request is over.
	noteTimeout = 5 * time.Second
)

// errWanted is an upload that is still held, and for which somebody waits.
var errWanted = fmt.Errorf("%w: somebody waits for it", ErrTaken)

// Held is an upload that one request holds. Its owner calls one of Done, Drop
// and Release at its end, and then nothing more. It is for one goroutine, but for
// Context. A nil Held is that of an upload that the journal need not know, and its
// notes do nothing.
type Held struct {
	Entry
	journal *Journal
	fence   int64 // 0 of what is done, which nobody holds
	ctx     context.Context
	cancel  context.CancelCauseFunc
	kept    sync.WaitGroup

	unheard bool

	mu   sync.Mutex
	sure time.Time // when it was last known to be ours, by the local clock

	now   time.Time // by Redis time, when it was taken
	taken time.Time // by the local clock
}

// held holds an entry, from a moment by Redis time on.
func (j *Journal) held(e Entry, fence int64, now time.Time) *Held {
	h := &Held{Entry: e, journal: j, fence: fence, now: now, taken: time.Now(), sure: time.Now()}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.kept.Go(h.keep)
	return h
}

// Context ends when the owner must let go of the upload, with [ErrTaken] as its
// cause, and when it has. Nothing more may be sent for the upload then.
func (h *Held) Context() context.Context {
	if h == nil {
		return context.Background()
	}
	return h.ctx
}

// Until is until when a client may go on with the upload, by Redis time, if it is
// let go of now; the zero time for one that cannot be resumed.
func (h *Held) Until() time.Time {
	if h.Expires.IsZero() || h.fence == 0 {
		return h.Expires
	}
	return h.now.Add(time.Since(h.taken) + h.resume())
}

// Unheard says that the client may not have heard of the upload, of which nothing
// is there yet: when it is let go of now it expires after two minutes.
func (h *Held) Unheard() { h.unheard = true }

func (h *Held) resume() time.Duration {
	if h.unheard {
		return min(unheardLife, h.journal.opts.Resume)
	}
	return h.journal.opts.Resume
}

// Fence is higher than that of everybody who held the upload before.
func (h *Held) Fence() int64 { return h.fence }

// keep keeps the hold until it is let go of, or lost. A Redis that is away does
// not end it: who takes the upload over then has a higher fence.
func (h *Held) keep() {
	tick := time.NewTicker(h.journal.opts.holdEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(h.ctx, noteTimeout)
		status, err := h.run(ctx, h.journal.scripts.Read, h.journal.opts.holdLife, -1)
		cancel()
		switch {
		case err != nil || status == "ok":
			continue
		case status == "wanted":
			h.cancel(errWanted)
		default:
			h.cancel(ErrTaken)
		}
		return
	}
}

// runFunc is [script.Runner.Read], or Write.
type runFunc = func(context.Context, *script.Script, string, []string, ...any) (string, script.Reply, error)

// run runs hold.lua. With resume less than 0 the time until which the upload can
// be resumed stays.
func (h *Held) run(ctx context.Context, run runFunc, life, resume time.Duration, fields ...any) (string, error) {
	on := any("")
	if resume >= 0 {
		on = resume.Milliseconds()
	}
	args := append([]any{h.fence, life.Milliseconds(), on}, fields...)
	asked := time.Now()
	status, _, err := run(ctx, holdScript, string(h.Token), []string{entryKey(h.Token, h.Name)}, args...)
	if err == nil && (status == "ok" || status == "wanted") {
		h.mu.Lock()
		h.sure = asked
		h.mu.Unlock()
	}
	return status, err
}

// Mine is nil while the upload is its owner's, as far as sweepers go: they let an
// owner alone that was heard of lately, so Redis is asked only if it was not, as by
// a process that was stopped for long. Errors: those of note.
func (h *Held) Mine(ctx context.Context) error {
	if h == nil || h.fence == 0 {
		return nil
	}
	if cause := context.Cause(h.ctx); errors.Is(cause, ErrTaken) && !errors.Is(cause, errWanted) {
		return ErrTaken
	}
	h.mu.Lock()
	sure := h.sure
	h.mu.Unlock()
	// One of the clocks may stand still while the machine sleeps.
	if max(time.Since(sure), time.Now().Round(0).Sub(sure.Round(0))) < h.journal.opts.Grace/2 {
		return nil
	}
	return h.note(ctx, h.journal.opts.holdLife, -1)
}

// Abandon notes that the upload will not be stored. With nil its use may be handed
// back; else whoever has taken the upload over ends the use. Errors: those of note.
func (h *Held) Abandon(ctx context.Context) error {
	if h != nil && h.State == Completing {
		return h.Resume(ctx)
	}
	return h.Mine(ctx)
}

// note notes fields so that they are not lost. Errors: [ErrTaken], [ErrJournal].
func (h *Held) note(ctx context.Context, life, resume time.Duration, fields ...any) error {
	status, err := h.run(ctx, h.journal.scripts.Write, life, resume, fields...)
	switch {
	case err != nil:
		return unreachable(err)
	case status != "ok" && status != "wanted":
		h.cancel(ErrTaken)
		return ErrTaken
	}
	return nil
}

// Creating notes that S3 is about to be asked for a multipart upload. Errors:
// those of note, which all the notes have: [ErrTaken], [ErrJournal].
func (h *Held) Creating(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.Multipart = true
	return h.note(ctx, h.journal.opts.holdLife, -1, "m", "1")
}

// Created notes what S3 calls the multipart upload.
func (h *Held) Created(ctx context.Context, id string) error {
	if h == nil {
		return nil
	}
	h.UploadID = id
	return h.note(ctx, h.journal.opts.holdLife, -1, "i", id, "l", flag(h.Stray))
}

// Astray says that S3 may have begun a multipart upload whose ID was lost with
// its answer. The next note tells the journal.
func (h *Held) Astray() {
	if h != nil {
		h.Stray = true
	}
}

// Completing notes that the upload is about to be stored, from the parts, or
// from one request if there are none. It comes before the last word to S3.
func (h *Held) Completing(ctx context.Context, parts []s3client.Part) error {
	if h == nil {
		return nil
	}
	h.State, h.Parts = Completing, Fingerprint(parts)
	return h.note(ctx, h.journal.opts.holdLife, -1, "s", string(Completing), "p", h.Parts)
}

// Resume notes that the upload was not stored after all, and goes on.
func (h *Held) Resume(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.State, h.Parts = Uploading, ""
	return h.note(ctx, h.journal.opts.holdLife, -1, "s", string(Uploading), "p", "")
}

// Done notes that the upload was stored, and lets go of it. One that can be
// resumed is remembered with what S3 answered, for as long as it could have been;
// another is not.
func (h *Held) Done(ctx context.Context, result http.Header) {
	if h == nil {
		return
	}
	h.State, h.Result = Done, result
	if h.Expires.IsZero() {
		h.Drop(ctx)
		return
	}
	h.end(ctx, func(ctx context.Context) error {
		return h.note(ctx, 0, h.journal.opts.Resume, "s", string(Done), "j", encodeHeader(result), "z", h.Size)
	})
}

// Drop takes the upload out of the journal, when nothing is left of it. If S3
// may have begun a stray multipart upload, that is left to be looked for.
func (h *Held) Drop(ctx context.Context) {
	if h == nil {
		return
	}
	if h.Stray {
		h.end(ctx, func(ctx context.Context) error {
			return h.note(ctx, 0, h.journal.opts.Grace, "s", string(Dropped), "l", "1")
		})
		return
	}
	h.end(ctx, func(ctx context.Context) error {
		status, _, err := h.journal.scripts.Write(ctx, dropScript, string(h.Token), []string{entryKey(h.Token, h.Name)}, h.fence)
		if err == nil && status == "ok" {
			h.journal.agenda.Remove(ctx, agendaMember(h.Token, h.Name))
		}
		return err
	})
}

// Release lets go of the upload as it stands. If it can be resumed a client may
// go on with it; else it is ended by the sweeper.
func (h *Held) Release(ctx context.Context) {
	if h == nil {
		return
	}
	resume := time.Duration(-1)
	if !h.Expires.IsZero() {
		resume = h.resume()
	}
	h.end(ctx, func(ctx context.Context) error { return h.note(ctx, 0, resume) })
}

// leave lets go of the upload and leaves everything as it is.
func (h *Held) leave(ctx context.Context) {
	h.end(ctx, func(ctx context.Context) error { return h.note(ctx, 0, -1) })
}

// end stops keeping the upload and notes its end. If that fails the hold runs
// out, and the sweeper finds out.
func (h *Held) end(ctx context.Context, note func(context.Context) error) {
	if h.fence == 0 {
		return
	}
	h.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := note(ctx); err != nil {
		h.journal.opts.Logger.Warn("noting the end of an upload", "token", string(h.Token), "err", err)
	}
}

func (h *Held) stop() {
	h.cancel(nil)
	h.kept.Wait()
}

// Fingerprint is short for the parts of an upload: how many there are, and what
// they are. It is "" for none.
func Fingerprint(parts []s3client.Part) string {
	if len(parts) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d %s\n", p.Number, p.ETag)
	}
	return strconv.Itoa(len(parts)) + ":" + hex.EncodeToString(sum.Sum(nil)[:16])
}
