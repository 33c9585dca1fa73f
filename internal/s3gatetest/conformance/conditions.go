package conformance

import (
	"strings"
	"testing"
)

func (s *suite) ranges(t *testing.T) {
	s.put(t, "range", "0123456789")
	s.put(t, "empty", "")
	for _, tt := range []struct {
		header string
		status int
		body   string
		span   string // Content-Range
	}{
		{"bytes=5-7", 206, "567", "bytes 5-7/10"},
		{"bytes=0-0", 206, "0", "bytes 0-0/10"},
		{"bytes=5-", 206, "56789", "bytes 5-9/10"},
		{"bytes=5-100", 206, "56789", "bytes 5-9/10"},
		{"bytes=0-", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=-3", 206, "789", "bytes 7-9/10"},
		{"bytes=-100", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=10-", 416, "", ""},
		{"bytes=50-60", 416, "", ""},
		{"bytes=-0", 416, "", ""},
		{"bytes=a-b", 200, "0123456789", ""},
		{"pages=1-2", 200, "0123456789", ""},
	} {
		t.Run(tt.header, func(t *testing.T) {
			a := s.do(t, request{key: "range", header: map[string]string{"Range": tt.header}})
			want(t, "GET", a, tt.status)
			if tt.status == 416 {
				if a.code != "InvalidRange" {
					t.Errorf("code is %q", a.code)
				}
				return
			}
			if a.body != tt.body || a.header.Get("Content-Range") != tt.span {
				t.Errorf("got %q, Content-Range %q", a.body, a.header.Get("Content-Range"))
			}
			h := s.do(t, request{method: "HEAD", key: "range", header: map[string]string{"Range": tt.header}})
			if h.status != tt.status || h.header.Get("Content-Range") != tt.span || h.header.Get("Content-Length") != a.header.Get("Content-Length") {
				t.Errorf("HEAD: got %v, %v", h, h.header)
			}
		})
	}
	a := s.do(t, request{key: "range", header: map[string]string{"Range": "bytes=0-1,3-4"}})
	if a.status != 200 || a.body != "0123456789" {
		t.Errorf("several ranges: got %v, want the whole object", a)
	}
	want(t, "a range of an empty object", s.do(t, request{key: "empty", header: map[string]string{"Range": "bytes=0-"}}), 416)
	if !s.caps.RangeDetails {
		return
	}
	outside := s.do(t, request{key: "range", header: map[string]string{"Range": "bytes=50-"}})
	if got := outside.header.Get("Content-Range"); got != "bytes */10" {
		t.Errorf("Content-Range of a 416 is %q", got)
	}
	for _, tt := range []struct {
		ifRange string
		status  int
	}{{a.header.Get("ETag"), 206}, {`"other"`, 200}, {a.header.Get("Last-Modified"), 206}, {"Sun, 01 Jan 2017 12:00:00 GMT", 200}} {
		a := s.do(t, request{key: "range", header: map[string]string{"Range": "bytes=0-1", "If-Range": tt.ifRange}})
		want(t, "If-Range: "+tt.ifRange, a, tt.status)
	}
}

func (s *suite) conditions(t *testing.T) {
	a := s.put(t, "condition", "hello")
	etag := a.header.Get("ETag")
	const other = `"00000000000000000000000000000000"`
	before := "Sun, 01 Jan 2017 12:00:00 GMT"
	same := s.do(t, request{method: "HEAD", key: "condition"}).header.Get("Last-Modified")
	for _, tt := range []struct {
		name    string
		headers map[string]string
		status  int
	}{
		{"If-Match", map[string]string{"If-Match": etag}, 200},
		{"If-Match unquoted", map[string]string{"If-Match": strings.Trim(etag, `"`)}, 200},
		{"If-Match other", map[string]string{"If-Match": other}, 412},
		{"If-None-Match", map[string]string{"If-None-Match": etag}, 304},
		{"If-None-Match other", map[string]string{"If-None-Match": other}, 200},
		{"If-Modified-Since same", map[string]string{"If-Modified-Since": same}, 304},
		{"If-Modified-Since before", map[string]string{"If-Modified-Since": before}, 200},
		{"If-Modified-Since rubbish", map[string]string{"If-Modified-Since": "rubbish"}, 200},
		{"If-Unmodified-Since same", map[string]string{"If-Unmodified-Since": same}, 200},
		{"If-Unmodified-Since before", map[string]string{"If-Unmodified-Since": before}, 412},
		{"If-Match beats If-Unmodified-Since", map[string]string{"If-Match": etag, "If-Unmodified-Since": before}, 200},
		{"If-None-Match beats If-Modified-Since", map[string]string{"If-None-Match": other, "If-Modified-Since": same}, 200},
		{"If-None-Match with If-Modified-Since before", map[string]string{"If-None-Match": etag, "If-Modified-Since": before}, 304},
		{"If-Match other and a range", map[string]string{"If-Match": other, "Range": "bytes=0-1"}, 412},
		{"If-Match and a range", map[string]string{"If-Match": etag, "Range": "bytes=0-1"}, 206},
	} {
		if tt.name == "If-None-Match beats If-Modified-Since" && !s.caps.Precedence {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			get := s.do(t, request{key: "condition", header: tt.headers})
			want(t, "GET", get, tt.status)
			if tt.status == 304 && (get.body != "" || get.header.Get("ETag") != etag) {
				t.Errorf("304 with %q, ETag %q", get.body, get.header.Get("ETag"))
			}
			if tt.status == 412 && get.code != "PreconditionFailed" {
				t.Errorf("code is %q", get.code)
			}
			want(t, "HEAD", s.do(t, request{method: "HEAD", key: "condition", header: tt.headers}), tt.status)
		})
	}
}

func (s *suite) conditionalWrites(t *testing.T) {
	put := func(key, data string, header ...string) answer {
		r := request{method: "PUT", key: key, body: strings.NewReader(data), header: map[string]string{header[0]: header[1]}}
		return s.do(t, r)
	}
	want(t, "If-None-Match: * on a new key", put("fresh", "one", "If-None-Match", "*"), 200)
	want(t, "If-None-Match: * on a key that is there", put("fresh", "two", "If-None-Match", "*"), 412, "PreconditionFailed")
	s.wantData(t, "fresh", "one")
	etag := s.do(t, request{method: "HEAD", key: "fresh"}).header.Get("ETag")
	want(t, "If-Match of another", put("fresh", "two", "If-Match", `"00000000000000000000000000000000"`), 412, "PreconditionFailed")
	s.wantData(t, "fresh", "one")
	want(t, "If-Match", put("fresh", "three", "If-Match", etag), 200)
	s.wantData(t, "fresh", "three")
	want(t, "If-Match without an object", put("never", "x", "If-Match", etag), 404, "NoSuchKey")
	s.wantNone(t, "never")
	if s.caps.TagWrites {
		want(t, "If-None-Match of an entity tag", put("fresh", "four", "If-None-Match", etag), 501, "NotImplemented")
		want(t, "DELETE If-Match of another", s.do(t, request{method: "DELETE", key: "fresh", header: map[string]string{"If-Match": etag}}), 412, "PreconditionFailed")
		s.wantData(t, "fresh", "three")
	}
	// Only one of many that race for a key may win.
	const racers = 8
	results := make(chan answer, racers)
	for range racers {
		r := request{method: "PUT", key: "race", body: strings.NewReader("mine"), header: map[string]string{"If-None-Match": "*"}}
		req := s.sign(t, s.build(t, r), r)
		go func() {
			a, err := s.try(req)
			if err != nil {
				a.body = err.Error()
			}
			results <- a
		}()
	}
	won := 0
	for range racers {
		switch a := <-results; a.status {
		case 200:
			won++
		case 412, 409:
		default:
			t.Errorf("a racer got %v", a)
		}
	}
	if won != 1 {
		t.Errorf("%d racers won, want 1", won)
	}
}
