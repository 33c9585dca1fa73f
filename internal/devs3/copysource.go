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
	version     string // empty: the current one
}

// parseCopySource reads x-amz-copy-source: a URL-encoded path, with or without
// a leading slash ("CopyObject", Amazon S3 API Reference).
func parseCopySource(header string) (copySource, error) {
	path, version, versioned := strings.Cut(header, "?versionId=")
	path, err := url.QueryUnescape(path)
	if err == nil && !utf8.ValidString(path) {
		err = errors.New("not UTF-8")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return copySource{}, invalidArgument("x-amz-copy-source", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if versioned && version == "" {
		return copySource{}, invalidArgument("x-amz-copy-source", "Version id cannot be the empty string")
	}
	return copySource{bucket, key, version}, checkKey(key)
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
	if err := x.open(source.bucket, source.key, source.version, true); err != nil {
		if errors.Is(err, errMethodNotAllowed) {
			err = invalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
		}
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
	if source.version != "" && h.Get("X-Amz-Metadata-Directive") != "REPLACE" {
		// Or gofakes3 takes the restoring of a version for a copy onto itself.
		h.Set("X-Amz-Storage-Class", "STANDARD")
	}
	return true, err
}
