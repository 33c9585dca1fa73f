package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"s3gate/revocation"
)

// breaking answers as it should, and breaks off after so many bytes of body.
func (s *stubS3) breaking(after int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		whole := httptest.NewRecorder()
		s.behave(whole, r)
		var head strings.Builder
		fmt.Fprintf(&head, "HTTP/1.1 %d \r\n", whole.Code)
		whole.Header().Write(&head)
		body := whole.Body.String()
		hangUp(head.String()+"\r\n"+body[:min(after, len(body))])(w, r)
	}
}

// steps answers one request after the other, and as it should when there are no
// more.
func (s *stubS3) steps(answers ...http.HandlerFunc) {
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		n := len(s.log())
		if n <= len(answers) {
			answers[n-1](w, r)
			return
		}
		s.behave(w, r)
	})
}

// ranges are what the gate has asked S3 for.
func (s *stubS3) ranges() (list []string) {
	for _, r := range s.log() {
		list = append(list, r.header.Get("Range")+" "+r.header.Get("If-Match"))
	}
	return list
}

// S3 breaks off in the middle: the gate asks for the rest of the same object, and
// the client sees nothing of it.
func TestGoesOnWhereS3BrokeOff(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 20_000)
	for _, test := range []struct {
		name    string
		data    string
		request []string
		breaks  []int // bytes after which each answer breaks off
		want    string
		asked   []string
	}{
		{"once", large, nil, []int{200_000}, large, []string{" ", fmt.Sprintf("bytes=200000-%d ", len(large)-1) + etag}},
		{"in the last byte", content, nil, []int{len(content) - 1}, content,
			[]string{" ", fmt.Sprintf("bytes=%d-%d ", len(content)-1, len(content)-1) + etag}},
		{"again and again", content, nil, []int{1, 1, 1, 1, 1}, content, nil},
		{"twice in vain", content, nil, []int{4, 0, 0}, content, nil},
		{"in a range", content, []string{"Range", "bytes=4-14"}, []int{3}, content[4:15], []string{"bytes=4-14 ", "bytes=7-14 " + etag}},
	} {
		for _, proto := range protocols {
			t.Run(test.name+" "+proto.name, func(t *testing.T) {
				g := newGate(t, proto)
				g.s3.store(canaryKey, test.data)
				var breaks []http.HandlerFunc
				for _, n := range test.breaks {
					breaks = append(breaks, g.s3.breaking(n))
				}
				g.s3.steps(breaks...)
				grant := get()
				if test.request != nil {
					grant = unlimited(grant)
				}
				token := g.mint(grant)
				a := g.get(token, test.request...)
				if a.err != nil || a.body != test.want {
					t.Errorf("%d, %d bytes of %d, %v", a.StatusCode, len(a.body), len(test.want), a.err)
				}
				if asked := g.s3.ranges(); test.asked != nil && !slices.Equal(asked, test.asked) {
					t.Errorf("asked for %q, want %q", asked, test.asked)
				}
				if test.request == nil {
					g.wantCharge(token, "charged")
				}
			})
		}
	}
}

// An S3 that is busy, or starting again, is asked again.
func TestGoesOnWhenS3IsBackAgain(t *testing.T) {
	g := newGate(t, http1)
	g.s3.store(canaryKey, content)
	g.s3.steps(g.s3.breaking(5), refuse(503, "SlowDown"), refuse(500, "InternalError"))
	token := g.mint(get())
	if a := g.get(token); a.err != nil || a.body != content {
		t.Errorf("%d, %q, %v", a.StatusCode, a.body, a.err)
	}
	g.wantCharge(token, "charged")
}

// What cannot be gone on with breaks off for the client too (H9, S12).
func TestDoesNotGoOn(t *testing.T) {
	whole := func(w http.ResponseWriter, r *http.Request) { // ignores Range and If-Match
		w.Header().Set("ETag", etag)
		io.WriteString(w, content)
	}
	part := func(contentRange, tag string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, content[5:])
		}
	}
	last := len(content) - 1
	for _, test := range []struct {
		name  string
		etag  string
		then  []http.HandlerFunc
		asked int
	}{
		{"the object was overwritten", etag, []http.HandlerFunc{refuse(412, "PreconditionFailed")}, 2},
		{"the object is gone", etag, []http.HandlerFunc{refuse(404, "NoSuchKey")}, 2},
		{"a store that answers with the whole", etag, []http.HandlerFunc{whole}, 2},
		{"another part", etag, []http.HandlerFunc{part(fmt.Sprintf("bytes 4-%d/%d", last, last+1), etag)}, 2},
		{"of another object", etag, []http.HandlerFunc{part(fmt.Sprintf("bytes 5-%d/%d", last, last+1), `"other"`)}, 2},
		{"of another size", etag, []http.HandlerFunc{part(fmt.Sprintf("bytes 5-%d/%d", last, last+2), etag)}, 2},
		{"an object with a weak name", `W/"x"`, nil, 1},
		{"an object without a name", "", nil, 1},
		{"in vain", etag, []http.HandlerFunc{hangUp(""), hangUp(""), hangUp("")}, 4},
		{"a store that stays busy", etag, []http.HandlerFunc{refuse(503, "SlowDown"), refuse(503, "SlowDown"), refuse(503, "SlowDown")}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			g.s3.storeAs(canaryKey, content, test.etag)
			g.s3.steps(append([]http.HandlerFunc{g.s3.breaking(5)}, test.then...)...)
			token := g.mint(get())
			a := g.get(token)
			if a.StatusCode != 200 || a.err == nil || len(a.body) > 5 {
				t.Errorf("%d, %q, %v; want it to break off", a.StatusCode, a.body, a.err)
			}
			// The transport to S3 may repeat a request by itself.
			if asked := g.s3.ranges(); len(asked) < test.asked {
				t.Errorf("asked %d times: %q", len(asked), asked)
			} else if test.asked < 3 && len(asked) != test.asked {
				t.Errorf("asked %d times, want %d: %q", len(asked), test.asked, asked)
			}
			g.wantCharge(token, "charged")
		})
	}
}

// A transfer that was cut does not ask S3 for more.
func TestCutDoesNotGoOn(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(get())
	g.s3.steps(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, strings.Repeat("x", 500))
		w.(http.Flusher).Flush()
		eventually(t, "the transfer gives something out", func() bool {
			stopped, _ := g.transfers.Cut(func(x *revocation.Transfer) bool { return x.Bytes() > 0 })
			return stopped > 0
		})
	})
	if resp, err := http.DefaultTransport.RoundTrip(g.request("GET", token, nil)); err == nil {
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
		}
	}
	if asked := g.s3.ranges(); len(asked) != 1 {
		t.Errorf("asked for %q", asked)
	}
}
