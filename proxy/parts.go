package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"s3gate/s3client"
	"s3gate/uploads"
)

// Multipart sends uploads in parts that one request cannot carry: those that
// are too large or do not say their length. Each part waits in memory until S3
// has it, so that it can be sent again. Zero fields mean defaults; they are
// set before the first upload. Multipart is safe for concurrent use.
type Multipart struct {
	// SingleMax is the size in bytes of the largest upload of known length
	// that is sent as one request; 0 means 5 GiB, which is S3's limit.
	SingleMax int64
	// PartSize is the size in bytes of the smallest part but the last of an
	// upload, at least 5 MiB for S3; 0 means 8 MiB. Large uploads have larger
	// parts.
	PartSize int64
	// Memory is how many bytes the parts of all uploads may take together; 0
	// means 256 MiB. It is also the size of the largest part. Uploads wait
	// when there is none left.
	Memory int64
	// Concurrency is how many parts of one upload are sent at a time; 0 means
	// 4. Another one is read meanwhile.
	Concurrency int
	// Tries is how often a request is sent that S3 does not answer, or
	// answers with 500 or 503; 0 means 4.
	Tries int
	// Backoff is the wait before the second try, twice that before the third
	// and so on; 0 means 200 ms.
	Backoff time.Duration

	once    sync.Once
	shared  *memory
	retries atomic.Uint64
}

// MultipartStats is what uploads in parts take and do, at one moment.
type MultipartStats struct {
	// Held is how many bytes of memory parts have, of Limit.
	Held, Limit int64
	// Retries counts parts that were sent again.
	Retries uint64
}

// Stats returns the present MultipartStats.
func (m *Multipart) Stats() MultipartStats {
	shared := m.memory()
	return MultipartStats{Held: shared.held.Load(), Limit: shared.size, Retries: m.retries.Load()}
}

// The defaults in bytes.
const (
	defaultMemory = 256 << 20
	defaultPart   = 8 << 20
)

// block is the unit of memory in bytes.
const block = 256 << 10

var errReleased = errors.New("part was given up")

func (m *Multipart) memory() *memory {
	m.once.Do(func() {
		m.shared = newMemory(cmp.Or(m.Memory, defaultMemory), min(block, cmp.Or(m.PartSize, defaultPart)))
	})
	return m.shared
}

// retry says how often a request is sent.
func (m *Multipart) retry() uploads.Retry { return uploads.Retry{Tries: m.Tries, Backoff: m.Backoff} }

// partSender sends the parts of one upload, some at a time. It is used by one
// goroutine.
type partSender struct {
	*Multipart
	up     Upstream
	upload *s3client.Upload
	sums   bool // each part carries a checksum
	group  *errgroup.Group
	ctx    context.Context // ends with the first part that fails, whose error is its cause
	stop   func()          // ends it

	mu    sync.Mutex
	parts []s3client.Part
}

// newPartSender sends parts until ctx ends.
func newPartSender(ctx context.Context, m *Multipart, up Upstream, upload *s3client.Upload) *partSender {
	s := &partSender{Multipart: m, up: up, upload: upload}
	ctx, s.stop = context.WithCancel(ctx)
	s.group, s.ctx = errgroup.WithContext(ctx)
	s.group.SetLimit(cmp.Or(m.Concurrency, 4))
	return s
}

// send sends a part when fewer than Concurrency are on their way. It returns
// when that has begun, and releases the buffer when it is over.
func (s *partSender) send(number int, b *buffer) {
	s.group.Go(func() error {
		defer b.release()
		etag, err := s.try(number, b)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.parts = append(s.parts, s3client.Part{Number: number, ETag: etag})
		return nil
	})
}

func (s *partSender) try(number int, b *buffer) (etag string, err error) {
	sum := ""
	if s.sums {
		sum = b.md5()
	}
	tries := 0
	err = s.retry().Do(s.ctx, func() error {
		if s.ctx.Err() != nil {
			return errStopped
		}
		if tries++; tries > 1 {
			s.retries.Add(1)
		}
		r := s.upload.PartRequest(number, b.reader(), b.size)
		if sum != "" {
			r.Header = http.Header{"Content-Md5": {sum}}
		}
		resp, err := s.up.Do(s.ctx, r)
		if err == nil {
			etag, err = s3client.ReadPart(resp)
		}
		if isDamage(err) {
			err = damaged(err)
		}
		return err
	})
	if errors.Is(err, errStopped) {
		err = context.Cause(s.ctx)
	}
	return etag, err
}

// damaged is the storage's fault and not the client's. What S3 said is only for
// the log: to send it again may help.
func damaged(err error) error { return fmt.Errorf("%w: damaged on its way: %v", errUpstream, err) }

// isDamage reports whether S3 got something else than what is in memory.
func isDamage(err error) bool {
	var answered *s3client.Error
	return errors.As(err, &answered) && (answered.Code == "BadDigest" || answered.Code == "XAmzContentChecksumMismatch")
}

var errStopped = errors.New("sending was stopped")

// wait returns the parts in their order when all have been sent, or the error
// of the first that was not. No request is on its way any more then.
func (s *partSender) wait() ([]s3client.Part, error) {
	defer s.stop()
	if err := s.group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(s.parts, func(a, b s3client.Part) int { return cmp.Compare(a.Number, b.Number) })
	return s.parts, nil
}
