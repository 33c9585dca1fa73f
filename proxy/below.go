package proxy

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"s3gate/tokens"
)

// errPath is a path below a prefix that can name no object.
var errPath = errors.New("path names no object below the prefix")

// locate finds the key that the request is for: the grant's, or below its
// prefix what the path names. That of an upload into a drop box is made later,
// by place.
func (x *exchange) locate() (err error) {
	g := x.grant()
	switch {
	case g.Prefix == "":
		x.object = g.Key
	case !g.DropBox():
		x.object, err = keyBelow(g.Prefix, x.tail)
	}
	return err
}

// key is that of the request's object, "" before it was located.
func (x *exchange) key() string { return x.object }

// keyBelow returns the key that a path names below a prefix: the two put
// together, after the path's escapes were decoded, once. Keys are flat, so
// what begins with the prefix is below it; but stores and proxies on the way
// may take a key for a path and resolve its dots, so those are refused in
// every form. tail is what follows the token in the path as it came.
func keyBelow(prefix, tail string) (string, error) {
	rest, err := url.PathUnescape(strings.TrimPrefix(tail, "/"))
	if err != nil || rest == "" {
		return "", errPath
	}
	key := prefix + rest
	if len(key) > tokens.MaxKeyBytes || !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return "", errPath
	}
	// The prefix may end within a segment, of which the path gives the rest.
	if hasDots(key[strings.LastIndexAny(prefix, `/\`)+1:]) {
		return "", errPath
	}
	return key, nil
}

// hasDots reports whether a path has a segment "." or "..", also for somebody
// who decodes it up to twice more or separates by backslashes.
func hasDots(path string) bool {
	for range 3 {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return false
		}
		path = decoded
	}
	return false
}
