package accesslog

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Auth is how a request was authenticated.
type Auth int

// The ways. What is signed in a URL or in a form can be passed on by whoever
// has it.
const (
	// Anonymous: the request was not signed.
	Anonymous Auth = iota
	// Header: it was signed in its Authorization header.
	Header
	// Query: it was signed in its URL, as presigned requests are, or it tried.
	Query
	// Post: it was a form upload with a signed policy.
	Post
)

// String is header, query, post or anonymous.
func (a Auth) String() string {
	switch a {
	case Header:
		return "header"
	case Query:
		return "query"
	case Post:
		return "post"
	}
	return "anonymous"
}

// Auth says how the request was authenticated. What the log says of it counts; a
// URL with a signature does where the log has nothing on it: old logs do not, and
// refusals may not. Whether anybody has signed is for [Requester] to say, since
// everybody may write a signature into a URL. A browser that asks before it sends a
// signed request (CORS) has not made one. The log's word for a form upload is not
// documented: an upload by form that has a requester is one, unless it was signed
// in its header or its URL.
func (r *Record) Auth() Auth {
	switch auth := r.Raw(authType); {
	case bytes.HasPrefix(r.Raw(Operation), []byte("REST.OPTIONS.")):
		return Anonymous
	case string(auth) == "AuthHeader":
		return Header
	case string(auth) == "QueryString":
		return Query
	case string(r.Raw(Operation)) == "REST.POST.OBJECT" && r.Raw(Requester) != nil:
		return Post
	case r.signedInURL():
		return Query
	case auth != nil, r.Raw(Requester) != nil && r.Raw(SignatureVersion) != nil:
		return Header // or some other way, which is in neither URL nor form
	}
	return Anonymous
}

// signedInURL reports whether the URL has a signature, of version 4 or 2.
func (r *Record) signedInURL() bool {
	if _, ok := r.parameter("X-Amz-Signature"); ok {
		return true
	}
	_, id := r.parameter("AWSAccessKeyId")
	_, signature := r.parameter("Signature")
	return id && signature
}

// AccessKeyID is the ID of the key that signed a URL, which is no secret; ""
// if the line does not have it, as those of signed headers and of forms do not.
func (r *Record) AccessKeyID() string {
	if value, ok := r.parameter("X-Amz-Credential"); ok {
		// The key ID, the day, the region, the service.
		id, _, _ := strings.Cut(unescape(string(value)), "/")
		return id
	}
	value, _ := r.parameter("AWSAccessKeyId")
	return unescape(string(value))
}

// parameter is the first of a name in the query of the URL, as it stands there,
// and whether there is one. In doubt it is there: neither case nor encoding of its
// name matters.
func (r *Record) parameter(name string) (value []byte, ok bool) {
	_, query, _ := bytes.Cut(r.Raw(RequestURI), []byte{'?'})
	if n := bytes.IndexByte(query, ' '); n >= 0 {
		query = query[:n] // the protocol follows
	}
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		given, value, _ := bytes.Cut(pair, []byte{'='})
		if len(given) == len(name) && strings.EqualFold(string(given), name) ||
			bytes.IndexByte(given, '%') >= 0 && strings.EqualFold(unescape(string(given)), name) {
			return value, true
		}
	}
	return nil, false
}

// Method is the request's, or "" if the line does not have it.
func (r *Record) Method() string {
	method, _, found := bytes.Cut(r.Raw(RequestURI), []byte{' '})
	if !found {
		return ""
	}
	return string(method)
}

// Status is that of the answer; 0 if the line does not say.
func (r *Record) Status() int {
	n, err := strconv.Atoi(string(r.Raw(status)))
	if err != nil {
		return 0
	}
	return n
}

// Time is when S3 received the request, to the second; the zero time if what
// stands there is no time.
func (r *Record) Time() time.Time {
	t, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(r.Raw(received)))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// onceEncoded are operations of S3 itself, in whose lines keys are encoded as
// in a URL; in all others they are so twice.
var onceEncoded = [][]byte{[]byte("BATCH."), []byte("S3.")}

// Key is the object's key, decoded; "" if the operation has none. Bytes that
// are no UTF-8 stay as they are, and so does what is no valid encoding.
func (r *Record) Key() string {
	text := unescape(string(r.Raw(key)))
	for _, prefix := range onceEncoded {
		if bytes.HasPrefix(r.Raw(Operation), prefix) {
			return text
		}
	}
	return unescape(text)
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}
