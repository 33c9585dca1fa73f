package proxy

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
)

// unnamed is what an upload is called that has no name, or none that is safe.
const unnamed = "file"

// keyHeader tells an uploader the key, percent-encoded, if the grant says so.
const keyHeader = "X-S3gate-Key"

// place makes the key of an upload into a drop box, called filename by the
// client: any text, not percent-encoded, not trusted. Every call makes another
// key, so an upload calls it once, after its use was redeemed. For a token with
// a key it does nothing.
func (x *exchange) place(filename string) {
	g := x.grant()
	if !g.DropBox() {
		return
	}
	now := g.ExpiresAt.Add(-x.use.ExpiresIn) // by Redis time
	x.object = g.DropKey(now, newUUID(), dropName(filename, g.NameRoom()))
}

// revealKey tells the client where its upload was stored, if the grant says so.
func (x *exchange) revealKey() {
	if x.grant().Upload.RevealKey {
		x.w.Header().Set(keyHeader, strings.ReplaceAll(url.PathEscape(x.key()), "%2F", "/"))
	}
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// tailName is the file name that the path after a token ends in, decoded once.
// An escape that is none stays as it is.
func tailName(tail string) string {
	last := tail[strings.LastIndexByte(tail, '/')+1:]
	if name, err := url.PathUnescape(last); err == nil {
		return name
	}
	return last
}

// dropName makes one part of a key of what a client calls a file: the last part
// of the name, which hides nothing and cannot be taken for a path, in at most
// room bytes.
func dropName(name string, room int) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.TrimLeft(cleanName(name), ". ")
	name = strings.TrimRight(shorten(name, min(room, maxFilename)), " ")
	if name == "" || hasDots(name) {
		return unnamed
	}
	return name
}
