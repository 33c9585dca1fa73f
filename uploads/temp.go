package uploads

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"s3gate/s3client"
)

// Temp is what an upload keeps in temporary objects of its bucket: what a client
// has sent of a part before its connection broke, so that it need not send it
// again. Each object is written once, under a key that tells where in the upload
// it begins.
type Temp struct {
	// Prefix begins the keys of all temporary objects.
	Prefix string
	// Entry is the upload.
	Entry *Entry
}

// Tail is one temporary object.
type Tail struct {
	Key string
	// From is where in the upload it begins, and Size how much it has, in bytes.
	From, Size int64
}

func (t *Temp) folder() string { return t.Prefix + t.Entry.Name + "/" }

// Key is the key of the temporary object of what begins at an offset in bytes. No
// holder writes where another has.
func (t *Temp) Key(from, fence int64) string {
	return fmt.Sprintf("%s%013d-%d", t.folder(), from, fence)
}

// List asks for the temporary objects of the upload. Errors: those of
// [Upstream], [*s3client.Error], [s3client.ErrListing].
func (t *Temp) List(ctx context.Context, up Upstream) ([]Tail, error) {
	var tails []Tail
	for q := (s3client.ListQuery{Prefix: t.folder(), Agent: string(t.Entry.Token)}); ; {
		resp, err := up.Do(ctx, s3client.NewListRequest(q))
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, s3client.ReadError(resp)
		}
		page, err := s3client.ReadListing(resp)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			text, _, _ := strings.Cut(strings.TrimPrefix(o.Key, t.folder()), "-")
			if from, err := strconv.ParseInt(text, 10, 64); err == nil {
				tails = append(tails, Tail{Key: o.Key, From: from, Size: o.Size})
			}
			q.After = o.Key
		}
		if !page.More || len(page.Objects) == 0 {
			return tails, nil
		}
	}
}

// Drop removes all temporary objects of an upload that can be resumed; another
// has none.
func (t *Temp) Drop(ctx context.Context, up Upstream) error {
	if t.Entry.Expires.IsZero() {
		return nil
	}
	tails, err := t.List(ctx, up)
	if err != nil {
		return err
	}
	for _, tail := range tails {
		if err := t.Remove(ctx, up, tail); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes one temporary object. One that is not there is no error.
func (t *Temp) Remove(ctx context.Context, up Upstream, tail Tail) error {
	resp, err := up.Do(ctx, &s3client.Request{Method: http.MethodDelete, Key: tail.Key, Agent: string(t.Entry.Token)})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return s3client.ReadError(resp)
	}
	resp.Body.Close()
	return nil
}
