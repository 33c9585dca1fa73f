package proxy_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/proxy"
	"s3gate/s3client"
	"s3gate/tokens"
)

// upstreamFunc is an upstream made of a function.
type upstreamFunc func(context.Context, *s3client.Request) (*http.Response, error)

func (f upstreamFunc) Do(ctx context.Context, r *s3client.Request) (*http.Response, error) {
	return f(ctx, r)
}

// problemCases are requests that fail, whatever form of answer they ask for.
var problemCases = []struct {
	name    string
	grant   tokens.Grant
	arrange func(g *gate, token tokens.Token)
	request func(g *gate, token tokens.Token) *http.Request
	status  int
	code    string
	header  map[string]string // besides what every answer has
}{
	{"malformed", forever(get()), nil, func(g *gate, token tokens.Token) *http.Request {
		r := g.request("GET", token, nil)
		r.URL.Path = r.URL.Path[:len(r.URL.Path)-1] + "!"
		return r
	}, 404, "NotFound", nil},
	{"unknown", forever(get()), nil, func(g *gate, _ tokens.Token) *http.Request {
		return g.request("GET", tokens.Generate(), nil)
	}, 404, "NotFound", nil},
	{"expired", forever(get()), func(g *gate, _ tokens.Token) {
		g.redis.SetTime(time.Now().Add(2 * time.Hour))
	}, aGet(), 410, "LinkExpired", nil},
	{"not yet valid", later(get()), nil, aGet(), 403, "LinkNotYetValid", nil},
	{"used", get(), func(g *gate, token tokens.Token) { g.get(token) }, aGet(), 410, "LinkUsed", nil},
	{"revoked", forever(get()), func(g *gate, token tokens.Token) {
		g.store.Revoke(g.t.Context(), token.ID(), canaryMessage, canaryMessage)
	}, aGet(), 410, "LinkRevoked", nil},
	{"in use", get(), func(g *gate, token tokens.Token) {
		g.store.Redeem(g.t.Context(), token, tokens.Ask{Operation: tokens.Get})
	}, aGet(), 409, "LinkInUse", map[string]string{"Retry-After": "2"}},
	{"wrong method for get", forever(get()), nil, aPut(content), 405, "MethodNotAllowed",
		map[string]string{"Allow": "GET, HEAD, OPTIONS"}},
	{"wrong method for put", forever(put()), nil, aGet("Sec-Fetch-Dest", "image"), 405, "MethodNotAllowed",
		map[string]string{"Allow": "PUT, POST, PATCH, HEAD, OPTIONS"}},
	{"method of no link", forever(get()), nil, func(g *gate, token tokens.Token) *http.Request {
		return g.request("PROPFIND", token, nil)
	}, 405, "MethodNotAllowed", map[string]string{"Allow": "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"}},
	{"no such path below the prefix", forever(below(get(), false)), nil, aGet(), 404, "NotFound", nil},
	{"malformed cursor", forever(below(get(), true)), nil, func(g *gate, token tokens.Token) *http.Request {
		r := g.request("GET", token, nil)
		r.URL.Path, r.URL.RawQuery = r.URL.Path+"/", "after=*"
		return r
	}, 400, "InvalidArgument", nil},
	{"listing that cannot be read", forever(below(get(), true)), nil, func(g *gate, token tokens.Token) *http.Request {
		g.s3.answer(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>"+canaryMessage) })
		r := g.request("GET", token, nil)
		r.URL.Path += "/"
		return r
	}, 502, "StorageError", nil},
	{"listing that s3 refuses", forever(below(get(), true)), nil, func(g *gate, token tokens.Token) *http.Request {
		g.s3.answer(refuse(403, "AccessDenied"))
		r := g.request("GET", token, nil)
		r.URL.Path += "/"
		return r
	}, 502, "StorageError", nil},
	{"too many transfers", forever(oneAtATime(get())), func(g *gate, token tokens.Token) {
		slot, err := g.store.Occupy(g.t.Context(), token.ID(), 1)
		if err != nil {
			g.t.Fatal(err)
		}
		g.t.Cleanup(func() { slot.Release(context.Background()) })
	}, aGet(), 429, "TooManyTransfers", map[string]string{"Retry-After": "2"}},
	{"object changed", forever(pinned(get(), `"old"`)), nil, aGet(), 412, "ObjectChanged", nil},
	{"version that is a delete marker", forever(get()), s3(refuse(405, "MethodNotAllowed")), aGet(), 404, "NotFound", nil},
	{"two ranges", forever(get()), nil, aGet("Range", "bytes=0-1", "Range", "bytes=2-3"), 400, "InvalidRequest", nil},
	{"range outside", forever(get()), nil, aGet("Range", "bytes=1000-"), 416, "InvalidRange",
		map[string]string{"Content-Range": "bytes */25"}},
	{"range outside of a limited link", unconfirmed(get()), nil, aGet("Range", "bytes=25-"), 416, "InvalidRange",
		map[string]string{"Content-Range": "bytes */25"}},
	{"condition", forever(get()), nil, aGet("If-Match", `"old"`), 412, "PreconditionFailed", nil},
	{"absent object", forever(get()), to((*gate).empty), aGet(), 404, "NotFound", nil},
	{"alias not configured", elsewhere(get()), nil, aGet(), 502, "StorageError", nil},
	{"redis away", forever(get()), func(g *gate, _ tokens.Token) { g.redis.SetError("LOADING Redis is loading the dataset in memory") }, aGet(),
		503, "ServiceUnavailable", map[string]string{"Retry-After": "1"}},
	{"s3 301", forever(get()), s3(refuse(301, "PermanentRedirect")), aGet(), 502, "StorageError", nil},
	{"s3 307", forever(get()), s3(refuse(307, "TemporaryRedirect")), aGet(), 502, "StorageError", nil},
	{"s3 400", forever(get()), s3(refuse(400, "InvalidArgument")), aGet(), 502, "StorageError", nil},
	{"s3 403", forever(get()), s3(refuse(403, "AccessDenied")), aGet(), 502, "StorageError", nil},
	{"s3 403, signature", forever(get()), s3(refuse(403, "SignatureDoesNotMatch")), aGet(), 502, "StorageError", nil},
	{"s3 403, archived", forever(get()), s3(refuse(403, "InvalidObjectState")), aGet(), 409, "InvalidObjectState", nil},
	{"s3 403, clock", forever(get()), s3(refuse(403, "RequestTimeTooSkewed")), aGet(), 503, "ServiceUnavailable", nil},
	{"s3 400, credentials", forever(get()), s3(refuse(400, "ExpiredToken")), aGet(), 503, "ServiceUnavailable", nil},
	{"s3 404, bucket", forever(get()), s3(refuse(404, "NoSuchBucket")), aGet(), 502, "StorageError", nil},
	{"s3 404, key", forever(get()), s3(refuse(404, "NoSuchKey")), aGet(), 404, "NotFound", nil},
	{"s3 404, nothing said", forever(get()), s3(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
	}), aGet(), 404, "NotFound", nil},
	{"s3 429", forever(get()), s3(refuse(429, "TooManyRequests")), aGet(), 503, "SlowDown", map[string]string{"Retry-After": "2"}},
	{"s3 500", forever(get()), s3(refuse(500, "InternalError")), aGet(), 502, "StorageError", nil},
	{"s3 503", forever(get()), s3(refuse(503, "SlowDown")), aGet(), 503, "SlowDown", map[string]string{"Retry-After": "2"}},
	{"s3 504", forever(get()), s3(refuse(504, "")), aGet(), 504, "StorageError", nil},
	{"s3 204", forever(get()), s3(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }), aGet(), 502, "StorageError", nil},
	{"s3 not speaking xml", forever(get()), s3(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		io.WriteString(w, "<html>"+canaryMessage)
	}), aGet(), 502, "StorageError", nil},
	{"s3 hangs up", forever(get()), s3(hangUp("")), aGet(), 502, "StorageError", nil},
	{"s3 silent", forever(get()), to((*gate).impatient), func(g *gate, token tokens.Token) *http.Request {
		g.s3.answer(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		return g.request("GET", token, nil)
	}, 504, "StorageError", nil},
	{"body that ends with the connection", forever(get()), s3(hangUp("HTTP/1.1 200 OK\r\n\r\n" + content)), aGet(),
		502, "StorageError", nil},
	{"no credentials", forever(get()), failsWith(s3client.ErrCredentials), aGet(), 503, "ServiceUnavailable", nil},
	{"anything else", forever(get()), failsWith(errors.New("out of luck")), aGet(), 500, "InternalError", nil},

	{"upload of unknown length where an object is", forever(put()), nil, func(g *gate, token tokens.Token) *http.Request {
		return g.request("PUT", token, unmeasuredBody(content))
	}, 412, "PreconditionFailed", nil},
	{"upload of unknown length that is too large", forever(limited(tokens.Upload{MaxBytes: 10})), nil, func(g *gate, token tokens.Token) *http.Request {
		return g.request("PUT", token, unmeasuredBody(content))
	}, 413, "EntityTooLarge", nil},
	{"upload of unknown length with another checksum", forever(put()), nil, func(g *gate, token tokens.Token) *http.Request {
		return g.request("PUT", token, unmeasuredBody(content), "Content-MD5", "MD5")
	}, 400, "InvalidDigest", nil},
	{"upload too large", forever(limited(tokens.Upload{MaxBytes: 10})), nil, aPut(content), 413, "EntityTooLarge", nil},
	{"upload larger than s3 takes", forever(put()), nil, func(g *gate, token tokens.Token) *http.Request {
		r := g.request("PUT", token, strings.NewReader("not sent"), "Expect", "100-continue")
		r.ContentLength = tokens.MaxUploadBytes + 1
		return r
	}, 413, "EntityTooLarge", nil},
	{"upload of a type not permitted", forever(limited(tokens.Upload{ContentTypes: []string{"image/png"}})), nil,
		aPut(content, "Content-Type", "image/svg+xml"), 415, "UnsupportedMediaType", nil},
	{"upload without a type", forever(limited(tokens.Upload{ContentTypes: []string{"image/png"}})), nil,
		aPut(content), 415, "UnsupportedMediaType", nil},
	{"upload of two types", forever(limited(tokens.Upload{ContentTypes: []string{"image/png"}})), nil,
		aPut(content, "Content-Type", "image/png", "Content-Type", "text/html"), 415, "UnsupportedMediaType", nil},
	{"upload where an object is", forever(put()), nil, aPut(content), 412, "PreconditionFailed", nil},
	{"upload in aws-chunked", forever(put()), nil, aPut(content, "Content-Encoding", "gzip", "Content-Encoding", "AWS-Chunked"),
		400, "InvalidRequest", nil},
	{"upload in signed chunks", forever(put()), nil, aPut(content, "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
		400, "InvalidRequest", nil},
	{"upload with a trailer", forever(put()), nil, aPut(content, "X-Amz-Trailer", "x-amz-checksum-crc32"), 400, "InvalidRequest", nil},
	{"upload without its checksum", forever(limited(tokens.Upload{Checksum: "crc32c"})), nil, aPut(content), 400, "MissingChecksum", nil},
	{"upload with two checksums", forever(put()), nil, aPut(content, "X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Crc32c", "AAAAAA=="),
		400, "InvalidRequest", nil},
	{"upload with an unknown checksum", forever(put()), nil, aPut(content, "X-Amz-Checksum-Md4", canaryClient), 400, "InvalidRequest", nil},
	{"upload that promises a checksum", forever(put()), nil, aPut(content, "X-Amz-Sdk-Checksum-Algorithm", "CRC32"), 400, "InvalidRequest", nil},
	{"upload with a malformed checksum", forever(put()), nil, aPut(content, "X-Amz-Checksum-Crc32", canaryClient), 400, "InvalidDigest", nil},
	{"upload with metadata that is not ASCII", forever(limited(tokens.Upload{ClientMetadata: []string{"author"}})), nil,
		aPut(content, "X-Amz-Meta-Author", "\xc3\xbc"), 400, "InvalidArgument", nil},
	{"upload with too much metadata", forever(limited(tokens.Upload{ClientMetadata: []string{"*"}})), nil,
		aPut(content, "X-Amz-Meta-Author", strings.Repeat("x", tokens.MaxMetadataBytes)), 400, "MetadataTooLarge", nil},
	{"upload that looks wrong", forever(limited(tokens.Upload{Sniff: true, ContentTypes: []string{"image/png"}})), to((*gate).empty),
		aPut(content, "Content-Type", "image/png"), 415, "UnsupportedMediaType", nil},
	{"upload to a store that may overwrite", forever(put()), to(func(g *gate) { g.Storage = keeps(proxy.RefuseUploads) }), aPut(content),
		501, "OverwriteNotPrevented", nil},
	{"copy", forever(put()), nil, aPut("", "X-Amz-Copy-Source", "/other/object"), 400, "InvalidRequest", nil},
	{"upload that s3 found short", forever(put()), s3(reading(refuse(400, "IncompleteBody"))), aPut(content), 400, "IncompleteBody", nil},
	{"upload that s3 waited for", forever(put()), s3(reading(refuse(400, "RequestTimeout"))), aPut(content), 400, "IncompleteBody", nil},
	{"upload with another checksum", forever(put()), s3(reading(refuse(400, "BadDigest"))), aPut(content), 400, "BadDigest", nil},
	{"upload with a bad checksum", forever(put()), s3(reading(refuse(400, "InvalidDigest"))), aPut(content), 400, "InvalidDigest", nil},
	{"upload too large for s3", forever(put()), s3(reading(refuse(400, "EntityTooLarge"))), aPut(content), 413, "EntityTooLarge", nil},
	{"uploads at once", forever(put()), s3(reading(refuse(409, "ConditionalRequestConflict"))), aPut(content),
		409, "OperationAborted", map[string]string{"Retry-After": "1"}},
	{"upload of unknown outcome", forever(put()), to(failing(hangUp(""), false)), aPut(content), 504, "OutcomeUnknown", nil},
	{"upload answered too early", forever(put()), answersEarly(), aPut(content), 502, "StorageError", nil},
}

func forever(g tokens.Grant) tokens.Grant { return unlimited(g) }

// unconfirmed is a grant that browsers get without a page.
func unconfirmed(g tokens.Grant) tokens.Grant {
	g.Confirm = tokens.ConfirmNever
	return g
}

func later(g tokens.Grant) tokens.Grant {
	g.NotBefore = time.Now().Add(30 * time.Minute)
	return g
}

func elsewhere(g tokens.Grant) tokens.Grant {
	g.Bucket = "unheard-of"
	return unlimited(g)
}

func aGet(header ...string) func(*gate, tokens.Token) *http.Request {
	return func(g *gate, token tokens.Token) *http.Request { return g.request("GET", token, nil, header...) }
}

func aPut(body string, header ...string) func(*gate, tokens.Token) *http.Request {
	return func(g *gate, token tokens.Token) *http.Request {
		return g.request("PUT", token, strings.NewReader(body), header...)
	}
}

func to(f func(*gate)) func(*gate, tokens.Token) {
	return func(g *gate, _ tokens.Token) { f(g) }
}

func s3(f http.HandlerFunc) func(*gate, tokens.Token) { return to(answering(f)) }

func failsWith(err error) func(*gate, tokens.Token) {
	return to(func(g *gate) {
		g.Buckets["media"] = upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) { return nil, err })
	})
}

