package proxy

import (
	"cmp"
	"context"
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"s3gate/uploads"
)

// metadataHeader describes an upload, in the words of its client.
const metadataHeader = "Upload-Metadata"

// creation is an upload as its client asks for it.
type creation struct {
	size        int64  // in bytes
	contentType string // of the object to be; "" if the client does not say
	filename    string // as the client calls the object; "" if it does not
	metadata    string // as it came
	begins      bool   // the request has the first piece
}

// create answers the POST that begins an upload.
func (x *exchange) create() error {
	c, err := readCreation(x.r)
	if err != nil {
		return err
	}
	sum, err := readChecksum(x.r)
	if err != nil {
		return err
	}
	return x.uploading(func(ctx context.Context, up Upstream) error { return x.createWith(ctx, up, c, sum) })
}

// createWith begins an upload, with the first piece if there is one.
func (x *exchange) createWith(ctx context.Context, up Upstream, c creation, sum *checksum) error {
	x.place(cmp.Or(c.filename, tailName(x.tail))) // for all requests of the upload
	if err := x.checkCreation(c); err != nil {
		return err
	}
	if err := x.mayOverwrite(ctx, up); err != nil {
		return err
	}
	if err := x.checkAbsent(ctx, up); err != nil {
		return err
	}
	t, err := x.enter(ctx, up, c)
	if err != nil {
		return err
	}
	if err := t.leave(ctx, t.first(c, sum)); err != nil {
		return err
	}
	x.w.Header().Set("Location", "/"+x.token.Reveal()+"?"+uploadParam+"="+t.held.Name)
	if c.begins || t.held.State == uploads.Done {
		t.answerTus(http.StatusCreated)
		return nil
	}
	x.w.Header().Set("Upload-Expires", t.held.Until().Format(http.TimeFormat))
	x.writeHeader(http.StatusCreated)
	return nil
}

// readCreation reads what a client asks for.
func readCreation(r *http.Request) (c creation, err error) {
	switch {
	case r.Header.Get("Upload-Defer-Length") != "":
		return c, errUploadDefer
	case r.Header.Get("Upload-Concat") != "":
		return c, errUploadConcat
	}
	var ok bool
	length := r.Header.Values("Upload-Length")
	if len(length) != 1 || length[0] == "" {
		return c, errUploadLength
	}
	if c.size, ok = parseDigits(length[0]); !ok {
		return c, errUploadLength
	}
	c.metadata = strings.Join(r.Header.Values(metadataHeader), ",")
	pairs, ok := parseMetadata(c.metadata)
	if !ok {
		return c, errPairs
	}
	c.filename = pairs["filename"]
	if c.contentType = pairs["filetype"]; c.contentType == "" {
		c.contentType = pairs["contentType"]
	}
	if strings.ContainsFunc(c.contentType, func(r rune) bool { return r < ' ' || r > '~' }) {
		return c, errPairs
	}
	c.begins = isPatchType(r) && r.ContentLength != 0
	return c, nil
}

// isPatchType reports whether the body is a piece of an upload.
func isPatchType(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == patchType
}

// parseMetadata reads pairs of a key and a value in base64, or without a value.
func parseMetadata(text string) (map[string]string, bool) {
	pairs := map[string]string{}
	if strings.TrimSpace(text) == "" {
		return pairs, true
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, encoded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil || key == "" {
			return nil, false
		}
		pairs[key] = string(value)
	}
	return pairs, true
}

// checkCreation applies the grant's limits to what the client declares.
func (x *exchange) checkCreation(c creation) (err error) {
	limits := &x.grant().Upload
	if most := min(maxUpload(limits), x.h.Multipart.plan(c.size).reach()); c.size > most {
		return &tooLargeError{c.size, most}
	}
	if len(limits.ContentTypes) > 0 && !typeAllowed(c.contentType, limits.ContentTypes) {
		return &typeError{limits.ContentTypes, false}
	}
	// A piece may have a checksum, the whole has none.
	if err := x.digests.demand(limits.Checksum); err != nil {
		return err
	}
	x.metadata, err = uploadMetadata(x.r.Header, limits)
	return err
}

// enter enters an upload into the journal, which holds it for the request.
func (x *exchange) enter(ctx context.Context, up Upstream, c creation) (*resumable, error) {
	header := x.ofObject()
	// These headers of the request are of its piece.
	for _, name := range uploadHeaders {
		header.Del(name)
	}
	if c.contentType != "" {
		header.Set("Content-Type", c.contentType)
	}
	if c.metadata != "" {
		header.Set(metadataHeader, c.metadata)
	}
	held, err := x.h.Journal.Begin(ctx, uploads.Entry{
		Token: x.grant().ID, Attempt: x.use.Attempt(), Bucket: x.grant().Bucket, Key: x.key(),
		Overwrite: x.grant().Upload.Overwrite, Size: c.size, Part: x.h.Multipart.plan(c.size).part(1), Header: header,
	}, true)
	if err != nil {
		return nil, err
	}
	t := x.resumable(up, held)
	t.nameless = true
	return t, nil
}

// first takes what comes with the request that begins the upload. An empty one is
// stored at once.
func (t *resumable) first(c creation, sum *checksum) error {
	ctx := t.holding(t.transfer.Context(), t.held)
	if err := t.use.Stay(ctx); err != nil {
		return err
	}
	switch {
	case t.size == 0:
		b, err := t.memory.take(ctx, 0)
		if err != nil {
			return context.Cause(ctx)
		}
		defer b.release()
		return t.storeWhole(ctx, b)
	case c.begins:
		return t.take(ctx, 0, sum)
	}
	return nil
}

// resumable is the upload that an entry of the journal stands for.
func (x *exchange) resumable(up Upstream, held *uploads.Held) *resumable {
	x.object, x.held = held.Key, held
	x.described = held.Header.Clone()
	x.described.Del(metadataHeader)
	x.result = held.Result
	return &resumable{
		exchange: x, up: up, size: held.Size, part: cmp.Or(held.Part, x.h.Multipart.plan(held.Size).part(1)), memory: x.h.Multipart.memory(),
		temp: &uploads.Temp{Prefix: x.tempPrefix(), Entry: &held.Entry},
	}
}
