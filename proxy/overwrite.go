package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"s3gate/s3client"
	"s3gate/uploads"
)

// NoOverwrite is how an upload that may not replace an object doesn't.
type NoOverwrite string

// The values of NoOverwrite. But for CheckOverwrite the store decides, by
// If-None-Match.
const (
	// TrustStore believes that the store heeds If-None-Match; also "".
	TrustStore NoOverwrite = "trust"
	// ProbeStore tries that once, before the first such upload to the bucket
	// through this gate, and refuses them if the store does not.
	ProbeStore NoOverwrite = "auto"
	// CheckOverwrite looks whether an object is there, before the upload and
	// right before its end. Who stores one in between is overwritten.
	CheckOverwrite NoOverwrite = "check"
	// RefuseUploads refuses uploads that may not replace an object.
	RefuseUploads NoOverwrite = "refuse"
)

// errOverwrite is an upload that may not replace an object and, for all that
// the store does, could.
var errOverwrite = errors.New("store does not keep uploads from replacing objects")

// mayOverwrite refuses an upload that could replace an object and must not.
func (x *exchange) mayOverwrite(ctx context.Context, up Upstream) error {
	if x.grant().Upload.Overwrite {
		return nil
	}
	switch x.storage().NoOverwrite {
	case RefuseUploads:
		return errOverwrite
	case CheckOverwrite:
		return x.mustBeAbsent(ctx, up)
	case ProbeStore:
		return x.h.probes.ask(ctx, x.grant().Bucket, func() (bool, error) { return x.probe(ctx, up) })
	}
	return nil
}

// conditional reports whether S3 is to refuse the upload where an object is.
func (x *exchange) conditional() bool {
	return !x.grant().Upload.Overwrite && x.storage().NoOverwrite != CheckOverwrite
}

// commit asks for the last time whether the upload may be completed.
func (x *exchange) commit(ctx context.Context, up Upstream) error {
	if !x.grant().Upload.Overwrite && x.storage().NoOverwrite == CheckOverwrite {
		if err := x.mustBeAbsent(ctx, up); err != nil {
			return err
		}
	}
	if err := x.transfer.Commit(); err != nil {
		return err
	}
	// This process may have been stopped for so long that the upload was ended.
	return x.held.Mine(context.WithoutCancel(ctx))
}

// mustBeAbsent is for where nobody else looks: what is neither there nor absent
// is an error.
func (x *exchange) mustBeAbsent(ctx context.Context, up Upstream) error {
	resp, err := up.Do(ctx, &s3client.Request{Method: http.MethodHead, Key: x.key(), Agent: string(x.grant().ID)})
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		resp.Body.Close()
		return uploads.ErrExists
	case http.StatusNotFound:
		resp.Body.Close()
		return nil
	}
	return s3client.ReadError(resp)
}

// probeTimeout bounds the requests of a probe together.
const probeTimeout = 30 * time.Second

// probe finds out whether the store heeds If-None-Match, and logs if not.
func (x *exchange) probe(ctx context.Context, up Upstream) (heeds bool, err error) {
	// The next upload wants to know it too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	key := x.tempPrefix() + "probe"
	heeds, err = x.tryCanary(ctx, up, key)
	switch {
	case err != nil:
		err = fmt.Errorf("probing with %s whether the store heeds If-None-Match: %w", key, err)
	case !heeds && x.h.Logger != nil:
		x.h.Logger.LogAttrs(ctx, slog.LevelError,
			"the store ignores If-None-Match: uploads that may not overwrite are refused; see no_overwrite of the bucket",
			slog.String("bucket", x.grant().Bucket))
	}
	return heeds, err
}

// tryCanary stores a small object twice, the second time where it is. One that
// another probe has left makes it shorter.
func (x *exchange) tryCanary(ctx context.Context, up Upstream, key string) (heeds bool, err error) {
	for range 2 {
		status, err := x.putCanary(ctx, up, key)
		if err != nil || status != http.StatusOK {
			return status == http.StatusPreconditionFailed, err
		}
		defer removeCanary(ctx, up, key)
	}
	return false, nil
}

// putCanary returns the status of an answer that tells something.
func (x *exchange) putCanary(ctx context.Context, up Upstream, key string) (status int, err error) {
	const canary = "s3gate looks whether this is replaced.\n"
	header := http.Header{"If-None-Match": {"*"}, "Content-Type": {"text/plain"}}
	storage := x.storage()
	storage.Encrypt(header) // a bucket may demand it
	resp, err := up.Do(ctx, &s3client.Request{
		Method: http.MethodPut, Key: key, Header: header, Body: io.NopCloser(strings.NewReader(canary)), Size: int64(len(canary)),
	})
	if err != nil {
		return 0, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPreconditionFailed, http.StatusNotImplemented:
		drainAndClose(resp.Body)
		return resp.StatusCode, nil
	}
	return 0, s3client.ReadError(resp)
}

// removeCanary need not succeed.
func removeCanary(ctx context.Context, up Upstream, key string) {
	if resp, err := up.Do(ctx, &s3client.Request{Method: http.MethodDelete, Key: key}); err == nil {
		drainAndClose(resp.Body)
	}
}

// probes remembers which buckets heed If-None-Match. The zero probes is ready
// to use, and safe for concurrent use.
type probes struct {
	mu      sync.Mutex
	buckets map[string]*probed
}

// probed is one bucket. Who has put something into turn may use the rest.
type probed struct {
	turn        chan struct{}
	done, heeds bool
}

// ask probes a bucket unless that is done; others wait meanwhile. A probe that
// fails is made again by the next one. The error is errOverwrite if the bucket
// does not heed the condition.
func (p *probes) ask(ctx context.Context, bucket string, probe func() (heeds bool, err error)) error {
	b := p.of(bucket)
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !b.done {
		heeds, err := probe()
		if err != nil {
			return err
		}
		b.done, b.heeds = true, heeds
	}
	if !b.heeds {
		return errOverwrite
	}
	return nil
}

func (p *probes) of(bucket string) *probed {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.buckets[bucket]
	if b == nil {
		b = &probed{turn: make(chan struct{}, 1)}
		if p.buckets == nil {
			p.buckets = map[string]*probed{}
		}
		p.buckets[bucket] = b
	}
	return b
}
