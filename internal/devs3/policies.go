package devs3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"s3gate/internal/devs3/disk"
	"s3gate/policy"
)

// policies gives out the parsed policies of buckets. The documents on disk are
// the truth; what is kept here is only their parsed form.
type policies struct {
	store *disk.Store

	mu     sync.Mutex
	parsed map[string]parsedPolicy
}

type parsedPolicy struct {
	text []byte
	doc  *policy.Document
}

// of returns the policy of a bucket, nil if it has none. An error means that
// there is one that cannot be understood: nothing may be allowed then.
func (p *policies) of(bucket string) (*policy.Document, error) {
	text, err := p.store.Setting(bucket, disk.Policy)
	if errors.Is(err, disk.ErrNoBucket) || err == nil && text == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.parsed[bucket]; ok && bytes.Equal(known.text, text) {
		return known.doc, nil
	}
	doc, err := policy.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	if p.parsed == nil {
		p.parsed = map[string]parsedPolicy{}
	}
	p.parsed[bucket] = parsedPolicy{text, doc}
	return doc, nil
}

// getPolicy, putPolicy and deletePolicy are the bucket's ?policy.

func (x *exchange) getPolicy() error {
	text, err := x.server.store.Setting(x.bucket, disk.Policy)
	if err != nil {
		return err
	}
	if text == nil {
		return errNoPolicy
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Write(text)
	return nil
}

func (x *exchange) putPolicy() error {
	text, err := x.readAll(1 << 20) // Parse has its own, lower limit, and says so
	if err != nil {
		return err
	}
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.CheckBucket(x.bucket)
	}
	if err != nil {
		return &apiError{code: "MalformedPolicy", message: err.Error()}
	}
	if err := x.blockPublicPolicy(doc); err != nil {
		return err
	}
	if err := x.server.store.Set(x.bucket, disk.Policy, text); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (x *exchange) deletePolicy() error {
	if err := x.server.store.Set(x.bucket, disk.Policy, nil); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// readAll reads a body that is not an object's data.
func (x *exchange) readAll(limit int64) ([]byte, error) {
	if x.payload.left > limit {
		return nil, errMessageTooLong
	}
	text, err := io.ReadAll(io.LimitReader(x.payload, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, errMessageTooLong
	}
	return text, x.payload.end()
}
