package devs3_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/internal/devs3"
)

// BenchmarkObjects puts and gets one object of 4 KiB in a bucket without
// versions, without a network between.
func BenchmarkObjects(b *testing.B) {
	s, err := devs3.Open(devs3.Config{Dir: b.TempDir(), Users: users})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	data := strings.Repeat("0123456789abcdef", 256)
	serve := func(b *testing.B, req *http.Request) {
		b.Helper()
		again := req.Clone(b.Context())
		if req.ContentLength > 0 {
			again.Body = io.NopCloser(strings.NewReader(data))
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, again)
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d %s", req.Method, w.Code, w.Body)
		}
	}
	request := func(method, path, body string) *http.Request {
		req := signed(b, "ADMINKEY", method, "http://devs3.test"+path, body, nil)
		req.RemoteAddr = "192.0.2.1:1"
		return req
	}
	serve(b, request("PUT", "/"+bucket, ""))
	for _, method := range []string{"PUT", "GET"} {
		b.Run(method, func(b *testing.B) {
			req := request(method, "/"+bucket+"/k", "")
			if method == "PUT" {
				req = request(method, "/"+bucket+"/k", data)
			}
			b.ReportAllocs()
			for b.Loop() {
				serve(b, req)
			}
		})
	}
}
