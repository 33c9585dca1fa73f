package main

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// flaky serves an object and breaks every connection after some bytes.
type flaky struct {
	body     []byte
	after    int  // bytes until it breaks; 0 never
	ranges   bool // whether it permits them
	changes  bool // whether the object is another one each time
	requests atomic.Int32
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := f.requests.Add(1)
	etag := `"one"`
	if f.changes {
		etag = `"` + strconv.Itoa(int(n)) + `"`
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Disposition", `attachment; filename="file.bin"`)
	out := w
	if f.after > 0 {
		out = &breaking{w, f.after}
	}
	if f.ranges {
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(f.body))
		return
	}
	w.Header().Set("Accept-Ranges", "none")
	w.Header().Set("Content-Length", strconv.Itoa(len(f.body)))
	_, _ = out.Write(f.body)
}

type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestGetResumes(t *testing.T) {
	body := make([]byte, 1<<20)
	rand.Read(body)
	tests := []struct {
		name    string
		server  *flaky
		want    string // of stderr; "" for success
		atLeast int32  // requests
	}{
		{"unbroken", &flaky{ranges: true}, "", 1},
		{"breaks four times", &flaky{ranges: true, after: 210 << 10}, "", 5},
		{"no ranges", &flaky{after: 300 << 10}, "download broke off after 307200 bytes", 1},
		{"changes meanwhile", &flaky{ranges: true, after: 300 << 10, changes: true}, "the file has changed meanwhile", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.server.body = body
			server := httptest.NewServer(tt.server)
			defer server.Close()
			path := filepath.Join(t.TempDir(), "out")
			var stderr strings.Builder
			code := run([]string{"get", server.URL, "-o", path}, strings.NewReader(""), io.Discard, &stderr)
			got, err := os.ReadFile(path)
			if tt.want == "" && (code != exitOK || !bytes.Equal(got, body)) {
				t.Errorf("exit code %d, %d bytes: %s", code, len(got), stderr.String())
			}
			if tt.want != "" && (code != exitFailed || err == nil || !strings.Contains(stderr.String(), tt.want)) {
				t.Errorf("exit code %d, file %v: %s", code, err, stderr.String())
			}
			if n := tt.server.requests.Load(); n < tt.atLeast {
				t.Errorf("%d requests, want at least %d", n, tt.atLeast)
			}
			if left := leftBeside(path); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// leftBeside returns the files beside path.
func leftBeside(path string) (names []string) {
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

// An answer that will not get better is not asked for again.
func TestGetGivesUp(t *testing.T) {
	var requests atomic.Int32
	body := bytes.Repeat([]byte("x"), 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"detail": "This link was withdrawn."}`)
			return
		}
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(&breaking{w, 200 << 10}, r, "", time.Time{}, bytes.NewReader(body))
	}))
	defer server.Close()
	var stderr strings.Builder
	code := run([]string{"get", server.URL, "-o", filepath.Join(t.TempDir(), "out")}, strings.NewReader(""), io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "withdrawn") || !strings.Contains(stderr.String(), "for another link") || requests.Load() != 2 {
		t.Errorf("exit code %d after %d requests: %s", code, requests.Load(), stderr.String())
	}
}
