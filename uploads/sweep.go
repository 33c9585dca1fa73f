package uploads

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"s3gate/s3client"
	"s3gate/tokens"
)

const (
	sweepEvery = 5 * time.Second
	sweepMost  = 100
	// sweepAgain is after how long another gate looks at an upload that one has
	// taken from the list.
	sweepAgain = time.Minute
	// strayMargin is how far the clocks of S3 and Redis may differ.
	strayMargin = 2 * time.Minute
)

// Sweeper ends the uploads whose gate has died, or could not end them. Any number
// of gates sweep at a time. Its fields are set before Run.
type Sweeper struct {
	// Journal is where they stand. Required.
	Journal *Journal
	// Buckets are the upstreams by alias. What is for another bucket is left to
	// a gate that has it.
	Buckets map[string]Upstream
	// Recover gives back the use of an upload; [tokens.Store.Recover] is one.
	// Required.
	Recover func(ctx context.Context, id tokens.ID, attempt string) (*tokens.Use, error)
	// Permits says whether an upload may be completed; nil permits all.
	Permits func(*tokens.Grant) error
	// Ended is told of each use that has ended; nil hears nothing. It must not
	// block.
	Ended func(tokens.Receipt)
	// TempPrefix begins the keys of temporary objects; see [Temp].
	TempPrefix string
	// Retry is for requests to S3.
	Retry Retry
	// Logger hears of each upload that was ended; nil discards.
	Logger *slog.Logger
}

// Run sweeps every few seconds, until ctx is done.
func (s *Sweeper) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.Sweep(ctx)
		}
	}
}

// Sweep looks at all uploads that are due, and returns how many it has ended.
func (s *Sweeper) Sweep(ctx context.Context) int {
	n := 0
	for ctx.Err() == nil {
		due, _ := s.Journal.agenda.Due(ctx, sweepMost, sweepAgain) // when Redis is away they stay due
		for _, member := range due {
			if s.look(ctx, member) {
				n++
			}
		}
		if len(due) < sweepMost {
			break
		}
	}
	return n
}

// look looks at one upload and reports whether it has ended it.
func (s *Sweeper) look(ctx context.Context, member string) bool {
	j := s.Journal
	text, name, _ := strings.Cut(member, "/")
	id, err := tokens.ParseID(text)
	if err != nil {
		j.agenda.Remove(ctx, member)
		return false
	}
	h, later, err := j.take(ctx, id, name, "sweeper", j.opts.Grace.Milliseconds())
	switch {
	case errors.Is(err, ErrGone):
		j.agenda.Remove(ctx, member)
		return false
	case err != nil:
		return false
	case h == nil:
		_ = j.agenda.Add(ctx, later, member)
		return false
	}
	state := h.State
	if err := s.end(ctx, h); err != nil {
		s.log(slog.LevelWarn, h, "upload cannot be ended", "state", string(state), "err", err)
		h.leave(ctx)
		return false
	}
	h.Stray = false
	h.Drop(ctx)
	j.agenda.Remove(ctx, member)
	return true
}

func (s *Sweeper) log(level slog.Level, h *Held, what string, attrs ...any) {
	if s.Logger != nil {
		s.Logger.Log(context.Background(), level, what, append([]any{"token", string(h.Token), "bucket", h.Bucket}, attrs...)...)
	}
}

// end ends one upload, whatever it takes: S3 is asked what became of it, what is
// left in the bucket is dropped, and the use is charged or handed back.
func (s *Sweeper) end(ctx context.Context, h *Held) error {
	up := s.Buckets[h.Bucket]
	if up == nil {
		return errors.New("no such bucket here")
	}
	stored, err := s.conclude(ctx, up, h)
	if err != nil {
		return err
	}
	if h.Stray || h.Multipart && h.UploadID == "" {
		if err := s.dropStrays(ctx, up, &h.Entry); err != nil {
			return err
		}
	}
	if err := (&Temp{Prefix: s.TempPrefix, Entry: &h.Entry}).Drop(ctx, up); err != nil {
		return err
	}
	if h.State == Done || h.State == Dropped {
		return nil
	}
	return s.settle(ctx, h, stored)
}

