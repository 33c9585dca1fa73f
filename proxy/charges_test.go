package proxy_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"s3gate/s3client"
	"s3gate/tokens"
)

var update = flag.Bool("update", false, "write testdata/charges.golden anew")

// chargeCase says what a client or S3 does; the golden file says what it
// costs.
type chargeCase struct {
	name    string
	grant   tokens.Grant
	arrange func(g *gate)
	// act makes the request and returns what the client saw.
	act func(g *gate, token tokens.Token) string
}

var chargeCases = []chargeCase{
	{"GET", get(), nil, sends("GET", "")},
	{"GET of an empty object", get(), storing(""), sends("GET", "")},
	{"GET with a file name", get(), nil, func(g *gate, token tokens.Token) string {
		r := g.request("GET", token, nil)
		r.URL.Path += "/report.txt"
		return g.outcome(r)
	}},
	{"GET of a range", get(), nil, sends("GET", "", "Range", "bytes=0-1")},
	{"GET of several ranges", get(), nil, sends("GET", "", "Range", "bytes=0-1,3-4")},
	{"GET of a range outside", get(), nil, sends("GET", "", "Range", "bytes=1000-")},
	{"GET of a range outside, under If-Range", get(), nil, sends("GET", "", "Range", "bytes=1000-", "If-Range", `"old"`)},
	{"GET with two Range headers", get(), nil, sends("GET", "", "Range", "bytes=0-1", "Range", "bytes=3-4")},
	{"GET that a condition spares", get(), nil, sends("GET", "", "If-None-Match", etag)},
	{"GET that a condition forbids", get(), nil, sends("GET", "", "If-Match", `"old"`)},
	{"HEAD", get(), nil, sends("HEAD", "")},
	{"OPTIONS", get(), nil, sends("OPTIONS", "")},
	{"preflight", get(), nil, sends("OPTIONS", "", "Origin", "https://app.example", "Access-Control-Request-Method", "GET")},
	{"PUT on a link to get", get(), nil, sends("PUT", "x")},
	{"DELETE", get(), nil, sends("DELETE", "")},
	{"GET of an absent object", get(), (*gate).empty, sends("GET", "")},
	{"GET, s3 answers 403", get(), answering(refuse(403, "AccessDenied")), sends("GET", "")},
	{"GET, s3 answers 500", get(), answering(refuse(500, "InternalError")), sends("GET", "")},
	{"GET, s3 answers 503", get(), answering(refuse(503, "SlowDown")), sends("GET", "")},
	{"GET, s3 answers a part unasked", get(), answering(unasked), sends("GET", "")},
	{"GET, s3 hangs up at once", get(), answering(hangUp("")), sends("GET", "")},
	{"GET, s3 hangs up before the first byte", get(), answering(truncated(100, 0)), sends("GET", "")},
	{"GET, s3 hangs up after the first byte", get(), answering(truncated(100, 1)), sends("GET", "")},
	{"GET, client leaves before the first byte", get(), nil, leaveBeforeTheAnswer},
	{"GET, client leaves after the first byte", get(), storing(strings.Repeat("x", 8<<20)), leaveAfterTheFirstByte},
	{"GET, redis away before the charge", get(), nil, loseRedisBeforeTheCharge},

	{"PUT", put(), (*gate).empty, sends("PUT", content)},
	{"PUT into a drop box", drop(1, ""), (*gate).empty, sends("PUT", content)},
	{"PUT of nothing", put(), (*gate).empty, sends("PUT", "")},
	{"PUT where an object is", put(), nil, sends("PUT", content)},
	{"PUT without a length", put(), (*gate).empty, func(g *gate, token tokens.Token) string {
		return g.outcome(g.request("PUT", token, unmeasuredBody(content)))
	}},
	{"PUT without a body", put(), (*gate).empty, func(g *gate, token tokens.Token) string {
		if g.server.TLS != nil {
			return "411" // a client of HTTP/2 cannot be made to
		}
		return strconv.Itoa(g.raw("PUT /" + token.Reveal() + " HTTP/1.1\r\nHost: gate\r\n\r\n").StatusCode)
	}},
	{"PUT that is too large", limited(tokens.Upload{MaxBytes: 10}), (*gate).empty, sends("PUT", content)},
	{"PUT of a type not permitted", limited(tokens.Upload{ContentTypes: []string{"image/*"}}), (*gate).empty,
		sends("PUT", content, "Content-Type", "text/html")},
	{"PUT in aws-chunked", put(), (*gate).empty, sends("PUT", content, "Content-Encoding", "aws-chunked")},
	{"GET on a link to put", put(), nil, sends("GET", "")},
	{"GET of a browser on a link to put", put(), nil, sends("GET", "", chromeOpens...)},
	{"PUT, s3 answers 403", put(), answering(refuse(403, "AccessDenied")), sends("PUT", content)},
	{"PUT, s3 answers 500 and has nothing", put(), failing(refuse(500, "InternalError"), false), sends("PUT", content)},
	{"PUT, s3 answers 500 and has it", put(), failing(refuse(500, "InternalError"), true), sends("PUT", content)},
	{"PUT, s3 answers 504 and has nothing yet", put(), failing(refuse(504, ""), false), sends("PUT", content)},
	{"PUT, s3 answers 500 and then nothing", put(), answering(reading(failMethods(500, 503))), sends("PUT", content)},
	{"PUT, answer lost and object there", put(), failing(hangUp(""), true), sends("PUT", content)},
	{"PUT, answer lost and object not there", put(), failing(hangUp(""), false), sends("PUT", content)},
	{"PUT, s3 silent after the last byte", put(), (*gate).impatient, sends("PUT", content)},
	{"PUT, client leaves in the middle", put(), (*gate).empty, leaveInTheMiddle},
	{"PUT, client leaves after the last byte", put(), (*gate).empty, leaveAfterTheLastByte},
}

