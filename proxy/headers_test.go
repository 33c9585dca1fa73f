package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"s3gate/tokens"
)

const plainCSP = "default-src 'none'; sandbox"

// checkSafeHeaders checks what every answer carries (C1, C4). An empty csp
// leaves that to the caller.
func checkSafeHeaders(t *testing.T, a answer, csp string) {
	t.Helper()
	want := map[string]string{
		"Cache-Control":           "private, no-store",
		"Referrer-Policy":         "no-referrer",
		"X-Content-Type-Options":  "nosniff",
		"X-Robots-Tag":            "noindex",
		"Content-Security-Policy": csp,
	}
	for name, value := range want {
		if got := a.Header.Values(name); value != "" && !slices.Equal(got, []string{value}) {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if !strings.HasPrefix(a.Header.Get("X-Request-Id"), "req_") {
		t.Errorf("X-Request-Id: %q", a.Header.Get("X-Request-Id"))
	}
}

// checkCanaries looks for secrets in what the gate gave out.
func checkCanaries(t testing.TB, where, text string, token tokens.Token) {
	t.Helper()
	canaries := []string{canaryBucket, "canary-key", canarySecret, canaryMessage, canaryClient, "AKIDEXAMPLE", token.Reveal()}
	for _, canary := range canaries {
		if strings.Contains(text, canary) {
			t.Errorf("%s gives away %q:\n%s", where, canary, text)
		}
	}
}

// dump is everything in an answer.
func dump(a answer) string {
	var b strings.Builder
	a.Header.Write(&b)
	a.Trailer.Write(&b)
	return b.String() + a.body
}

// metricsText lists the counters, each with its labels in the order of their
// names.
func (g *gate) metricsText() string {
	g.t.Helper()
	families, err := g.metrics.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			b.WriteString(f.GetName())
			for _, label := range m.GetLabel() {
				fmt.Fprintf(&b, " %s=%s", label.GetName(), label.GetValue())
			}
			fmt.Fprintf(&b, " %.0f\n", m.GetCounter().GetValue())
		}
	}
	return b.String()
}

// hostileRequest is what clients send and S3 may not get, and what may not
// change what it is asked.
var hostileRequest = http.Header{
	"Authorization":                {"AWS4-HMAC-SHA256 Credential=" + canaryClient},
	"Cookie":                       {"session=" + canaryClient},
	"Proxy-Authorization":          {"Basic " + canaryClient},
	"X-Amz-Date":                   {"20200101T000000Z"},
	"X-Amz-Security-Token":         {canaryClient},
	"X-Amz-Acl":                    {"public-read"},
	"X-Amz-Meta-Canary":            {canaryClient},
	"X-Amz-Meta-S3gate-Use":        {canaryClient},
	"X-Amz-Server-Side-Encryption": {"aws:kms"},
	"X-Amz-Server-Side-Encryption-Customer-Key": {canaryClient},
	"X-Amz-Expected-Bucket-Owner":               {canaryClient},
	"X-Amz-Tagging":                             {"canary=client"},
	"X-Amz-Website-Redirect-Location":           {canaryClient},
	"X-Amz-Storage-Class":                       {"GLACIER"},
	"X-Amz-Object-Lock-Mode":                    {"COMPLIANCE"},
	"X-Amz-Bypass-Governance-Retention":         {"true"},
	"X_amz_acl":                                 {"public-read"},
	"X-Forwarded-For":                           {"192.0.2.1"},
	"X-Forwarded-Host":                          {canaryClient},
	"X-Http-Method-Override":                    {"DELETE"},
	"Forwarded":                                 {"for=192.0.2.1"},
	"Referer":                                   {"https://" + canaryClient},
	"Origin":                                    {"https://" + canaryClient},
	"User-Agent":                                {canaryClient},
	"Via":                                       {"1.1 " + canaryClient},
	"Accept-Encoding":                           {"gzip"},
	"Te":                                        {"trailers"},
	"Traceparent":                               {"00-" + canaryClient},
	"X-Amz-Copy-Source-If-Match":                {canaryClient},
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key": {canaryClient},
}

// hopByHop belongs to one connection; net/http's client does not send all of
// it, so it is sent raw. Connection names what is ours.
const hopByHop = "Connection: keep-alive, X-Amz-Content-Sha256, Authorization, Host, If-None-Match, Content-Type, X-Amz-Date\r\n" +
	"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAAQ\r\nTrailer: X-Amz-Acl\r\n"

