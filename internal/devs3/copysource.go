package devs3

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

const copySourceHeader = "X-Amz-Copy-Source"

// copySource is the object that a copy reads.
type copySource struct {
	bucket, key string
	versioned   bool
}

// parseCopySource reads x-amz-copy-source: a URL-encoded path, with or without
// a leading slash ("CopyObject", Amazon S3 API Reference).
func parseCopySource(header string) (copySource, error) {
	path, query, versioned := strings.Cut(header, "?versionId=")
	path, err := url.QueryUnescape(path)
	if err == nil && !utf8.ValidString(path) {
		err = errors.New("not UTF-8")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return copySource{}, invalidArgument("x-amz-copy-source", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if versioned && query != "null" {
		return copySource{}, invalidArgument("x-amz-copy-source", "Invalid version id specified")
	}
	return copySource{bucket, key, versioned}, checkKey(key)
}

// prepareCopy opens the source, if the request names one, and settles the
// conditions on it.
func (x *exchange) prepareCopy() (isCopy bool, err error) {
	h := x.out.Header
	if h.Get(copySourceHeader) == "" {
		return false, nil
	}
	source, err := parseCopySource(h.Get(copySourceHeader))
	if err != nil {
		return false, err
	}
	if err := x.open(source.bucket, source.key, true); err != nil {
		return false, err
	}
	err = copyConditions.check(h, x.read.Object)
	if errors.Is(err, errNotModified) {
		err = errPrecondition.with("Condition", copyConditions.ifNoneMatch)
	}
	if x.read.Size > maxSingle {
		return false, invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	// One spelling, in the form that gofakes3 reads without loss.
	h.Set(copySourceHeader, "/"+source.bucket+"/"+url.QueryEscape(source.key))
	return true, err
}
