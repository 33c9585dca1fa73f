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
	// Permits says whether what a grant permits may be done. An upload for which it
	// says [tokens.ErrRevoked] is not waited for. Nil permits all.
	Permits func(*tokens.Grant) error
	// Commit asks for the last time whether an upload may be completed, which has
	// the ID for whoever revokes it from now on; done is called after that. An error
	// other than [tokens.ErrRevoked] means not now. Nil permits all.
	Commit func(ctx context.Context, id string, g *tokens.Grant) (done func(), err error)
	// Check are the aliases of buckets whose store does not heed a condition; see
	// [Object].
	Check map[string]bool
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
	return s.Journal.agenda.Each(ctx, sweepMost, sweepAgain, func(member string) bool { return s.look(ctx, member) })
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
	h, later, err := s.take(ctx, id, name)
	switch {
	case errors.Is(err, ErrGone):
		j.agenda.Remove(ctx, member)
		return false
	case err != nil:
		return false
	case h == nil:
		_ = j.agenda.Add(ctx, min(later, j.opts.Grace), member)
		return false
	}
	state := h.State
	err = s.end(ctx, h)
	if errors.Is(err, errGoesOn) {
		_ = h.Resume(ctx)
		h.leave(ctx)
		return false
	}
	if err != nil {
		s.log(slog.LevelWarn, h, "upload cannot be ended", "state", string(state), "err", err)
		h.leave(ctx)
		return false
	}
	h.Stray = false
	h.Drop(ctx)
	return true
}

// take takes an upload that is due; see [Journal.take]. One that a client may go on
// with is due early when its token does not permit that any more.
func (s *Sweeper) take(ctx context.Context, id tokens.ID, name string) (h *Held, later time.Duration, err error) {
	grace := s.Journal.opts.Grace
	h, later, err = s.Journal.take(ctx, id, name, "sweeper", grace.Milliseconds(), false)
	if later > grace && s.revoked(ctx, id) {
		h, later, err = s.Journal.take(ctx, id, name, "sweeper", grace.Milliseconds(), true)
	}
	return h, later, err
}

// revoked reports whether a token was revoked, or forgotten.
func (s *Sweeper) revoked(ctx context.Context, id tokens.ID) bool {
	use, err := s.Recover(ctx, id, "")
	if use == nil || errors.Is(err, tokens.ErrRevoked) {
		return errors.Is(err, tokens.ErrRevoked) || errors.Is(err, tokens.ErrUnknown)
	}
	return s.Permits != nil && errors.Is(s.Permits(&use.Grant), tokens.ErrRevoked)
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
		if err := s.dropStrays(ctx, up, h); err != nil {
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
	refused := false
	stored, err := h.Settle(ctx, up, func(parts []s3client.Part) (stored http.Header, err error) {
		stored, err = s.complete(ctx, up, h, parts)
		refused = stored == nil && err == nil
		return stored, err
	})
	switch {
	case err != nil || stored != nil:
		return stored, err
	case !refused && h.now.Before(h.Expires) && !s.revoked(ctx, h.Token):
		return nil, errGoesOn
	}
	return nil, s.abort(ctx, up, h)
}

// errGoesOn is an upload that was about to be stored, was not, and with which its
// client may go on.
var errGoesOn = errors.New("upload may be gone on with")

// complete completes an upload of which all parts are there, if that is permitted.
// Without headers and an error it is not, or S3 refuses it for good.
func (s *Sweeper) complete(ctx context.Context, up Upstream, h *Held, parts []s3client.Part) (http.Header, error) {
	use, err := s.Recover(ctx, h.Token, h.Attempt)
	switch {
	case errors.Is(err, tokens.ErrUnproven):
		return nil, err
	case use == nil, errors.Is(err, tokens.ErrRevoked):
		return nil, nil
	}
	// A use that came back may be somebody else's by now.
	if err := use.Stay(ctx); err != nil {
		return nil, unless(err, tokens.ErrInUse)
	}
	o := h.Object()
	o.Check = s.Check[h.Bucket]
	if s.Commit != nil {
		done, err := s.Commit(ctx, "upl_"+o.Mark, &use.Grant)
		if err != nil {
			return nil, unless(err, tokens.ErrRevoked)
		}
		defer done()
	}
	stored, err := o.Complete(ctx, up, h.Upload(), parts, s.Retry)
	var answered *s3client.Error
	switch {
	case errors.Is(err, ErrUnknown):
	case errors.Is(err, ErrExists), errors.As(err, &answered) && answered.Status < 500 && answered.Status != http.StatusOK:
		return nil, nil
	}
	return stored, err
}

// unless is err, or nil if it is that one.
func unless(err, one error) error {
	if errors.Is(err, one) {
		return nil
	}
	return err
}

func (s *Sweeper) abort(ctx context.Context, up Upstream, h *Held) error {
	if h.UploadID == "" {
		return nil
	}
	return Abort(ctx, up, h.Upload(), s.Retry)
}

// Settle finds out what became of an upload that somebody else may have
// completed. It returns the headers of the object if it was stored. If it was not,
// and all its parts are still there, complete is called to do that, unless it is
// nil, and returns what Settle then does. With neither an error nor headers the
// upload has come to nothing, and S3 will not store it any more, but for parts that
// are still there: those are to be aborted.
func (e *Entry) Settle(ctx context.Context, up Upstream, complete func([]s3client.Part) (http.Header, error)) (http.Header, error) {
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
	case complete == nil || e.State != Completing || Fingerprint(parts) != e.Parts:
		return nil, nil
	}
	return complete(parts)
}

// errYoung is a multipart upload that may be another gate's, which is about to send
// the first part.
var errYoung = errors.New("an upload without parts was begun lately")

// dropStrays aborts multipart uploads of which nobody has heard the ID: those of
// the key that began while this one did, and of which no part has come in all the
// time since. Another gate's would have parts by now.
func (s *Sweeper) dropStrays(ctx context.Context, up Upstream, h *Held) error {
	e := &h.Entry
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
			if u.Initiated.After(h.now.Add(-s.Journal.opts.Grace)) {
				return errYoung
			}
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
