package s3client_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"s3gate/s3client"
)

// form is a form of signing, for tests of what is the same in both.
type form s3client.Signing

// eachForm runs a test for both.
func eachForm(t *testing.T, test func(t *testing.T, f form)) {
	for _, f := range []s3client.Signing{s3client.SignHeader, s3client.SignQuery} {
		t.Run(string(f), func(t *testing.T) { test(t, form(f)) })
	}
}

// in opens a bucket in this form, and changes the rest of its Config.
func (f form) in(change func(*s3client.Config)) func(*s3client.Config) {
	return func(c *s3client.Config) {
		c.Signing = s3client.Signing(f)
		if change != nil {
			change(c)
		}
	}
}

// signed is what a request that has arrived says of its signature, whose form
// does not matter.
type signed struct {
	credential, headers, date, hash, session, signature string
}

func signatureOf(r *http.Request) signed {
	q := r.URL.Query()
	if q.Has("X-Amz-Signature") {
		return signed{
			q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Date"), "UNSIGNED-PAYLOAD",
			q.Get("X-Amz-Security-Token"), q.Get("X-Amz-Signature"),
		}
	}
	s := signed{date: r.Header.Get("X-Amz-Date"), hash: r.Header.Get("X-Amz-Content-Sha256"), session: r.Header.Get("X-Amz-Security-Token")}
	for field := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "Credential":
			s.credential = value
		case "SignedHeaders":
			s.headers = value
		case "Signature":
			s.signature = value
		}
	}
	return s
}

// key is the access key.
func (s signed) key() string {
	key, _, _ := strings.Cut(s.credential, "/")
	return key
}

// target is what was asked for, without what the signature has added.
func target(r *http.Request) string {
	path, query, asked := strings.Cut(r.RequestURI, "?")
	if !asked {
		return path
	}
	rest := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool { return strings.HasPrefix(p, "X-Amz-") })
	if len(rest) == 0 {
		return path
	}
	return path + "?" + strings.Join(rest, "&")
}
