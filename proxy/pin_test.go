package proxy_test

import (
	"net/http"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

func pinned(grant tokens.Grant, tag string) tokens.Grant {
	grant.IfMatch = tag
	return grant
}

// A link that pins an ETag gives out that object only, and the conditions of
// the client hold beside it.
func TestPinnedETag(t *testing.T) {
	const older = "Sun, 01 Mar 2026 10:00:00 GMT"
	for _, tt := range []struct {
		name   string
		tag    string
		header []string
		status int
		body   string
	}{
		{"the object", etag, nil, 200, content},
		{"another", `"old"`, nil, 412, ""},
		{"another, although the client agrees", `"old"`, []string{"If-Match", `"old"`}, 412, ""},
		{"another, although the client has it", `"old"`, []string{"If-None-Match", etag}, 412, ""},
		{"client wants it", etag, []string{"If-Match", `"x", ` + etag}, 200, content},
		{"client wants any", etag, []string{"If-Match", "*"}, 200, content},
		{"client wants another", etag, []string{"If-Match", `"x"`}, 412, ""},
		{"client wants a weak one", etag, []string{"If-Match", "W/" + etag}, 412, ""},
		{"client wants one of many headers", etag, []string{"If-Match", `"x"`, "If-Match", etag}, 200, content},
		{"client has it", etag, []string{"If-None-Match", etag}, 304, ""},
		{"client has another", etag, []string{"If-None-Match", `"x"`}, 200, content},
		{"client has it and wants another", etag, []string{"If-None-Match", etag, "If-Match", `"x"`}, 412, ""},
		{"not modified since", etag, []string{"If-Modified-Since", modified}, 304, ""},
		{"unmodified since", etag, []string{"If-Unmodified-Since", modified}, 200, content},
		{"modified since", etag, []string{"If-Unmodified-Since", older}, 412, ""},
		{"a tag comes before a date", etag, []string{"If-Unmodified-Since", older, "If-Match", etag}, 200, content},
		{"a date that is none", etag, []string{"If-Unmodified-Since", "yesterday"}, 200, content},
		{"range", etag, []string{"Range", "bytes=4-10"}, 206, "content"},
		{"range of another", `"old"`, []string{"Range", "bytes=4-10"}, 412, ""},
		{"range outside", etag, []string{"Range", "bytes=25-"}, 416, ""},
		{"If-Range, same", etag, []string{"Range", "bytes=4-10", "If-Range", etag}, 206, "content"},
		{"If-Range, another", etag, []string{"Range", "bytes=4-10", "If-Range", `"x"`}, 200, content},
		{"If-Range, weak", etag, []string{"Range", "bytes=4-10", "If-Range", "W/" + etag}, 200, content},
		{"If-Range, same date", etag, []string{"Range", "bytes=4-10", "If-Range", modified}, 206, "content"},
		{"If-Range, another date", etag, []string{"Range", "bytes=4-10", "If-Range", older}, 200, content},
		{"If-Range of another object", `"old"`, []string{"Range", "bytes=4-10", "If-Range", `"old"`}, 412, ""},
		{"If-Range, date, of another object", `"old"`, []string{"Range", "bytes=4-10", "If-Range", modified}, 412, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate(t, http1)
			a := g.get(g.mint(pinned(unlimited(get()), tt.tag)), tt.header...)
			if a.StatusCode != tt.status || a.StatusCode < 300 && a.body != tt.body {
				t.Errorf("%d %q, want %d %q", a.StatusCode, a.body, tt.status, tt.body)
			}
			for _, r := range g.s3.log() {
				if got := r.header.Values("If-Match"); len(got) != 1 || got[0] != tt.tag {
					t.Errorf("s3 was asked for %q, want the grant's %q", got, tt.tag)
				}
			}
		})
	}
}

