package proxy_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

// forgetful makes the store ignore conditions.
func (g *gate) forgetful() {
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-None-Match")
		g.s3.behave(w, r)
	})
}

// probed counts the requests for the object of the probe, by their methods.
func (g *gate) probed() map[string]int {
	found := map[string]int{}
	for _, r := range g.s3.log() {
		if strings.HasSuffix(r.target, "/.s3gate/probe") {
			found[r.method]++
		}
	}
	return found
}

// other is a grant for the nth key.
func other(n int) tokens.Grant {
	grant := put()
	grant.Key = "object-" + string(rune('a'+n))
	return grant
}

// A store that heeds the condition is asked once, however many uploads begin
// at the same time, and nothing of that is left (S10).
func TestProbeOfAStoreThatHeeds(t *testing.T) {
	g := newGate(t, http1)
	g.Storage = map[string]proxy.Storage{"media": {NoOverwrite: proxy.ProbeStore, Encryption: "AES256", Class: "GLACIER"}}
	var wg sync.WaitGroup
	for i := range 8 {
		token := g.mint(other(i))
		wg.Go(func() {
			if a := g.put(token, content); a.StatusCode != 200 {
				t.Errorf("%s %s", a.Status, a.body)
			}
		})
	}
	wg.Wait()
	if n := g.probed(); n["PUT"] != 2 || n["DELETE"] != 1 || len(n) != 2 {
		t.Errorf("probed with %v", n)
	}
	for _, r := range g.s3.log() {
		if strings.HasSuffix(r.target, "probe") && r.method == "PUT" &&
			(r.header.Get("X-Amz-Server-Side-Encryption") != "AES256" || r.header.Get("X-Amz-Storage-Class") != "") {
			t.Errorf("probed with %v", r.header)
		}
	}
	if a := g.put(g.mint(put()), "another"); a.StatusCode != 412 {
		t.Errorf("where an object is: %s %s", a.Status, a.body)
	}
}

// What an earlier probe has left is as good.
func TestProbeWhereOneWasLeft(t *testing.T) {
	g := newGate(t, http1)
	g.Storage, g.TempPrefix = keeps(proxy.ProbeStore), "tmp/"
	g.s3.store("tmp/probe", "x")
	if a := g.put(g.mint(other(0)), content); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if kinds := g.s3.kinds(); !slices.Equal(kinds, []string{"PUT", "PUT"}) {
		t.Errorf("s3 got %q", kinds)
	}
}

// A store that ignores the condition replaces nothing: such uploads are
// refused, before their bodies, and whoever may overwrite does (S10).
func TestStoreThatIgnoresTheCondition(t *testing.T) {
	for _, answer := range []func(*gate){
		(*gate).forgetful,
		func(g *gate) { g.s3.only("PUT", refuse(501, "NotImplemented")) },
	} {
		for _, length := range lengths {
			g := newPartsGate(t, http1)
			g.Storage = keeps(proxy.ProbeStore)
			g.s3.store(canaryKey, "first")
			answer(g)
			for range 2 {
				token := g.mint(put())
				a := g.do(g.request("PUT", token, length.body(noise(3*testPart))))
				if a.StatusCode != 501 || !strings.Contains(a.body, "OverwriteNotPrevented") {
					t.Errorf("%s: %s %s", length.name, a.Status, a.body)
				}
				g.wantCharge(token, "free")
			}
			if stored, _ := g.s3.object(); stored != "first" {
				t.Errorf("%s: replaced", length.name)
			}
			if n := strings.Count(g.log.String(), "ignores If-None-Match"); n != 1 {
				t.Errorf("%s: logged %d times:\n%s", length.name, n, g.log)
			}
			g.s3.answer(nil)
			if a := g.put(g.mint(limited(tokens.Upload{Overwrite: true})), "second"); a.StatusCode != 200 {
				t.Errorf("%s: may overwrite: %s %s", length.name, a.Status, a.body)
			}
		}
	}
}

// A probe that fails says nothing of the store: S3's trouble is the answer, and
// the next upload probes again.
func TestProbeThatFails(t *testing.T) {
	for _, test := range []struct {
		answer http.HandlerFunc
		want   int
	}{
		{refuse(503, "SlowDown"), 503},
		{refuse(403, "AccessDenied"), 502},
		{refuse(409, "ConditionalRequestConflict"), 409},
		{hangUp(""), 502},
	} {
		for _, failing := range []int{1, 2} {
			g := newGate(t, http1)
			g.s3.clear()
			g.Storage = keeps(proxy.ProbeStore)
			n := 0
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				if n++; n == failing {
					test.answer(w, r)
				} else {
					g.s3.behave(w, r)
				}
			})
			token := g.mint(put())
			if a := g.put(token, content); a.StatusCode != test.want {
				t.Errorf("%s %s, want %d", a.Status, a.body, test.want)
			}
			g.wantCharge(token, "free")
			if a := g.put(token, content); a.StatusCode != 200 {
				t.Errorf("the next: %s %s", a.Status, a.body)
			}
		}
	}
}