func answersEarly() func(*gate, tokens.Token) {
	return to(func(g *gate) {
		g.Buckets["media"] = upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {etag}}, Body: http.NoBody}, nil
		})
	})
}

// Every failure has its status, code and headers in each of the forms, and no
// form, log line or metric gives away a token, the bucket, the key or what S3
// said (T14, S4, S5, C3).
func TestProblems(t *testing.T) {
	for _, test := range problemCases {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			token := g.mint(test.grant)
			if test.arrange != nil {
				test.arrange(g, token)
			}
			for _, form := range problemForms {
				r := test.request(g, token)
				for name, values := range hostileRequest {
					if r.Header.Get(name) == "" {
						r.Header[name] = values
					}
				}
				r.URL.RawQuery += "&X-Amz-Signature=" + canaryClient
				r.Header.Set("Accept", form.accept)
				a := g.do(r)
				if a.StatusCode != test.status {
					t.Errorf("%s: status %d, want %d", form.name, a.StatusCode, test.status)
				}
				if got := a.Header.Get("Content-Type"); got != form.contentType {
					t.Errorf("%s: Content-Type %q, want %q", form.name, got, form.contentType)
				}
				if code := form.code(t, a); code != "" && code != test.code {
					t.Errorf("%s: code %q, want %q", form.name, code, test.code)
				}
				checkSafeHeaders(t, a, form.csp)
				for _, name := range []string{"Retry-After", "Allow", "Content-Range", "Location", "Set-Cookie"} {
					if want := test.header[name]; want != "" && a.Header.Get(name) != want ||
						want == "" && name != "Retry-After" && a.Header.Get(name) != "" {
						t.Errorf("%s: %s: %q, want %q", form.name, name, a.Header.Get(name), want)
					}
				}
				checkCanaries(t, form.name, dump(a), token)
			}
			g.redis.SetError("")
			checkCanaries(t, "log", g.log.String(), token)
			checkCanaries(t, "metrics", g.metricsText(), token)
		})
	}
}

