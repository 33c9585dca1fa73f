package proxy

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"s3gate/s3client"
	"s3gate/web"
)

// folder is one page of a listing, as the client hears of it: names and links
// are relative, and what stands above the prefix is not in it.
type folder struct {
	key, after string // where S3 is asked to begin
	base       string // the grant's prefix
	ticket     string // goes along with every link; "" for none

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
			d.Folders = append(d.Folders, folderEntry{name, d.href("./"+escapePath(name), "")})
		}
	}
	for _, o := range l.Objects {
		name, shown, err := name(o.Key)
		if err != nil {
			return err
		}
		if shown {
			d.Files = append(d.Files, fileEntry{name, d.href("./"+escapePath(name), ""), o.Size, o.LastModified, o.ETag})
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

// href is a link to a path, from a cursor on, with the ticket: who has given
// the passcode once is not asked again for each file.
func (d *folder) href(path, after string) string {
	query := url.Values{}
	if after != "" {
		query.Set("after", after)
	}
	if d.ticket != "" {
		query.Set(ticketParam, d.ticket)
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// page is the folder as a page, for which tail is the path that was asked for.
func (d *folder) page(tail string) web.ListingPage {
	var p web.ListingPage
	p.Above, p.Name = above(tail)
	for i := range p.Above {
		p.Above[i].Href = d.href(p.Above[i].Href, "")
	}
	for _, f := range d.Folders {
		p.Folders = append(p.Folders, web.Link(f))
	}
	for _, f := range d.Files {
		p.Files = append(p.Files, web.ListedFile{Link: web.Link{Name: f.Name, Href: f.Href}, Size: f.Size, Changed: f.LastModified})
	}
	if d.after != "" {
		p.First = d.href("./", "")
	}
	if d.Next != "" {
		p.Next = d.href("./", d.Next)
	}
	return p
}

// above returns the folders on the way to a path, and the name of the last. It
// goes by the path as it came, in which "a%2Fb" is one step for a browser.
func above(tail string) (on []web.Link, name string) {
	if tail == "/" {
		return nil, ""
	}
	steps := strings.Split(strings.TrimSuffix(strings.TrimPrefix(tail, "/"), "/"), "/")
	for i, step := range steps {
		on = append(on, web.Link{Name: name, Href: strings.Repeat("../", len(steps)-i)})
		name, _ = url.PathUnescape(step) // the key was read from it
	}
	return on, name
}