// Nothing of a client's request reaches S3 but a short list of headers, and
// nothing of it changes what S3 is asked or how that is signed (H2, H3, H12,
// S3).
func TestRequestAllowList(t *testing.T) {
	signed := []string{"Authorization", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Date"}
	for _, test := range []struct {
		name, method string
		grant        tokens.Grant
		send         map[string]string
		want         []string
	}{
		{"GET", "GET", unlimited(get()), map[string]string{
			"Range": "bytes=0-3", "If-None-Match": `"x"`, "If-Modified-Since": modified, "If-Unmodified-Since": modified,
		}, append([]string{"Range", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}, signed...)},
		{"GET of a limited link", "GET", get(), map[string]string{"Range": "bytes=0-3"}, append([]string{"X-Amz-Checksum-Mode"}, signed...)},
		{"HEAD", "HEAD", get(), map[string]string{"Range": "bytes=0-3", "If-Match": etag},
			append([]string{"If-Match", "X-Amz-Checksum-Mode"}, signed...)},
		{"PUT", "PUT", put(), map[string]string{
			"Content-Type": "text/plain", "Content-Language": "en", "Content-Encoding": "gzip", "Content-Md5": checksum("md5", "body"), "X-Amz-Checksum-Crc32": checksum("crc32", "body"), "X-Amz-Checksum-Algorithm": canaryClient, "Repr-Digest": "sha-256=:" + checksum("sha256", "body") + ":",
			"Content-Disposition": "inline; filename=" + canaryClient, "Cache-Control": "public", "Expires": modified, "Range": "bytes=0-3",
		}, append([]string{"Content-Type", "Content-Language", "Content-Encoding", "Content-Md5", "Content-Length", "X-Amz-Checksum-Crc32",
			"If-None-Match", "X-Amz-Meta-S3gate-Use"}, signed...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			if test.method == "PUT" {
				g.s3.clear()
			}
			token := g.mint(test.grant)
			raw := test.method + " /" + token.Reveal() + "/" + canaryClient + "?" +
				"versionId=" + canaryClient + "&acl;X-Amz-Signature=" + canaryClient + " HTTP/1.1\r\nHost: " + canaryClient + "\r\n" + hopByHop
			for name, values := range hostileRequest {
				raw += name + ": " + values[0] + "\r\n"
			}
			for name, value := range test.send {
				raw += name + ": " + value + "\r\n"
			}
			if test.method == "PUT" {
				raw += "Content-Length: 4\r\n\r\nbody"
			} else {
				raw += "\r\n"
			}
			resp := g.raw(raw)
			if resp.StatusCode/100 != 2 {
				t.Fatalf("answer: %s", resp.Status)
			}
			requests := g.s3.log()
			if len(requests) != 1 {
				t.Fatalf("%d requests reached s3", len(requests))
			}
			got := requests[0]
			if got.method != test.method || got.target != "/"+canaryBucket+"/"+canaryKey {
				t.Errorf("s3 was asked to %s %s", got.method, got.target)
			}
			slices.Sort(test.want)
			if names := slices.Sorted(maps.Keys(got.header)); !slices.Equal(names, test.want) {
				t.Errorf("s3 got the headers\n%q, want\n%q", names, test.want)
			}
			for name, values := range got.header {
				if strings.Contains(strings.Join(values, " "), canaryClient) {
					t.Errorf("s3 got %s: %q", name, values)
				}
			}
			if agent := got.header.Get("User-Agent"); agent != "s3gate "+string(token.ID()) {
				t.Errorf("User-Agent: %q", agent)
			}
		})
	}
}

// The same for an upload in parts, request by request (S3).
func TestRequestAllowListInParts(t *testing.T) {
	want := map[string][]string{
		"HEAD":     nil,
		create:     {"Content-Length", "Content-Type", "X-Amz-Meta-S3gate-Use"},
		uploadPart: {"Content-Length"},
		complete:   {"Content-Length", "Content-Type", "If-None-Match"},
	}
	for _, length := range lengths {
		g := newPartsGate(t, http1)
		r := g.request("PUT", g.mint(put()), length.body(noise(3*testPart)))
		for name, values := range hostileRequest {
			r.Header[name] = values
		}
		r.Header.Set("Content-Type", "text/plain")
		r.URL.RawQuery = "uploadId=" + canaryClient + "&partNumber=7"
		if a := g.do(r); a.StatusCode != 200 {
			t.Fatalf("%s: %s %s", length.name, a.Status, a.body)
		}
		for _, got := range g.s3.log() {
			of := kind(got.method, got.target)
			names := slices.Sorted(maps.Keys(got.header))
			allowed := append([]string{"Authorization", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Date"}, want[of]...)
			if slices.Sort(allowed); !slices.Equal(names, allowed) {
				t.Errorf("%s, %s: s3 got the headers\n%q, want\n%q", length.name, of, names, allowed)
			}
			if strings.Contains(got.target+fmt.Sprint(got.header), canaryClient) {
				t.Errorf("%s, %s: s3 got %s %v", length.name, of, got.target, got.header)
			}
		}
	}
}

// raw sends a request as it stands and returns the answer.
func (g *gate) raw(request string) answer {
	g.t.Helper()
	c := g.dial()
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		g.t.Fatalf("%q: %v", request[:min(len(request), 60)], err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body), err}
}

// Nothing of S3's answer reaches the client but a short list of headers, and
// none of it replaces what the gate says (C1, C3, C4).
func TestResponseAllowList(t *testing.T) {
	download := []string{"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
		"Content-Type", "Etag", "Last-Modified", "X-Amz-Server-Side-Encryption", "X-Amz-Version-Id"}
	checksums := []string{"X-Amz-Checksum-Sha256", "X-Amz-Checksum-Type"}
	safe := []string{"Cache-Control", "Content-Security-Policy", "Date", "Referrer-Policy", "X-Content-Type-Options", "X-Request-Id", "X-Robots-Tag"}
	upload := []string{"Content-Length", "Etag", "X-Amz-Checksum-Sha256", "X-Amz-Version-Id"}
	s3 := func(status int) http.HandlerFunc {
		return reading(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			hostile(h)
			h.Set("Content-Type", "text/html")
			h.Set("Content-Disposition", "inline")
			h.Set("Content-Encoding", "br")
			h.Set("Content-Language", "en")
			h.Set("Etag", etag)
			h.Set("Last-Modified", modified)
			h.Set("Accept-Ranges", "bytes")
			h.Set("X-Amz-Version-Id", "v1")
			h.Set("X-Amz-Server-Side-Encryption", "AES256")
			h.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", canaryMessage)
			h.Set("X-Amz-Checksum-Sha256", "c2hh")
			h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
			h.Set("Trailer", "X-Amz-Meta-Late")
			if status/100 == 2 && r.Method != "PUT" {
				h.Set("Content-Length", "4")
			}
			if status == http.StatusPartialContent {
				h.Set("Content-Range", "bytes 0-3/9")
			}
			w.WriteHeader(status)
			if status/100 == 2 && r.Method == "GET" {
				io.WriteString(w, "<b/>")
			}
		})
	}
	for _, test := range []struct {
		name, method string
		status       int
		grant        tokens.Grant
		want         []string
	}{
		{"GET", "GET", 200, get(), append(checksums, download...)},
		{"HEAD", "HEAD", 200, get(), append(checksums, download...)},
		{"GET, part", "GET", 206, unlimited(get()), append([]string{"Content-Range"}, download...)},
		{"GET, not modified", "GET", 304, get(), slices.DeleteFunc(slices.Clone(download), func(s string) bool {
			return s == "Content-Length" || s == "Content-Type"
		})},
		{"PUT", "PUT", 200, put(), append(upload, "X-Amz-Checksum-Type")},
	} {
		for _, proto := range []protocol{http1, http2} {
			t.Run(test.name+" "+proto.name, func(t *testing.T) {
				g := newGate(t, proto)
				g.s3.answer(s3(test.status))
				var body io.Reader
				if test.method == "PUT" {
					body = strings.NewReader("body")
				}
				r := g.request(test.method, g.mint(test.grant), body)
				if test.status == http.StatusPartialContent {
					r.Header.Set("Range", "bytes=0-3")
				}
				a := g.do(r)
				want := append(slices.Clone(test.want), safe...)
				slices.Sort(want)
				if names := slices.Sorted(maps.Keys(a.Header)); a.StatusCode != test.status || !slices.Equal(names, want) {
					t.Errorf("status %d with the headers\n%q, want %d with\n%q", a.StatusCode, names, test.status, want)
				}
				if len(a.Trailer) > 0 {
					t.Errorf("trailers %v", a.Trailer)
				}
				checkSafeHeaders(t, a, plainCSP)
				if text := dump(a); strings.Contains(text, canaryMessage) || strings.Contains(text, canaryBucket) {
					t.Errorf("answer:\n%s", text)
				}
				if test.status == 200 && test.method != "PUT" && !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment;") {
					t.Errorf("Content-Disposition: %q", a.Header.Get("Content-Disposition"))
				}
			})
		}
	}
}