// An object that has changed costs no use, also behind a store that does not
// know the condition, and HEAD says the same.
func TestChangedObjectIsFree(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(pinned(get(), `"old"`))
	for _, behave := range []http.HandlerFunc{nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", etag)
		w.Write([]byte(content))
	}} {
		g.s3.answer(behave)
		for _, method := range []string{"GET", "HEAD"} {
			if a := g.do(g.request(method, token, nil)); a.StatusCode != 412 {
				t.Errorf("%s: %d", method, a.StatusCode)
			}
		}
		g.wantCharge(token, "free")
	}
}

// The version that the grant pins is the one that S3 is asked for, and the
// client's query changes nothing (S3).
func TestPinnedVersion(t *testing.T) {
	g := newGate(t, http1)
	grant := get()
	grant.VersionID = "v 1+/="
	token := g.mint(unlimited(grant))
	for _, method := range []string{"GET", "HEAD"} {
		r := g.request(method, token, nil)
		r.URL.RawQuery = "versionId=other"
		if a := g.do(r); a.StatusCode != 200 {
			t.Errorf("%s: %d", method, a.StatusCode)
		}
	}
	for _, r := range g.s3.log() {
		if want := "/" + canaryBucket + "/" + canaryKey + "?versionId=v%201%2B%2F%3D"; r.target != want {
			t.Errorf("s3 was asked for %s, want %s", r.target, want)
		}
	}
}

func TestMatchesTag(t *testing.T) {
	for list, want := range map[string]bool{
		"*": true, " * ": true, `"a"`: true, `"b","a"`: true, `"b" , "a"`: true, `,,"a"`: true, `"b,a", "a"`: true,
		"": false, `"b"`: false, `W/"a"`: false, `W/"a", "b"`: false, "a": false, `"a`: false, `a"`: false, `"b, "a"`: false,
		`W/"b", "a"`: true, `x, "a"`: true, `"*"`: false,
	} {
		if got := proxy.MatchesTag(list, `"a"`); got != want {
			t.Errorf("%s: %v, want %v", list, got, want)
		}
	}
}

func FuzzMatchesTag(f *testing.F) {
	for _, seed := range []string{"*", `"a"`, `W/"a"`, `"a,b", "c"`, `"`, ",", "W/", `"a""b"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		proxy.MatchesTag(list, `"a"`) // ends
		if !proxy.MatchesTag(`"a", `+list, `"a"`) {
			t.Errorf(`"a", %s does not match`, list)
		}
	})
}

// Checksums that S3 keeps are those of the whole object, and are passed on
// with it only.
func TestChecksums(t *testing.T) {
	g := newGate(t, http1)
	g.s3.objects[canaryKey].header.Set("X-Amz-Checksum-Crc64nvme", "c3Vt")
	g.s3.objects[canaryKey].header.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	token := g.mint(unlimited(get()))
	for _, tt := range []struct {
		name   string
		header []string
		status int
		asked  bool
		want   string
	}{
		{"whole", nil, 200, true, "c3Vt"},
		{"part", []string{"Range", "bytes=0-3"}, 206, false, ""},
		{"stale part", []string{"Range", "bytes=0-3", "If-Range", `"x"`}, 200, true, "c3Vt"},
		{"not modified", []string{"If-None-Match", etag}, 304, true, ""},
	} {
		before := len(g.s3.log())
		a := g.get(token, tt.header...)
		if a.StatusCode != tt.status || a.Header.Get("X-Amz-Checksum-Crc64nvme") != tt.want || (a.Header.Get("X-Amz-Checksum-Type") != "") != (tt.want != "") {
			t.Errorf("%s: %d with %v", tt.name, a.StatusCode, a.Header)
		}
		requests := g.s3.log()[before:]
		if asked := requests[len(requests)-1].header.Get("X-Amz-Checksum-Mode") == "ENABLED"; asked != tt.asked {
			t.Errorf("%s: s3 was asked for a checksum: %v", tt.name, asked)
		}
	}
}
