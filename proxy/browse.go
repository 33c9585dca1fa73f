package proxy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/web"
)

// lookAround serves what a path that ends in a slash may be: the listing of a
// folder, for which no use is reserved. It reports whether it did.
func (x *exchange) lookAround(ctx context.Context) (done bool, err error) {
	if !strings.HasSuffix(x.tail, "/") {
		return false, nil
	}
	use, err := x.h.Tokens.Look(ctx, x.token, x.wants(tokens.Get))
	x.use = use
	if err != nil && !errors.Is(err, tokens.ErrInUse) { // which Redeem may wait for
		return false, err
	}
	return x.browse(ctx)
}

// browse serves what is no object, for a grant that permits listing: a folder,
// or without the slash after the token the way to it. It reports whether it
// did. A key that ends in a slash can be asked for with %2F at its end.
func (x *exchange) browse(ctx context.Context) (done bool, err error) {
	switch {
	case !x.lists():
		return false, nil
	case x.tail == "":
		_, err := x.admit()
		if err == nil {
			x.redirect()
		}
		return true, err
	}
	return true, x.list(ctx)
}

// lists reports whether the request is for a listing, or on the way to one.
func (x *exchange) lists() bool {
	g := x.grant()
	return g.Prefix != "" && g.List && (x.tail == "" || strings.HasSuffix(x.tail, "/"))
}

// redirect adds the slash without which the links of a listing lead astray.
// It is relative: only the proxies in front know what else is in the path.
func (x *exchange) redirect() {
	h := x.w.Header()
	way := folder{ticket: x.onward()}
	h.Set("Location", way.href("./"+x.token.Reveal()+"/", ""))
	h.Set("Content-Length", "0")
	x.writeHeader(http.StatusPermanentRedirect)
}

// list answers with one page of what is in a folder.
func (x *exchange) list(ctx context.Context) error {
	up, err := x.admit()
	if err != nil {
		return err
	}
	d, err := x.openFolder()
	if err != nil {
		return err
	}
	query := s3client.ListQuery{Prefix: d.key, Max: x.h.ListPage, Agent: string(x.grant().ID)}
	if d.after != "" {
		query.After = d.key + d.after
	}
	resp, err := up.Do(ctx, s3client.NewListRequest(query))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return s3client.ReadError(resp)
	}
	found, err := s3client.ReadListing(resp)
	if err != nil {
		return err
	}
	if err := d.fill(found); err != nil {
		return err
	}
	if !acceptsPage(x.r) {
		body, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("writing a listing: %w", err)
		}
		return x.sendListing("application/json", append(body, '\n'))
	}
	shown := d.page(x.tail)
	shown.Previews = x.grant().Previews && !x.grant().Limited() // it may have been narrowed
	if d.Prefix == "" {
		shown.Sharing = sharing(x.grant())
	}
	page := web.Listing(x.appearance(), shown)
	x.announce(page)
	return x.sendListing(web.ContentType, page.HTML)
}

// sendListing sends a page, unless the token was revoked meanwhile.
func (x *exchange) sendListing(contentType string, body []byte) error {
	if x.transfer != nil {
		if err := x.transfer.Err(); err != nil {
			return err
		}
	}
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Vary", "Accept")
	x.writeHeader(http.StatusOK)
	if x.transfer == nil { // HEAD
		return nil
	}
	if _, err := x.transfer.Write(x.w, body); err != nil {
		x.err = fmt.Errorf("writing to the client: %w", err)
		x.abort()
	}
	return nil
}

// errCursor is an "after" that no page has given out.
var errCursor = errors.New("listing cursor is malformed")

// openFolder reads from the path which folder is meant, and from the query
// where to go on.
func (x *exchange) openFolder() (*folder, error) {
	d := &folder{base: x.grant().Prefix, ticket: x.onward(), Folders: []folderEntry{}, Files: []fileEntry{}}
	d.key = d.base
	if x.tail != "/" {
		key, err := keyBelow(d.base, x.tail)
		if err != nil {
			return nil, err
		}
		d.key = key
	}
	d.Prefix = d.key[len(d.base):]
	after, err := base64.RawURLEncoding.DecodeString(x.r.URL.Query().Get("after"))
	if err != nil || len(d.key)+len(after) > tokens.MaxKeyBytes || !utf8.Valid(after) || slices.Contains(after, 0) {
		return nil, errCursor
	}
	d.after = string(after)
	return d, nil
}