var problemForms = []struct {
	name, accept, contentType, csp string
	code                           func(*testing.T, answer) string
}{
	{"XML", "*/*", "application/xml", plainCSP, func(t *testing.T, a answer) string {
		var doc struct {
			XMLName                  xml.Name `xml:"Error"`
			Code, Message, RequestId string
		}
		if err := xml.Unmarshal([]byte(a.body), &doc); err != nil || doc.Message == "" || doc.RequestId != a.Header.Get("X-Request-Id") {
			t.Errorf("not an S3 error: %v\n%s", err, a.body)
		}
		return doc.Code
	}},
	{"JSON", "application/json", "application/problem+json", plainCSP, func(t *testing.T, a answer) string {
		var doc struct {
			Type, Title, Code, Detail string
			Status                    int
			RequestID                 string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil || doc.Type != "about:blank" || doc.Title == "" ||
			doc.Detail == "" || doc.Status != a.StatusCode || doc.RequestID != a.Header.Get("X-Request-Id") {
			t.Errorf("not a problem document: %v\n%s", err, a.body)
		}
		return doc.Code
	}},
	{"HTML", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8", "", func(t *testing.T, a answer) string {
		if !strings.HasPrefix(a.body, "<!doctype html>") || !strings.Contains(a.body, a.Header.Get("X-Request-Id")) ||
			!strings.Contains(a.body, http.StatusText(a.StatusCode)) {
			t.Errorf("not a page:\n%s", a.body)
		}
		_, nonce, _ := strings.Cut(a.body, `nonce="`)
		nonce, _, ok := strings.Cut(nonce, `"`)
		if csp := a.Header.Get("Content-Security-Policy"); !ok || len(nonce) < 16 || !strings.Contains(csp, "'nonce-"+nonce+"'") ||
			!strings.HasPrefix(csp, "default-src 'none'") {
			t.Errorf("policy %q for the page with nonce %q", csp, nonce)
		}
		return "" // pages have none
	}},
}