func TestGrantPresentsTheObject(t *testing.T) {
	g := newGate(t, http1)
	grant := get()
	grant.Response = tokens.Response{Filename: "Übersicht.html", Disposition: tokens.Inline, ContentType: "text/html; charset=utf-8"}
	a := g.get(g.mint(grant))
	for name, want := range map[string]string{
		"Content-Type":        "text/html; charset=utf-8",
		"Content-Disposition": `inline; filename="_bersicht.html"; filename*=UTF-8''%C3%9Cbersicht.html`,
		"Accept-Ranges":       "none",
		"Content-Length":      "25",
		"Etag":                etag,
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	checkSafeHeaders(t, a, plainCSP)
	if a := g.get(g.mint(unlimited(get()))); a.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("Accept-Ranges of an unlimited link: %q", a.Header.Get("Accept-Ranges"))
	}
}

// A script may use a link that it holds from any origin, hears of failures,
// and is asked for nothing first.
func TestCrossOrigin(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(get())
	for _, target := range []string{token.Reveal(), tokens.Generate().Reveal(), "mistyped", ""} {
		r, err := http.NewRequest("OPTIONS", g.server.URL+"/"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set("Access-Control-Request-Headers", "content-type")
		a := g.do(r)
		if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "PUT") ||
			!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Content-Type") ||
			a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight of %q: %s %v", target, a.Status, a.Header)
		}
	}
	if len(g.s3.log()) > 0 || g.charge(token) != "free" {
		t.Error("a preflight was more than that")
	}
	for _, token := range []tokens.Token{token, tokens.Generate(), g.mint(put())} {
		a := g.get(token, "Origin", "https://app.example")
		if a.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%s: %v", a.Status, a.Header)
		}
	}
	if a := g.get(tokens.Generate()); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without an origin: %v", a.Header)
	}
}

