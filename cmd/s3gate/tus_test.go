package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/client"
)

// inbox takes uploads as a gate does, for one object and one use, and can be
// told what to do wrong.
type inbox struct {
	*httptest.Server
	plain  bool                                                   // without tus
	header http.Header                                            // of an answer to what was stored
	lose   bool                                                   // the answer to the last byte, once
	during func(at int64)                                         // is called while bytes arrive
	answer func(w http.ResponseWriter, r *http.Request) (ok bool) // instead, if it says so

	turn sync.Mutex // one request at a time has the upload

	mu     sync.Mutex
	cuts   []int64 // where connections break, each once, in order
	asked  []string
	seen   []http.Header
	begun  int
	name   string // of the upload; "" if there is none
	length int64
	data   []byte
	object []byte // nil if there is none
	chunks int    // that came with a checksum
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{header: http.Header{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	return b
}

func (b *inbox) link() string { return b.URL + "/" + testToken }

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := r.Method + strings.TrimPrefix(r.URL.Path, "/"+testToken)
	if r.Method == http.MethodPatch {
		line += " " + r.Header.Get("Upload-Offset")
	}
	b.mu.Lock()
	b.asked, b.seen = append(b.asked, line), append(b.seen, r.Header)
	b.mu.Unlock()
	if b.answer != nil && b.answer(w, r) {
		return
	}
	if r.Method == http.MethodOptions {
		b.options(w)
		return
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	if r.Method != http.MethodPut {
		if b.plain || r.Header.Get("Tus-Resumable") != "1.0.0" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if r.Method != http.MethodPost && (b.name == "" || r.URL.Query().Get("upload") != b.name) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Tus-Resumable", "1.0.0")
	}
	switch r.Method {
	case http.MethodPut:
		b.put(w, r)
	case http.MethodPost:
		b.create(w, r)
	case http.MethodHead:
		w.Header().Set("Upload-Length", strconv.FormatInt(b.length, 10))
		w.Header().Set("Upload-Offset", strconv.Itoa(len(b.data)))
	case http.MethodPatch:
		b.patch(w, r)
	case http.MethodDelete:
		b.name, b.data = "", nil
		w.WriteHeader(http.StatusNoContent)
	}
}

func (b *inbox) options(w http.ResponseWriter) {
	if !b.plain {
		w.Header().Set("Tus-Version", "1.0.0")
		w.Header().Set("Tus-Extension", "creation,termination,checksum,expiration")
		w.Header().Set("Tus-Checksum-Algorithm", "md5,sha256")
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *inbox) put(w http.ResponseWriter, r *http.Request) {
	if b.object != nil || b.name != "" {
		w.WriteHeader(http.StatusGone)
		return
	}
	body, err := io.ReadAll(&cutting{b: b, r: r.Body})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	b.store(w, body)
}

func (b *inbox) create(w http.ResponseWriter, r *http.Request) {
	if b.object != nil || b.name != "" {
		w.WriteHeader(http.StatusGone) // the use is taken
		return
	}
	b.begun++
	b.name, b.data = fmt.Sprintf("upload %d+", b.begun), nil
	b.length, _ = strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
	w.Header().Set("Location", "/"+testToken+"?upload="+strings.NewReplacer(" ", "%20", "+", "%2B").Replace(b.name))
	w.Header().Set("Upload-Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	w.WriteHeader(http.StatusCreated)
}

func (b *inbox) patch(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/offset+octet-stream" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	if r.Header.Get("Upload-Offset") != strconv.Itoa(len(b.data)) {
		w.WriteHeader(http.StatusConflict)
		return
	}
	before := len(b.data)
	body := &cutting{b: b, r: r.Body, at: int64(before)}
	for buf := make([]byte, 8<<10); ; {
		n, err := body.Read(buf)
		b.data = append(b.data, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if sum, ok := strings.CutPrefix(r.Header.Get("Upload-Checksum"), "sha256 "); ok {
		got := sha256.Sum256(b.data[before:])
		if base64.StdEncoding.EncodeToString(got[:]) != sum {
			b.data = b.data[:before]
			w.WriteHeader(460)
			return
		}
		b.chunks++
	}
	w.Header().Set("Upload-Offset", strconv.Itoa(len(b.data)))
	if int64(len(b.data)) < b.length {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.store(w, b.data)
}

func (b *inbox) store(w http.ResponseWriter, body []byte) {
	b.object = append([]byte{}, body...)
	if b.lose {
		b.lose = false
		panic(http.ErrAbortHandler)
	}
	sum := md5.Sum(body)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	w.Header().Set("X-Amz-Version-Id", "v1")
	for name, values := range b.header {
		w.Header()[name] = values
	}
	if b.name != "" {
		w.WriteHeader(http.StatusNoContent)
	}
}

// cutting reads a body up to where the connection is to break.
type cutting struct {
	b  *inbox
	r  io.Reader
	at int64
}

func (c *cutting) Read(p []byte) (int, error) {
	if len(c.b.cuts) > 0 {
		left := c.b.cuts[0] - c.at
		if left <= 0 {
			c.b.cuts = c.b.cuts[1:]
			return 0, io.ErrUnexpectedEOF
		}
		p = p[:min(int64(len(p)), left)]
	}
	n, err := c.r.Read(p)
	c.at += int64(n)
	if c.b.during != nil {
		c.b.during(c.at)
	}
	return n, err
}

// requests returns the requests since the last call.
func (b *inbox) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked, b.seen = nil, nil
	return asked
}

func (b *inbox) expectRequests(t *testing.T, want ...string) {
	t.Helper()
	if got := b.requests(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func (b *inbox) expectObject(t *testing.T, want []byte) {
	t.Helper()
	b.turn.Lock()
	defer b.turn.Unlock()
	if !bytes.Equal(b.object, want) || (want == nil) != (b.object == nil) {
		t.Errorf("%d bytes are stored, want %d, or others", len(b.object), len(want))
	}
}

func problemOf(status int) *client.Error { return &client.Error{Status: status} }
