package proxy_test

import (
	"strings"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

// What could run in the gate's origin is saved and not shown, or shown in a
// sandbox in which nothing runs. Only for what a browser shows in a document
// of its own, or in its PDF viewer, the policy leaves room for that (C1).
func TestActiveContentDoesNotRun(t *testing.T) {
	const media = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
	const viewer = "default-src 'none'; img-src 'self'; object-src 'self'; style-src 'unsafe-inline'"
	for _, tt := range []struct{ contentType, inline string }{
		{"text/html", plainCSP},
		{"text/html; charset=utf-8", plainCSP},
		{"TEXT/HTML", plainCSP},
		{"application/xhtml+xml", plainCSP},
		{"image/svg+xml", plainCSP},
		{"Image/SVG+XML; charset=utf-8", plainCSP},
		{"text/xml", plainCSP},
		{"application/xml", plainCSP},
		{"video/odd+xml", plainCSP},
		{"application/javascript", plainCSP},
		{"text/css", plainCSP},
		{"multipart/x-mixed-replace; boundary=b", plainCSP},
		{"application/octet-stream", plainCSP},
		{"", plainCSP},
		{"nonsense", plainCSP},
		{"image/png, text/html", plainCSP},
		{"image/png,text/html;charset=utf-8", plainCSP},
		{`image/png; a=b, text/html`, plainCSP},
		{`image/png; a="b", text/html`, plainCSP},
		{"application/pdf, text/html", plainCSP},
		{`application/pdf; a="b, text/html"`, plainCSP}, // whoever splits it
		{"image/png", media},
		{"image/jpeg; q=1", media},
		{"video/mp4", media},
		{"audio/mpeg", media},
		{"text/plain; charset=utf-8", media},
		{"application/pdf", viewer},
		{"Application/PDF", viewer},
	} {
		for _, disposition := range []string{"", tokens.Attachment, tokens.Inline} {
			g := newGate(t, http1)
			g.s3.objects[canaryKey].header.Set("Content-Type", tt.contentType)
			grant := unlimited(get())
			grant.Response.Disposition = disposition
			want, kind := plainCSP, "attachment;"
			if disposition == tokens.Inline {
				want, kind = tt.inline, "inline;"
			}
			token := g.mint(grant)
			for _, header := range [][]string{nil, {"Range", "bytes=0-3"}} {
				a := g.get(token, header...)
				if !strings.HasPrefix(a.Header.Get("Content-Disposition"), kind) {
					t.Errorf("%q: Content-Disposition %q, want %s", tt.contentType, a.Header.Get("Content-Disposition"), kind)
				}
				checkSafeHeaders(t, a, want)
			}
		}
	}
}

// Without a sandbox is only what the viewer shows, and nothing may load or
// run a script (C1).
func FuzzFilePolicy(f *testing.F) {
	for _, seed := range []string{"text/html", "image/png", "application/pdf", "image/svg+xml", "application/pdf,text/html", `a/b; c="d`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, contentType string) {
		policy := proxy.FilePolicy(&tokens.Response{Disposition: tokens.Inline}, contentType)
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "script") {
			t.Errorf("%q: %s", contentType, policy)
		}
		lower := strings.ToLower(contentType)
		if !strings.HasSuffix(policy, "sandbox") && (!strings.HasPrefix(strings.TrimSpace(lower), "application/pdf") || strings.Contains(lower, ",")) {
			t.Errorf("%q has no sandbox: %s", contentType, policy)
		}
		if policy != plainCSP && (strings.Contains(lower, "svg") && !strings.Contains(lower, ";") || strings.HasPrefix(lower, "text/html")) {
			t.Errorf("%q: %s", contentType, policy)
		}
	})
}

// A header of thousands of ranges is answered by one whole object, for which
// S3 is asked once (H11).
func TestRangeBomb(t *testing.T) {
	g := newGate(t, http1)
	for _, bomb := range []string{
		"bytes=" + strings.Repeat("0-,", 4000) + "0-",
		"bytes=0-" + strings.Repeat(",1-1", 3000),
		"bytes=" + strings.Repeat("-1,", 4000) + "-1",
	} {
		before := len(g.s3.log())
		a := g.get(g.mint(unlimited(get())), "Range", bomb)
		if a.StatusCode != 200 || a.body != content || a.Header.Get("Content-Range") != "" {
			t.Errorf("%.20s…: %d %q", bomb, a.StatusCode, a.body)
		}
		requests := g.s3.log()[before:]
		if len(requests) != 1 || requests[0].header.Get("Range") != "" {
			t.Errorf("%.20s…: %d requests reached s3, the first with Range %.20q", bomb, len(requests), requests[0].header.Get("Range"))
		}
	}
}
