package devs3

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxKey is the length in bytes of the longest key ("Creating object key
// names", Amazon S3 User Guide).
const maxKey = 1024

// parseTarget takes bucket and key from the path, without any cleaning: "a//b",
// "/a" and "a/../b" are keys like others.
func (x *exchange) parseTarget() error {
	path, ok := strings.CutPrefix(x.r.URL.Path, "/")
	if !ok || !utf8.ValidString(path) {
		return errInvalidURI
	}
	var err error
	// A query that is not well-formed must not be half understood.
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return errInvalidURI
	}
	x.bucket, x.key, _ = strings.Cut(path, "/")
	if x.bucket == "" && path != "" {
		return errInvalidURI
	}
	return checkKey(x.key)
}

func checkKey(key string) error {
	if len(key) > maxKey {
		return errKeyTooLong
	}
	return nil
}
