package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/s3client"
)

// witness stands between a gate and its S3 and remembers the signatures that go
// by.
type witness struct {
	*httptest.Server

	mu         sync.Mutex
	signatures []string
	others     int  // requests that were not signed in the query string
	hangUp     bool // instead of passing requests on
}

func newWitness(t *testing.T, s3 string) *witness {
	t.Helper()
	target, err := url.Parse(s3)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host // which is signed
	}}
	w := &witness{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		signature := r.URL.Query().Get("X-Amz-Signature")
		w.mu.Lock()
		if signature == "" || r.Header.Get("Authorization") != "" || r.Referer() != "" {
			w.others++
		}
		w.signatures = append(w.signatures, signature)
		hangUp := w.hangUp
		w.mu.Unlock()
		if hangUp {
			panic(http.ErrAbortHandler)
		}
		pass.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *witness) setHangUp(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hangUp = on
}

func (w *witness) seen() (signatures []string, others int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.signatures), w.others
}

// Everything that goes through links works where the gate signs in the query
// string, with keys of all kinds, and no signature is seen by anybody but the
// store (T14).
func TestDataPathInQueryForm(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.t
		between := newWitness(t, w.s3.URL)
		g := w.gate(func(c *config.Config) {
			b := c.Buckets["docs"]
			b.Signing, b.Endpoint = "query", between.URL
			c.Buckets["docs"] = b
			c.Upload.SingleMax, c.Upload.PartSize, c.Upload.Memory, c.Upload.Tries = 5<<20, 5<<20, 16<<20, 1
		})
		var told []answer
		ask := func(want int, method, link string, body []byte, header ...string) answer {
			t.Helper()
			a := do(t, method, link, body, header...)
			told = append(told, a)
			if a.status != want || a.err != nil {
				t.Errorf("%s %v: %d %s (%v), want %d", method, header, a.status, a.body[:min(len(a.body), 300)], a.err, want)
			}
			return a
		}

		content := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
		for _, key := range oddKeys() {
			if !w.storeIf(key, content[:64]) {
				continue // a store may refuse it
			}
			if a := ask(200, "GET", g.mint("get", key, nil).URL, nil); !bytes.Equal(a.body, content[:64]) {
				t.Errorf("%q: %d bytes", key, len(a.body))
			}
		}
		w.store("file", "application/x-test", content)
		link := g.mint("get", "file", nil).URL
		ask(200, "HEAD", link, nil)
		if a := ask(206, "GET", link, nil, "Range: bytes=16-31"); string(a.body) != "0123456789abcdef" {
			t.Errorf("a range: %q", a.body)
		}
		ask(416, "GET", link, nil, "Range: bytes=99999999-")
		ask(404, "GET", g.mint("get", "missing", nil).URL, nil)

		ask(200, "PUT", g.mint("put", "up/small", nil).URL, content, "Content-Type: application/x-up")
		ask(412, "PUT", g.mint("put", "up/small", nil).URL, content)
		large := bytes.Repeat(content, 6) // 12 MiB, in parts
		ask(200, "PUT", g.mint("put", "up/large", nil).URL, large)
		if !bytes.Equal(w.stored("up/small"), content) || !bytes.Equal(w.stored("up/large"), large) {
			t.Error("what was stored is not what was sent")
		}
		if a := ask(200, "GET", g.below("up/", listed).URL, nil, "Accept: application/json"); !bytes.Contains(a.body, []byte("small")) {
			t.Errorf("the listing is %s", a.body)
		}

		between.setHangUp(true)
		ask(502, "GET", link, nil)
		ask(502, "PUT", g.mint("put", "up/lost", nil).URL, content)
		between.setHangUp(false)

		signatures, others := between.seen()
		if len(signatures) < 30 || others != 0 {
			t.Errorf("%d requests, %d of them were not signed in the query string alone", len(signatures), others)
		}
		var public strings.Builder
		for _, a := range told {
			fmt.Fprintf(&public, "%v %s\n", a.header, a.body)
		}
		for _, e := range happened(t, g, client.EventQuery{After: "0"}) {
			raw, _ := json.Marshal(e)
			public.Write(raw)
		}
		page, err := http.Get(g.OpsURL() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(&public, page.Body)
		page.Body.Close()
		for name, text := range map[string]string{"the log": w.log.String(), "what clients, events and metrics say": public.String()} {
			for _, s := range append(signatures, "X-Amz-Signature", "X-Amz-Credential") {
				if strings.Contains(text, s) {
					t.Errorf("%s has a signature", name)
					break
				}
			}
		}
	})
}

// Settings of the bucket stay what they are in both forms.
func TestOpenBucketInQueryForm(t *testing.T) {
	w := newEmbedded(t)
	c := w.config().Buckets["docs"]
	c.Signing = "query"
	b := w.openBucket(c)
	if b.Signing() != s3client.SignQuery {
		t.Errorf("signs in the %s", b.Signing())
	}
	if err := b.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
