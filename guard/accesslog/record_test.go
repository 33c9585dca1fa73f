package accesslog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"s3gate/guard/accesslog"
)

// The parts of a line that the tests do not look at.
const (
	head = `79a59df900b949e5 vault [06/Feb/2019:00:00:38 +0000] 192.0.2.3 `
	user = `arn:aws:iam::111122223333:user/dev`
	tail = ` - 9vKBE6vM= SigV4 ECDHE-RSA-AES128-GCM-SHA256 `
	end  = ` vault.s3.eu-west-1.amazonaws.com TLSv1.2 - -`
	sign = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20190206%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=5ec7e7`
)

// record is what a line says, in words.
type record struct {
	key, uri, code, referer, agent string
	status                         int
	auth                           accesslog.Auth
	signer, requester              string
}

var records = []struct {
	name, line string
	want       record
}{
	{"signed in the header",
		head + user + ` 3E57 REST.GET.OBJECT a/b.txt "GET /a/b.txt HTTP/1.1" 200 - 113 113 7 6 "-" "S3Console/0.4"` + tail + `AuthHeader` + end,
		record{key: "a/b.txt", uri: "GET /a/b.txt HTTP/1.1", status: 200, agent: "S3Console/0.4", auth: accesslog.Header, requester: user}},
	{"signed in the URL and refused",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?` + sign + ` HTTP/1.1" 403 AccessDenied 243 - 7 - "-" "curl/8.5"` + tail + `QueryString` + end,
		record{key: "a", uri: "GET /a?" + sign + " HTTP/1.1", status: 403, code: "AccessDenied", agent: "curl/8.5", auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE", requester: user}},
	{"signed in the URL, which the log does not say",
		head + `- 3E57 REST.GET.OBJECT a "GET /a?` + sign + ` HTTP/1.1" 403 SignatureDoesNotMatch 243 - 7 - "-" "-" - - - - -` + end,
		record{key: "a", uri: "GET /a?" + sign + " HTTP/1.1", status: 403, code: "SignatureDoesNotMatch", auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE"}},
	{"version 2 in the URL",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?AWSAccessKeyId=AKIA2&Expires=1&Signature=vjby%3D HTTP/1.1" 200 - 1 1 7 - "-" "-" - h SigV2 -` + ` QueryString` + end,
		record{key: "a", uri: "GET /a?AWSAccessKeyId=AKIA2&Expires=1&Signature=vjby%3D HTTP/1.1", status: 200, auth: accesslog.Query, signer: "AKIA2", requester: user}},
	{"a form upload",
		head + user + ` 3E57 REST.POST.OBJECT a "POST / HTTP/1.1" 204 - - 113 7 6 "https://example.com/" "Mozilla/5.0 (X11)"` + tail + `-` + end,
		record{key: "a", uri: "POST / HTTP/1.1", status: 204, referer: "https://example.com/", agent: "Mozilla/5.0 (X11)", auth: accesslog.Post, requester: user}},
	{"a form upload without a signature",
		head + `- 3E57 REST.POST.OBJECT a "POST / HTTP/1.1" 403 AccessDenied - 113 7 6 "-" "-" - - - - -` + end,
		record{key: "a", uri: "POST / HTTP/1.1", status: 403, code: "AccessDenied", auth: accesslog.Anonymous}},
	{"parts are not forms",
		head + user + ` 3E57 REST.POST.UPLOADS a "POST /a?uploads HTTP/1.1" 200 - - 113 7 6 "-" "-"` + tail + `AuthHeader` + end,
		record{key: "a", uri: "POST /a?uploads HTTP/1.1", status: 200, auth: accesslog.Header, requester: user}},
	{"nobody",
		head + `- 3E57 REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 "-" "-" - h - - -` + end,
		record{key: "a", uri: "GET /a HTTP/1.1", status: 200, auth: accesslog.Anonymous}},
	{"quotes in what the client sends",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?b="c" HTTP/1.1" 200 - 1 1 7 6 "he said "no"." "a "b" c"` + tail + `QueryString` + end,
		record{key: "a", uri: `GET /a?b="c" HTTP/1.1`, status: 200, referer: `he said "no".`, agent: `a "b" c`, auth: accesslog.Query, requester: user}},
	{"a user agent that feigns the rest",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 "-" "curl" - h SigV4 x AuthHeader h TLSv1.2 - - "` + tail + `QueryString` + end,
		record{key: "a", uri: `GET /a HTTP/1.1`, status: 200, agent: `curl" - h SigV4 x AuthHeader h TLSv1.2 - - `, auth: accesslog.Query, requester: user}},
	{"no request line, as a copy has none",
		head + user + ` 3E57 REST.COPY.OBJECT_GET a - 200 - - 1 - - - - -` + tail[2:] + `AuthHeader` + end,
		record{key: "a", status: 200, auth: accesslog.Header, requester: user}},
	{"a referer only",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 "r" -` + tail + `AuthHeader` + end,
		record{key: "a", uri: `GET /a HTTP/1.1`, status: 200, referer: "r", auth: accesslog.Header, requester: user}},
	{"a user agent only",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 - "u"` + tail + `AuthHeader` + end,
		record{key: "a", uri: `GET /a HTTP/1.1`, status: 200, agent: "u", auth: accesslog.Header, requester: user}},
	{"more columns",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 "-" "-"` + tail + `AuthHeader` + end + ` eu-west-1 new newer`,
		record{key: "a", uri: `GET /a HTTP/1.1`, status: 200, auth: accesslog.Header, requester: user}},
	{"an old log, with a line end of another system",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?` + sign + ` HTTP/1.1" 200 - 1 1 7 6 "-" "-" -` + "\r\n",
		record{key: "a", uri: "GET /a?" + sign + " HTTP/1.1", status: 200, auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE", requester: user}},
	{"signed in the header, with a signature in the URL",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?X-Amz-Signature=1 HTTP/1.1" 200 - 1 1 7 6 "-" "-"` + tail + `AuthHeader` + end,
		record{key: "a", uri: "GET /a?X-Amz-Signature=1 HTTP/1.1", status: 200, auth: accesslog.Header, requester: user}},
	{"the name of a signature within other names and values",
		head + `- 3E57 REST.GET.OBJECT a "GET /a?xX-Amz-Signature=1&a=X-Amz-Signature=&XAWSAccessKeyId=1&Signature=1 HTTP/1.1" 200 - 1 1 7 6 "-" "-" - h - - -` + end,
		record{key: "a", uri: "GET /a?xX-Amz-Signature=1&a=X-Amz-Signature=&XAWSAccessKeyId=1&Signature=1 HTTP/1.1", status: 200, auth: accesslog.Anonymous}},
	{"a signature by any spelling of its name",
		head + `- 3E57 REST.GET.OBJECT a "GET /a?x&x%2Damz-signature=1&X-AMZ-CREDENTIAL=AK/x HTTP/1.1" 403 AccessDenied 1 1 7 6 "-" "-" - h - - -` + end,
		record{key: "a", uri: "GET /a?x&x%2Damz-signature=1&X-AMZ-CREDENTIAL=AK/x HTTP/1.1", status: 403, code: "AccessDenied", auth: accesslog.Query, signer: "AK"}},
	{"a question before a signed request",
		head + `- 3E57 REST.OPTIONS.PREFLIGHT a "OPTIONS /a?` + sign + ` HTTP/1.1" 200 - - - 7 - "-" "-" - h - - -` + end,
		record{key: "a", uri: "OPTIONS /a?" + sign + " HTTP/1.1", status: 200, auth: accesslog.Anonymous, signer: "AKIAIOSFODNN7EXAMPLE"}},
	{"a quote in the version",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?` + sign + `&versionId=x" HTTP/1.1" 400 InvalidArgument 1 - 7 6 "-" "curl" x" 9vKBE6vM= SigV4 - QueryString` + end,
		record{key: "a", uri: "GET /a?" + sign + `&versionId=x" HTTP/1.1`, status: 400, code: "InvalidArgument", agent: "curl", auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE", requester: user}},
	{"quotes in the version and the host",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?` + sign + ` HTTP/1.1" 200 - 1 1 7 6 "-" "curl" x"y 9vKBE6vM= SigV4 - QueryString a"b TLSv1.2 - -`,
		record{key: "a", uri: "GET /a?" + sign + " HTTP/1.1", status: 200, agent: "curl", auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE", requester: user}},
	{"a host that ends in a quote",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?` + sign + ` HTTP/1.1" 200 - 1 1 7 6 "-" "curl" - 9vKBE6vM= SigV4 - QueryString a" TLSv1.2 - -`,
		record{key: "a", uri: "GET /a?" + sign + " HTTP/1.1", status: 200, agent: `curl" - 9vKBE6vM= SigV4 - QueryString a`, auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE", requester: user}},
	{"a version with a quote, behind a user agent that feigns the rest",
		head + user + ` 3E57 REST.GET.OBJECT a "GET /a?` + sign + ` HTTP/1.1" 403 AccessDenied 1 1 7 6 "-" "curl" - h SigV4 x AuthHeader h TLSv1.2 - - " x" 9vKBE6vM= SigV4 - QueryString` + end,
		record{key: "a", uri: "GET /a?" + sign + " HTTP/1.1", status: 403, code: "AccessDenied", agent: `curl" - h SigV4 x AuthHeader h TLSv1.2 - - `, auth: accesslog.Query, signer: "AKIAIOSFODNN7EXAMPLE", requester: user}},
	{"a key that is encoded twice",
		head + user + ` 3E57 REST.GET.OBJECT caf%25C3%25A9/50%2525%252B1%2Bx%2520y "GET /x HTTP/1.1" 200 - 1 1 7 6 "-" "-"` + tail + `AuthHeader` + end,
		record{key: "café/50%+1 x y", uri: `GET /x HTTP/1.1`, status: 200, auth: accesslog.Header, requester: user}},
	{"a key that is encoded once",
		head + user + ` 3E57 BATCH.DELETE.OBJECT a%2520b - 204 - - 1 - - - - -` + tail[2:] + `AuthHeader` + end,
		record{key: "a%20b", status: 204, auth: accesslog.Header, requester: user}},
	{"a key that is no UTF-8 and no encoding",
		head + user + " 3E57 REST.GET.OBJECT \xff%2 \"GET /\xff HTTP/1.1\" 200 - 1 1 7 6 \"-\" \"\xfe\"" + tail + `AuthHeader` + end,
		record{key: "\xff%2", uri: "GET /\xff HTTP/1.1", status: 200, agent: "\xfe", auth: accesslog.Header, requester: user}},
}

func TestRecords(t *testing.T) {
	for _, test := range records {
		var r accesslog.Record
		if err := r.Parse([]byte(test.line)); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := record{
			key: r.Key(), uri: string(r.Raw(accesslog.RequestURI)), code: string(r.Raw(accesslog.ErrorCode)),
			referer: string(r.Raw(accesslog.Referer)), agent: string(r.Raw(accesslog.UserAgent)),
			status: r.Status(), auth: r.Auth(), signer: r.AccessKeyID(), requester: string(r.Raw(accesslog.Requester)),
		}
		if got != test.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", test.name, got, test.want)
		}
		at := time.Date(2019, 2, 6, 0, 0, 38, 0, time.UTC)
		if string(r.Raw(accesslog.Bucket)) != "vault" || string(r.Raw(accesslog.RemoteIP)) != "192.0.2.3" || !r.Time().Equal(at) {
			t.Errorf("%s: bucket %q, from %q, at %v", test.name, r.Raw(accesslog.Bucket), r.Raw(accesslog.RemoteIP), r.Time())
		}
	}
}

func TestMalformedLinesNameTheField(t *testing.T) {
	whole := head + user + ` 3E57 REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 1 1 7 6 "-" "-" -`
	tests := []struct{ name, line, field string }{
		{"nothing", "", "bucket owner"},
		{"one word", "hello", "bucket owner"},
		{"no brackets", strings.Replace(whole, "[", "", 1), "no time"},
		{"no end of the time", strings.Replace(whole, "]", "", 1), "no time"},
		{"a status that is none", strings.Replace(whole, " 200 ", " 2000 ", 1), "request URI"},
		{"a status that is none, without a request line", strings.Replace(whole, `"GET /a HTTP/1.1" 200`, "- 20x", 1), "status"},
		{"cut in the request line", whole[:strings.Index(whole, " HTTP/1.1")], "request URI"},
		{"cut after the status", whole[:strings.Index(whole, "200")+4], "error code"},
		{"cut before the version", strings.TrimSuffix(whole, " -"), "version ID"},
		{"a quote too few", strings.Replace(whole, `"-" "-"`, `-" "-"`, 1), "referer"},
	}
	for _, test := range tests {
		var r accesslog.Record
		err := r.Parse([]byte(test.line))
		if !errors.Is(err, accesslog.ErrMalformed) || !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s: %v, want %s", test.name, err, test.field)
		}
	}
}

func TestParsingDoesNotAllocate(t *testing.T) {
	line := []byte(records[1].line)
	var r accesslog.Record
	if n := testing.AllocsPerRun(100, func() {
		if r.Parse(line) != nil || r.Auth() != accesslog.Query || r.Raw(accesslog.Bucket) == nil {
			t.Fatal("not parsed")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a line, want none", n)
	}
}

func TestRedactedURLsHaveNoSignature(t *testing.T) {
	tests := []struct{ line, want string }{
		{`"GET /a?X-Amz-Signature=5ec7e7&x=1 HTTP/1.1"`, `"GET /a?X-Amz-Signature=redacted&x=1 HTTP/1.1"`},
		{`/a?X-Amz-Security-Token=IQo%2Fb&X-Amz-Signature=5e`, `/a?X-Amz-Security-Token=redacted&X-Amz-Signature=redacted`},
		{`/a?AWSAccessKeyId=AK&Signature=v%3D "r"`, `/a?AWSAccessKeyId=AK&Signature=redacted "r"`},
		{`?x-amz-signature%3D5ec7e7`, `?x-amz-signature%3Dredacted`},
		{`"https://links.example.com/s3g_0aA1bB2cC3dD4eE5fF6gG7hH8iI9/x" s3g%5F0aA1bB2cC3`, `"https://links.example.com/s3g_redacted/x" s3g%5Fredacted`},
		{`nothing s3g_backup`, `nothing s3g_backup`},
	}
	for _, test := range tests {
		if got := string(accesslog.Redact([]byte(test.line))); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.line, got, test.want)
		}
	}
}

// Whatever a line holds, its fields are pieces of it, and a signature in its
// URL is seen.
func FuzzRecord(f *testing.F) {
	for _, test := range records {
		f.Add([]byte(test.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var r accesslog.Record
		err := r.Parse(line)
		for field := accesslog.Owner; field <= accesslog.ACLRequired; field++ {
			if raw := r.Raw(field); !strings.Contains(string(line), string(raw)) {
				t.Errorf("%s is %q", field, raw)
			}
		}
		_, _, _, _ = r.Key(), r.AccessKeyID(), r.Time(), r.Method()
		_, query, _ := strings.Cut(string(r.Raw(accesslog.RequestURI)), "?")
		signed := strings.HasPrefix(query, "X-Amz-Signature=") && !strings.HasPrefix(string(r.Raw(accesslog.Operation)), "REST.OPTIONS.")
		if auth := r.Auth(); err == nil && signed && auth != accesslog.Query && auth != accesslog.Post && !strings.Contains(string(line), " AuthHeader") {
			t.Errorf("%q is %s", query, auth)
		}
	})
}
