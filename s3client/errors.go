package s3client

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Error is what S3 answered instead of success. Its text holds no bucket,
// key or upstream message, but is still meant for logs and not for clients.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is S3's error code, such as NoSuchKey; "" if there was none, as
	// in answers to HEAD.
	Code string
	// RequestID is S3's request ID; "" if there was none.
	RequestID string
}

func (e *Error) Error() string {
	return fmt.Sprintf("s3 answered %d %s (request %s)", e.Status, cmp.Or(e.Code, "without a code"), cmp.Or(e.RequestID, "unnamed"))
}

// maxErrorBody is how much of an error document is read.
const maxErrorBody = 64 << 10

// ReadError reads the error document of a response and closes its body.
func ReadError(resp *http.Response) *Error {
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode}
	if id := resp.Header.Get("X-Amz-Request-Id"); isPlain(id, "+-./=_") {
		e.RequestID = id
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	e.Code = errorCode(raw)
	return e
}

// errorCode returns the Code of an S3 error document, and "" for anything
// else.
func errorCode(document []byte) string {
	var doc struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.Unmarshal(document, &doc) != nil || !isPlain(doc.Code, ".") {
		return ""
	}
	return doc.Code
}

// isPlain keeps what goes into logs and metrics to the form that S3's codes
// and request IDs have: at most 64 letters, digits and some signs.
func isPlain(s, signs string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(signs, c) < 0 {
			return false
		}
	}
	return len(s) <= 64
}

// expired reports whether S3 refused the credentials as expired. The body can
// still be read as if nothing had been.
func expired(resp *http.Response) bool {
	if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusForbidden {
		return false
	}
	head, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	code := errorCode(head)
	return code == "ExpiredToken" || code == "TokenRefreshRequired"
}