// A body that ends early is answered if the client still listens, and stored
// nowhere (S8).
func TestShortBodyIsAnswered(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	token := g.mint(put())
	c := g.dial()
	io.WriteString(c, "PUT /"+token.Reveal()+" HTTP/1.1\r\nHost: gate\r\nContent-Length: 1000\r\n\r\nonly this")
	c.CloseWrite()
	reply, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(reply), "HTTP/1.1 400 ") || !strings.Contains(string(reply), "<Code>IncompleteBody</Code>") {
		t.Errorf("answer:\n%s", reply)
	}
	if data, ok := g.s3.object(); ok {
		t.Errorf("stored %q", data)
	}
	g.wantCharge(token, "free")
}

// A client that has only ended its half of the connection counts as gone. It
// must not take the end of the answer for an object that is empty.
func TestAbandonedRequestIsNotAnsweredWith200(t *testing.T) {
	g := newGate(t, http1)
	asked := make(chan struct{})
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	token := g.mint(get())
	c := g.dial()
	io.WriteString(c, "GET /"+token.Reveal()+" HTTP/1.1\r\nHost: gate\r\n\r\n")
	<-asked
	c.CloseWrite()
	if reply, _ := io.ReadAll(c); len(reply) > 0 {
		t.Errorf("answer:\n%s", reply)
	}
	g.wantCharge(token, "free")
}