// What uploaders send in a browser may be sent, and what they read may be read.
func TestCrossOriginLists(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	preflight := g.do(g.request("OPTIONS", g.mint(put()), nil, "Origin", "https://app.example", "Access-Control-Request-Method", "PATCH"))
	stored := g.put(g.mint(put()), content, "Origin", "https://app.example")
	for name, test := range map[string]struct {
		answer answer
		want   string
	}{
		"Access-Control-Max-Age":       {preflight, "600"},
		"Access-Control-Allow-Methods": {preflight, "GET HEAD PUT POST PATCH DELETE"},
		"Access-Control-Allow-Headers": {preflight, "authorization x-s3gate-passcode range if-match if-none-match if-range " +
			"content-type content-encoding content-language content-md5 repr-digest " +
			"x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1 x-amz-checksum-sha256 x-amz-sdk-checksum-algorithm " +
			"tus-resumable upload-length upload-offset upload-metadata upload-defer-length upload-checksum upload-concat " +
			"x-http-method-override x-request-id x-requested-with"},
		"Access-Control-Expose-Headers": {stored, "etag location content-range content-disposition x-s3gate-key " +
			"x-amz-version-id x-amz-checksum-type x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1 x-amz-checksum-sha256 " +
			"tus-resumable tus-version tus-extension tus-max-size tus-checksum-algorithm " +
			"upload-offset upload-length upload-metadata upload-expires upload-defer-length"},
	} {
		listed := strings.Split(strings.ToLower(test.answer.Header.Get(name)), ", ")
		for want := range strings.FieldsSeq(strings.ToLower(test.want)) {
			if !slices.Contains(listed, want) {
				t.Errorf("%s: %s, no %s in %q", test.answer.Status, name, want, listed)
			}
		}
	}
}
