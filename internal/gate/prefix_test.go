package gate_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"s3gate/client"
	"s3gate/s3client"
)

// below mints a token for all that is below a prefix.
func (g *testGate) below(prefix string, change func(*client.MintRequest)) *client.Token {
	g.t.Helper()
	return g.mint("get", "", func(r *client.MintRequest) {
		r.Prefix = prefix
		if change != nil {
			change(r)
		}
	})
}

func listed(r *client.MintRequest) { r.List = true }

// storeIf puts an object past the gate, and reports whether the store takes
// such a key.
func (w *world) storeIf(key string, body []byte) bool {
	w.t.Helper()
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{
		Method: http.MethodPut, Key: key, Body: io.NopCloser(bytes.NewReader(body)), Size: int64(len(body)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// escapeAll escapes every byte, so that nothing is said by how a path is
// spelled.
func escapeAll(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// hasDotSegment says which keys a prefix link does not give out.
func hasDotSegment(key string) bool {
	return slices.ContainsFunc(strings.Split(key, "/"), func(s string) bool { return s == "." || s == ".." })
}

// Below a prefix every legal key works byte for byte, however it is escaped,
// and none of them leads out of the prefix (S1).
func TestPrefixKeys(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		w.store("outside", "text/plain", []byte("outside"))
		link := g.below("pre/fix/", nil).URL
		stored := 0
		for _, key := range oddKeys() {
			if len(key) > 1000 {
				key = key[:len(key)-200]
			}
			body := []byte("object " + key)
			if !w.storeIf("pre/fix/"+key, body) {
				continue
			}
			stored++
			for _, escaped := range []string{url.PathEscape(key), escapeAll(key), strings.ReplaceAll(url.PathEscape(key), "%2F", "/")} {
				a := do(w.t, "GET", link+escaped, nil)
				if hasDotSegment(key) {
					if a.status != 404 {
						w.t.Errorf("GET %q: %d, want 404", escaped, a.status)
					}
				} else if a.status != 200 || !bytes.Equal(a.body, body) {
					w.t.Errorf("GET %q: %d %q", escaped, a.status, a.body)
				}
			}
		}
		w.t.Logf("%d keys", stored)
		if stored < 40 {
			w.t.Errorf("only %d keys were stored", stored)
		}
		for _, tail := range []string{"../../outside", "%2e%2e/%2e%2e/outside", "..%2F..%2Foutside", "%252e%252e/%252e%252e/outside",
			"..%252F..%252Foutside", `..\..\outside`, "x/../../../outside", "/../../../outside", "./../../outside", "..%5C..%5Coutside",
			"%c0%ae%c0%ae/%c0%ae%c0%ae/outside", "..;/..;/outside", "outside"} {
			if a := do(w.t, "GET", link+tail, nil); a.status != 404 || bytes.Contains(a.body, []byte("outside")) {
				w.t.Errorf("GET %s: %d %s", tail, a.status, a.body)
			}
		}
	})
}

// page is a listing as JSON.
type page struct {
	Prefix  string
	Folders []struct{ Name, Href string }
	Files   []struct {
		Name, Href, ETag string
		Size             int64
	}
	Next string
}

func readPage(t *testing.T, link string) page {
	t.Helper()
	a := do(t, "GET", link, nil, "Accept: application/json")
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != 200 {
		t.Fatalf("%s: %d %s", link, a.status, a.body)
	}
	return p
}

// resolve follows a link as a browser does.
func resolve(t *testing.T, base, href string) string {
	t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.Parse(href)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// crawl follows every folder and page of a listing and returns the links of
// the files by their keys.
func crawl(t *testing.T, link string) map[string]string {
	t.Helper()
	files := map[string]string{}
	todo := []string{link}
	for visited := 0; len(todo) > 0; visited++ {
		if visited > 300 {
			t.Fatal("the listing does not end")
		}
		here := todo[0]
		p := readPage(t, here)
		todo = todo[1:]
		for _, f := range p.Folders {
			todo = append(todo, resolve(t, here, f.Href))
		}
		for _, f := range p.Files {
			if files[p.Prefix+f.Name] != "" {
				t.Errorf("%q is listed twice", p.Prefix+f.Name)
			}
			files[p.Prefix+f.Name] = resolve(t, here, f.Href)
		}
		if p.Next != "" {
			todo = append(todo, resolve(t, here, "?after="+p.Next))
		}
	}
	return files
}

// Every file below the prefix is listed once, over all pages, and its link
// gives out exactly that object; what is above is named nowhere (S1).
func TestListingLinks(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		w.store("canary-above/canary-beside", "text/plain", []byte("beside"))
		want := map[string]string{}
		for _, key := range append(oddKeys(), "https://x", "many/1", "many/2", "many/3/4", "many/5") {
			if len(key) > 1000 {
				key = key[:len(key)-200]
			}
			if w.storeIf("canary-above/in/"+key, []byte("object "+key)) && !hasDotSegment(key) && !strings.HasSuffix(key, "/") {
				want[key] = "object " + key
			}
		}
		w.storeIf("canary-above/in/", nil)
		token := g.below("canary-above/in/", func(r *client.MintRequest) { listed(r); uses(int64(len(want)))(r) })
		files := crawl(w.t, token.URL)
		for key := range want {
			if files[key] == "" {
				w.t.Errorf("%q is not listed", key)
			}
		}
		for key, link := range files {
			if a := do(w.t, "GET", link, nil); a.status != 200 || string(a.body) != want[key] {
				w.t.Errorf("%s: %d %q, want %q", link, a.status, a.body, want[key])
			}
		}
		// Every use is charged now, and no listing was.
		if a := do(w.t, "GET", token.URL, nil); a.status != 410 {
			w.t.Errorf("a listing of a link that is used up: %d", a.status)
		}
		open := g.below("canary-above/in/", listed)
		for _, accept := range []string{"Accept: text/html", "Accept: */*"} {
			a := do(w.t, "GET", open.URL, nil, accept)
			if a.status != 200 || bytes.Contains(a.body, []byte("canary")) || bytes.Contains(a.body, []byte(bucketName)) {
				w.t.Errorf("%s: %d %s", accept, a.status, a.body)
			}
		}
		// A browser is sent to where the links of the listing work.
		if a := do(w.t, "GET", strings.TrimSuffix(open.URL, "/"), nil); a.status != 308 ||
			resolve(w.t, strings.TrimSuffix(open.URL, "/"), a.header.Get("Location")) != open.URL {
			w.t.Errorf("without a slash: %d to %q", a.status, a.header.Get("Location"))
		}
		if a := do(w.t, "GET", g.below("canary-above/in/", nil).URL, nil); a.status != 404 {
			w.t.Errorf("a listing that is not permitted: %d", a.status)
		}
	})
}

// A player fetches a playlist, and with ranges the segments that it names,
// all through one link and relative to it.
func TestVideoFolder(t *testing.T) {
	eachWorld(t, func(w *world) {
		const segments, size = 6, 200 << 10
		media := map[string][]byte{}
		playlist := "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:4\n"
		for i := range segments {
			name := fmt.Sprintf("720p/seg %d+.ts", i)
			media[name] = make([]byte, size)
			rand.Read(media[name])
			w.store("videos/talk/"+name, "video/mp2t", media[name])
			playlist += fmt.Sprintf("#EXT-X-BYTERANGE:%d@0\n%s\n", size/2, url.PathEscape(path.Base(name)))
			playlist += fmt.Sprintf("#EXT-X-BYTERANGE:%d@%d\n%s\n", size/2, size/2, url.PathEscape(path.Base(name)))
		}
		w.store("videos/talk/720p/index.m3u8", "application/vnd.apple.mpegurl", []byte(playlist+"#EXT-X-ENDLIST\n"))
		w.store("videos/talk/master.m3u8", "application/vnd.apple.mpegurl", []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p/index.m3u8\n"))
		g := w.gate(nil)
		token := g.below("videos/talk/", func(r *client.MintRequest) { r.Response = &client.Response{Disposition: "inline"} })

		lines := func(link string) []string {
			a := do(w.t, "GET", link, nil)
			if a.status != 200 || a.header.Get("Content-Type") != "application/vnd.apple.mpegurl" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "inline;") {
				w.t.Fatalf("%s: %d %v", link, a.status, a.header)
			}
			return strings.Split(strings.TrimSpace(string(a.body)), "\n")
		}
		master := resolve(w.t, token.URL, "master.m3u8")
		var index string
		for _, line := range lines(master) {
			if !strings.HasPrefix(line, "#") {
				index = resolve(w.t, master, line)
			}
		}
		got := map[string][]byte{}
		var length, offset int
		for _, line := range lines(index) {
			if part, ok := strings.CutPrefix(line, "#EXT-X-BYTERANGE:"); ok {
				fmt.Sscanf(part, "%d@%d", &length, &offset)
			} else if !strings.HasPrefix(line, "#") {
				a := do(w.t, "GET", resolve(w.t, index, line), nil, fmt.Sprintf("Range: bytes=%d-%d", offset, offset+length-1))
				if a.status != 206 || len(a.body) != length || a.header.Get("Content-Type") != "video/mp2t" {
					w.t.Fatalf("%s: %d, %d bytes", line, a.status, len(a.body))
				}
				name, _ := url.PathUnescape(line)
				got["720p/"+name] = append(got["720p/"+name], a.body...)
			}
		}
		for name, want := range media {
			if !bytes.Equal(got[name], want) {
				w.t.Errorf("%s: %d bytes of %d", name, len(got[name]), len(want))
			}
		}
	})
}