// HEAD has the status and headers of the failure, and no body.
func TestProblemOfHead(t *testing.T) {
	for _, test := range []struct {
		name    string
		arrange func(*gate)
		header  []string
		want    int
	}{
		{"absent", (*gate).empty, nil, 404},
		{"condition", nil, []string{"If-Match", `"old"`}, 412},
		{"s3 403", answering(refuse(403, "AccessDenied")), nil, 502},
		{"s3 503", answering(refuse(503, "SlowDown")), nil, 503},
		{"s3 301", answering(refuse(301, "PermanentRedirect")), nil, 502},
		{"s3 206", answering(unasked), nil, 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			if test.arrange != nil {
				test.arrange(g)
			}
			a := g.do(g.request("HEAD", g.mint(forever(get())), nil, test.header...))
			if a.StatusCode != test.want || a.body != "" || a.ContentLength <= 0 {
				t.Errorf("%d, %d bytes announced, body %q; want %d", a.StatusCode, a.ContentLength, a.body, test.want)
			}
			checkSafeHeaders(t, a, plainCSP)
		})
	}
}

func TestContactIsShownOnPagesOnly(t *testing.T) {
	g := newGate(t, http1)
	g.Look.Contact = "<b>help@example.com</b>"
	token := tokens.Generate()
	if a := g.get(token, "Accept", "text/html"); !strings.Contains(a.body, "&lt;b&gt;help@example.com") {
		t.Errorf("page:\n%s", a.body)
	}
	if a := g.get(token); strings.Contains(a.body, "help@") {
		t.Errorf("document:\n%s", a.body)
	}
}

// Errors of the network count as the storage's.
func TestTimeoutOfAnUpstream(t *testing.T) {
	g := newGate(t, http1)
	timeout := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	g.Buckets["media"] = upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) {
		return nil, errors.Join(s3client.ErrUnreachable, timeout)
	})
	if a := g.get(g.mint(get())); a.StatusCode != 504 {
		t.Errorf("status %d, want 504", a.StatusCode)
	}
}