// A use is charged when the first byte of the object is about to leave, or
// its headers when it has none, and an upload when it is stored. One that may
// be resumed counts its bytes. All else is free (T3, T4, T5, T8, T9, S12, H9).
func TestCharges(t *testing.T) {
	const golden = "testdata/charges.golden"
	for _, proto := range []protocol{http1, http2} {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for _, test := range append(slices.Clone(chargeCases), openChargeCases...) {
				g := newGate(t, proto)
				if test.arrange != nil {
					test.arrange(g)
				}
				token := g.mint(test.grant)
				saw := test.act(g, token)
				eventually(t, test.name+": no transfer is left", func() bool { return g.transfers.Len() == 0 })
				fmt.Fprintf(&b, "%-42s %-7s %s\n", test.name, saw, g.account(token))
			}
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			diffLines(t, b.String(), string(want))
		})
	}
}

func diffLines(t *testing.T, got, want string) {
	t.Helper()
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, g, w)
		}
	}
}

// outcome is the status that the client saw, with a mark if the body broke
// off.
func (g *gate) outcome(r *http.Request) string {
	a := g.do(r)
	if a.err != nil {
		return strconv.Itoa(a.StatusCode) + " cut"
	}
	return strconv.Itoa(a.StatusCode)
}

func sends(method, body string, header ...string) func(*gate, tokens.Token) string {
	return func(g *gate, token tokens.Token) string {
		var r io.Reader
		if body != "" || method == "PUT" {
			r = strings.NewReader(body)
		}
		return g.outcome(g.request(method, token, r, header...))
	}
}

func limited(u tokens.Upload) tokens.Grant {
	g := put()
	g.Upload = u
	return g
}

func storing(data string) func(*gate) {
	return func(g *gate) { g.s3.store(canaryKey, data) }
}

func (g *gate) empty() { g.s3.clear() }

func answering(f http.HandlerFunc) func(*gate) {
	return func(g *gate) { g.s3.answer(f) }
}

func unasked(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Range", "bytes 0-1/25")
	w.WriteHeader(http.StatusPartialContent)
	io.WriteString(w, "th")
}

// failing reads the upload, stores it or not, and answers with f.
func failing(f http.HandlerFunc, stored bool) func(*gate) {
	return func(g *gate) {
		g.s3.clear()
		g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
			if stored {
				g.s3.take(r)
			}
			reading(f)(w, r)
		})
	}
}

func failMethods(put, head int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			refuse(put, "InternalError")(w, r)
		} else {
			refuse(head, "")(w, r)
		}
	}
}

// impatient makes the gate wait only shortly for an S3 that does not answer.
func (g *gate) impatient() {
	g.s3.clear()
	g.Buckets["media"] = g.openBucket(s3client.TransportConfig{ResponseTimeout: 100 * time.Millisecond})
	g.s3.only("PUT", reading(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
}

func leaveBeforeTheAnswer(g *gate, token tokens.Token) string {
	asked := make(chan struct{})
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, leave := context.WithCancel(g.t.Context())
	go func() {
		<-asked
		leave()
	}()
	if resp, err := g.client.Do(g.request("GET", token, nil).WithContext(ctx)); err == nil {
		resp.Body.Close()
		return resp.Status
	}
	return "-"
}

func leaveAfterTheFirstByte(g *gate, token tokens.Token) string {
	resp, err := g.client.Do(g.request("GET", token, nil))
	if err != nil {
		g.t.Fatal(err)
	}
	resp.Body.Read(make([]byte, 1))
	resp.Body.Close()
	return strconv.Itoa(resp.StatusCode)
}

func loseRedisBeforeTheCharge(g *gate, token tokens.Token) string {
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		g.redis.SetError("LOADING Redis is loading the dataset in memory")
		g.s3.behave(w, r)
	})
	saw := g.outcome(g.request("GET", token, nil))
	g.redis.SetError("")
	// The refund is told when Redis is back.
	g.wantCharge(token, "free")
	return saw
}

func leaveInTheMiddle(g *gate, token tokens.Token) string {
	arrived := make(chan struct{})
	g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
		r.Body.Read(make([]byte, 1))
		close(arrived)
		if g.s3.take(r) {
			g.t.Error("s3 got the whole body")
		}
	})
	ctx, leave := context.WithCancel(g.t.Context())
	body, w := io.Pipe()
	go func() {
		io.WriteString(w, strings.Repeat("x", 64<<10))
		<-arrived
		leave()
		w.CloseWithError(context.Canceled)
	}()
	r := g.request("PUT", token, body).WithContext(ctx)
	r.ContentLength = 1 << 20
	if resp, err := g.client.Do(r); err == nil {
		resp.Body.Close()
		return resp.Status
	}
	return "-"
}

func leaveAfterTheLastByte(g *gate, token tokens.Token) string {
	ctx, leave := context.WithCancel(g.t.Context())
	g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
		whole := g.s3.take(r)
		leave()
		// Long enough for the gate to hear of it.
		time.Sleep(100 * time.Millisecond)
		if !whole || r.Context().Err() != nil {
			g.t.Error("the gate gave up an upload that it had sent")
		}
	})
	if resp, err := g.client.Do(g.request("PUT", token, strings.NewReader(content)).WithContext(ctx)); err == nil {
		resp.Body.Close()
		return resp.Status
	}
	return "-"
}