// conclude finds out what became of an upload and makes an end of it. It returns
// the headers of the object if it was stored.
func (s *Sweeper) conclude(ctx context.Context, up Upstream, h *Held) (http.Header, error) {
	switch {
	case h.State == Done || h.State == Dropped:
		return nil, nil
	case h.State == Uploading && !h.Expires.IsZero():
		// An earlier request for it may have stored it, and never heard so.
		if stored, err := h.Object().Find(ctx, up); err != nil || stored != nil {
			return stored, err
		}
		return nil, s.abort(ctx, up, h)
	case h.State == Uploading && h.Multipart:
		return nil, s.abort(ctx, up, h)
	}
	use, err := s.Recover(ctx, h.Token, h.Attempt)
	if errors.Is(err, tokens.ErrUnproven) {
		return nil, err
	}
	permitted := use != nil && !errors.Is(err, tokens.ErrRevoked) && (s.Permits == nil || s.Permits(&use.Grant) == nil)
	stored, err := h.Settle(ctx, up, permitted, s.Retry)
	if err != nil || stored != nil {
		return stored, err
	}
	return nil, s.abort(ctx, up, h)
}

func (s *Sweeper) abort(ctx context.Context, up Upstream, h *Held) error {
	if h.UploadID == "" {
		return nil
	}
	return Abort(ctx, up, h.Upload(), s.Retry)
}

// Settle finds out what became of an upload that somebody else may have
// completed. It returns the headers of the object if it was stored. If it was not,
// and all its parts are still there, they are completed, if that is permitted. With
// neither an error nor headers the upload has come to nothing, and S3 will not
// store it any more, but for parts that are still there: those are to be aborted.
func (e *Entry) Settle(ctx context.Context, up Upstream, permitted bool, retry Retry) (http.Header, error) {
	o := e.Object()
	stored, err := o.Find(ctx, up)
	if err != nil || stored != nil || e.UploadID == "" {
		return stored, err
	}
	parts, err := Parts(ctx, up, e.Upload())
	switch {
	case gone(err):
		// It was completed or aborted, maybe since S3 was asked.
		return o.Find(ctx, up)
	case err != nil:
		return nil, err
	case !permitted || e.State != Completing || Fingerprint(parts) != e.Parts:
		return nil, nil
	}
	stored, err = o.Complete(ctx, up, e.Upload(), parts, retry)
	var answered *s3client.Error
	if errors.As(err, &answered) && !errors.Is(err, ErrUnknown) && answered.Status < 500 && answered.Status != http.StatusOK {
		return nil, nil // S3 refuses it for good
	}
	return stored, err
}

// dropStrays aborts multipart uploads of which nobody has heard the ID: those of
// the key that began while this one did, and of which no part has come in all the
// time since. Another gate's would have parts by now.
func (s *Sweeper) dropStrays(ctx context.Context, up Upstream, e *Entry) error {
	resp, err := up.Do(ctx, s3client.NewListUploadsRequest(e.Key, string(e.Token)))
	if err != nil {
		return err
	}
	found, err := s3client.ReadUploads(resp)
	if err != nil {
		return err
	}
	for _, u := range found {
		if u.Key != e.Key || u.ID == e.UploadID || u.Initiated.Before(e.Began.Add(-strayMargin)) || u.Initiated.After(e.left.Add(strayMargin)) {
			continue
		}
		u.Agent = string(e.Token)
		parts, err := Parts(ctx, up, &u.Upload)
		if err == nil && len(parts) == 0 {
			err = Abort(ctx, up, &u.Upload, s.Retry)
		}
		if err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

// settle ends the use.
func (s *Sweeper) settle(ctx context.Context, h *Held, stored http.Header) error {
	use, err := s.Recover(ctx, h.Token, h.Attempt)
	if use == nil {
		if errors.Is(err, tokens.ErrUnknown) {
			return nil // the token is forgotten, and its uses with it
		}
		return fmt.Errorf("recovering the use: %w", err)
	}
	size := h.Size
	if stored == nil {
		use.Refund(ctx)
	} else {
		if n, err := strconv.ParseInt(stored.Get("Content-Length"), 10, 64); err == nil && n > 0 {
			size = n
		}
		use.Stored(tokens.Object{Key: h.Key, Size: size, ETag: stored.Get("Etag"), VersionID: stored.Get("X-Amz-Version-Id")})
		use.Commit(ctx)
	}
	if receipt, ended := use.End(ctx, size); ended && s.Ended != nil {
		s.Ended(receipt)
	}
	s.log(slog.LevelInfo, h, "upload of a lost gate ended", "stored", stored != nil)
	return nil
}