// Where the gate looks itself it does so twice, and the second time right
// before the upload becomes an object (S10).
func TestCheckOverwrite(t *testing.T) {
	for _, size := range []int{0, 1000, 3 * testPart} {
		for _, length := range lengths {
			for _, test := range []struct {
				name    string
				arrange func(g *gate)
				want    int
			}{
				{"absent", func(*gate) {}, 200},
				{"there", func(g *gate) { g.s3.store(canaryKey, "first") }, 412},
				{"comes to be", func(g *gate) { g.appears("HEAD") }, 412},
				{"nobody knows", func(g *gate) { g.s3.only("HEAD", refuse(403, "AccessDenied")) }, 502},
			} {
				g := newPartsGate(t, http1)
				g.Storage = keeps(proxy.CheckOverwrite)
				g.forgetful()
				test.arrange(g)
				token, data := g.mint(put()), noise(size)
				if a := g.do(g.request("PUT", token, length.body(data))); a.StatusCode != test.want {
					t.Errorf("%s, %s, %d bytes: %s %s, want %d", test.name, length.name, size, a.Status, a.body, test.want)
				}
				stored, ok := g.s3.object()
				if test.want == 200 && stored != data || test.want == 412 && stored != "first" || test.want == 502 && ok {
					t.Errorf("%s, %s, %d bytes: stored %d bytes", test.name, length.name, size, len(stored))
				}
				for _, r := range g.s3.log() {
					if r.header.Get("If-None-Match") != "" {
						t.Errorf("%s has a condition", r.method)
					}
				}
				if test.want != 200 && g.s3.left() != 0 {
					t.Errorf("%s, %s, %d bytes: %d uploads are left", test.name, length.name, size, g.s3.left())
				}
			}
		}
	}
}

// appears stores the object after the first answer to a method, and before the
// rest.
func (g *gate) appears(method string) {
	done := false
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-None-Match")
		g.s3.behave(w, r)
		if r.Method == method && !done {
			done = true
			g.s3.store(canaryKey, "first")
		}
	})
}

// Pictures, and what only says that it is one.
const png = "\x89PNG\x0d\x0a\x1a\x0a"

// The first bytes of an upload must look like what is permitted, however they
// come; what does not is stored nowhere and costs nothing.
func TestSniff(t *testing.T) {
	limits := tokens.Upload{Sniff: true, ContentTypes: []string{"image/*", "text/plain"}}
	for _, test := range []struct {
		name, declared, head string
		want                 int
	}{
		{"a picture", "image/png", png, 200},
		{"a picture that says it is text", "text/plain", png, 200},
		{"a page that says it is a picture", "image/png", "<html><script>", 415},
		{"a program", "image/png", "\x7fELF\x02\x01\x01\x00\x00", 415},
		{"a picture of a type that may not be", "application/pdf", png, 415},
	} {
		for _, body := range bodies {
			for _, proto := range []protocol{http1, http2} {
				g := newPartsGate(t, proto)
				data := test.head + strings.Repeat("\x00", max(0, body.size-len(test.head)))
				want := test.want
				if body.size == 0 {
					if data = ""; want == 415 && test.declared == "image/png" {
						want = 200 // nothing looks like text
					}
				}
				r := g.request("PUT", g.mint(limited(limits)), strings.NewReader(data), "Content-Type", test.declared)
				if !body.known {
					r = g.request("PUT", g.mint(limited(limits)), unmeasuredBody(data), "Content-Type", test.declared)
				}
				a := g.do(r)
				if a.StatusCode != want {
					t.Errorf("%s %s %s: %s %s, want %d", test.name, body.name, proto.name, a.Status, a.body, want)
				}
				if stored, ok := g.s3.object(); ok != (want == 200) || stored != data && ok {
					t.Errorf("%s %s %s: stored %d bytes", test.name, body.name, proto.name, len(stored))
				}
				if want != 200 && (g.s3.count("PUT") > 0 || g.s3.count(create) > 0) {
					t.Errorf("%s %s %s: s3 got %q", test.name, body.name, proto.name, g.s3.kinds())
				}
			}
		}
	}
}

// What comes in drops is put together before it is looked at, and a client that
// leaves before is as any other.
func TestSniffOfDrops(t *testing.T) {
	g := newGate(t, http1)
	g.s3.clear()
	token := g.mint(limited(tokens.Upload{Sniff: true, ContentTypes: []string{"image/png"}}))
	data := png + strings.Repeat("x", 2000)
	head := "PUT /" + token.Reveal() + " HTTP/1.1\r\nHost: gate\r\nContent-Type: image/png\r\nContent-Length: 2008\r\n\r\n"
	c := g.dial()
	io.WriteString(c, head+data[:5])
	c.CloseWrite()
	if reply, _ := io.ReadAll(c); !strings.HasPrefix(string(reply), "HTTP/1.1 400 ") {
		t.Errorf("left: %s", reply)
	}
	g.wantCharge(token, "free")
	body, w := io.Pipe()
	go func() {
		for i := range data {
			w.Write([]byte(data[i : i+1]))
		}
		w.Close()
	}()
	r := g.request("PUT", token, body, "Content-Type", "image/png")
	r.ContentLength = int64(len(data))
	if a := g.do(r); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if stored, _ := g.s3.object(); stored != data {
		t.Errorf("stored %d bytes", len(stored))
	}
}
