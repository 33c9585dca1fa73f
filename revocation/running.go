package revocation

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"s3gate/tokens"
)

// Running describes a transfer that runs.
type Running struct {
	// Gate names the gate that it runs on; "" is the one that is asked.
	Gate string `json:"gate,omitempty"`
	// ID is that of the request.
	ID string `json:"id"`
	// Token, Subject, Bucket, Key and Prefix are those of its grant; a grant
	// for a prefix has no key.
	Token   tokens.ID `json:"token"`
	Subject string    `json:"subject,omitempty"`
	Bucket  string    `json:"bucket"`
	Key     string    `json:"key,omitempty"`
	Prefix  string    `json:"prefix,omitempty"`
	// Direction is "download" or "upload".
	Direction string `json:"direction"`
	// Bytes of body that were handed to the client's connection or read from
	// it, and BytesPerSecond how many that are on average.
	Bytes          int64 `json:"bytes"`
	BytesPerSecond int64 `json:"bytes_per_second"`
	// Size is how many bytes of body it has in all, which may be a part of the
	// object; 0 if that is not known, or not yet.
	Size int64 `json:"size,omitempty"`
	// Since is when it began, by the gate's clock.
	Since time.Time `json:"since"`
	// Committing says that it is an upload past stopping.
	Committing bool `json:"committing,omitempty"`
}

// Running describes the transfers that run and match, the longest first; a nil
// match takes all. Those whose permission is still asked for are left out, and
// so are those that have been stopped and not ended yet.
func (ts *Transfers) Running(match func(*Transfer) bool) []Running {
	all := ts.matching(func(t *Transfer) bool {
		return t.Grant() != nil && t.Err() == nil && (match == nil || match(t))
	})
	list := make([]Running, len(all))
	for i, t := range all {
		list[i] = t.describe(time.Now())
	}
	slices.SortFunc(list, longestFirst)
	return list
}

func longestFirst(a, b Running) int {
	return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
}

func (t *Transfer) describe(now time.Time) Running {
	g := t.Grant()
	r := Running{
		ID: t.ID, Token: t.Token, Subject: g.Subject, Bucket: g.Bucket, Key: g.Key, Prefix: g.Prefix,
		Direction: "download", Bytes: t.moved(), Size: t.size.Load(), Since: t.began.UTC(), Committing: t.state.Load() == committing,
	}
	if g.Operation == tokens.Put {
		r.Direction = "upload"
	}
	// In the first moments an average says nothing, and would be huge.
	if d := now.Sub(t.began); d >= 100*time.Millisecond {
		r.BytesPerSecond = int64(float64(r.Bytes) / d.Seconds())
	}
	return r
}

// moved is how many bytes of body went to the client or, of an upload, came from it.
func (t *Transfer) moved() int64 {
	if g := t.Grant(); g != nil && g.Operation == tokens.Put {
		return t.received.Load()
	}
	return t.Bytes()
}

// Reader counts what is read of an upload's body.
func (t *Transfer) Reader(body io.Reader) io.Reader { return &countingReader{body, t} }

type countingReader struct {
	io.Reader
	t *Transfer
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.t.received.Add(int64(n))
	return n, err
}
