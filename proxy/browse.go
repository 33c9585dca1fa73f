package proxy

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"s3gate/s3client"
	"s3gate/tokens"
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
	g := x.grant()
	switch {
	case g.Prefix == "" || !g.List:
		return false, nil
	case x.tail == "":
		_, err := x.admit()
		if err == nil {
			x.redirect()
		}
		return true, err
	case strings.HasSuffix(x.tail, "/"):
		return true, x.list(ctx)
	}
	return false, nil
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
	h.Set("Location", "./"+x.token.Reveal()+"/")
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
	contentType, body, err := x.renderListing(d)
	if err != nil {
		return fmt.Errorf("rendering a listing: %w", err)
	}
	return x.sendListing(contentType, body)
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

// folder is one page of a listing, as the client hears of it: names and links
// are relative, and what stands above the prefix is not in it.
type folder struct {
	key, after string // where S3 is asked to begin
	base       string // the grant's prefix

	Prefix  string        `json:"prefix"`
	Folders []folderEntry `json:"folders"`
	Files   []fileEntry   `json:"files"`
	// Next is the cursor of the next page; "" on the last.
	Next string `json:"next,omitempty"`
}

type folderEntry struct {
	Name string `json:"name"`
	Href string `json:"href"`
}

type fileEntry struct {
	Name         string    `json:"name"`
	Href         string    `json:"href"`
	Size         int64     `json:"size"`
	LastModified time.Time `json:"last_modified"`
	ETag         string    `json:"etag"`
}

// errCursor is an "after" that no page has given out.
var errCursor = errors.New("listing cursor is malformed")

// openFolder reads from the path which folder is meant, and from the query
// where to go on.
func (x *exchange) openFolder() (*folder, error) {
	d := &folder{base: x.grant().Prefix, Folders: []folderEntry{}, Files: []fileEntry{}}
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

// fill takes S3's answer: every name goes on from the folder's key, and can
// be asked for by its link. S3 may give a folder again that was the last of
// the page before.
func (d *folder) fill(l *s3client.Listing) error {
	last := ""
	name := func(key string) (string, bool, error) {
		name, below := strings.CutPrefix(key, d.key)
		if !below {
			return "", false, fmt.Errorf("%w: listing of what was not asked for", errUpstream)
		}
		last = max(last, name)
		_, err := keyBelow(d.base, "/"+escapePath(d.Prefix+name))
		return name, name > d.after && err == nil, nil
	}
	for _, prefix := range l.Prefixes {
		name, shown, err := name(prefix)
		if err != nil {
			return err
		}
		if shown {
			d.Folders = append(d.Folders, folderEntry{name, "./" + escapePath(name)})
		}
	}
	for _, o := range l.Objects {
		name, shown, err := name(o.Key)
		if err != nil {
			return err
		}
		if shown {
			d.Files = append(d.Files, fileEntry{name, "./" + escapePath(name), o.Size, o.LastModified, o.ETag})
		}
	}
	if l.More && last > d.after {
		d.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
	}
	return nil
}

// escapePath escapes all of a name but its slashes.
func escapePath(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "%2F", "/")
}

//go:embed listing.html
var listingPage string

var listingTemplate = template.Must(template.New("listing").Funcs(template.FuncMap{"size": formatSize}).Parse(listingPage))

// renderListing renders a page for browsers, and JSON for all others.
func (x *exchange) renderListing(d *folder) (contentType string, body []byte, err error) {
	if !strings.Contains(x.r.Header.Get("Accept"), "text/html") {
		body, err = json.Marshal(d)
		return "application/json", append(body, '\n'), err
	}
	var b strings.Builder
	nonce := rand.Text()
	x.w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'nonce-"+nonce+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	err = listingTemplate.Execute(&b, struct {
		*folder
		Nonce, Title  string
		Inside, Later bool
	}{d, nonce, cmp.Or(d.Prefix, "Files"), d.Prefix != "", d.after != ""})
	return "text/html; charset=utf-8", []byte(b.String()), err
}

// formatSize writes a number of bytes for people.
func formatSize(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	units := "kMGTPE"
	size := float64(n) / 1000
	for size >= 999.95 && len(units) > 1 {
		size, units = size/1000, units[1:]
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + units[:1] + "B"
}
