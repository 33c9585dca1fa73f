package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Canaries are recognizable secrets: none may be seen by a client, a log or a
// metric.
const (
	canaryBucket  = "canary-bucket"
	canaryKey     = "canary-key/report.txt"
	canarySecret  = "canary-secret"
	canaryMessage = "canary-message"
	canaryClient  = "canary-client" // what clients send and S3 may not get
)

const (
	content  = "the content of the object"
	etag     = `"0123456789abcdef"`
	modified = "Mon, 02 Mar 2026 10:00:00 GMT"
)

// stubS3 is a bucket. It keeps objects, answers conditions and ranges, and
// does something else when told to.
type stubS3 struct {
	server *httptest.Server

	mu       sync.Mutex
	objects  map[string]object
	uploads  map[string]*stubUpload // multipart uploads by their ID
	begun    int                    // how many there were
	requests []seen
	instead  http.HandlerFunc // nil: behave
}

type object struct {
	data   []byte
	header http.Header
}

// seen is a request as it arrived.
type seen struct {
	method, target string
	header         http.Header
}

func newStubS3(t testing.TB) *stubS3 {
	s := &stubS3{objects: map[string]object{}, uploads: map[string]*stubUpload{}}
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.ErrorLog = nil
	s.server.Start()
	t.Cleanup(s.server.Close)
	s.store(canaryKey, content)
	return s
}

// store puts an object there.
func (s *stubS3) store(key, data string) { s.storeAs(key, data, etag) }

func (s *stubS3) storeAs(key, data, etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = object{[]byte(data), http.Header{
		"Content-Type": {"text/plain"}, "Etag": {etag}, "Last-Modified": {modified},
	}}
}

// clear removes all objects.
func (s *stubS3) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.objects)
}

// object returns what is stored under the canary key.
func (s *stubS3) object() (data string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[canaryKey]
	return string(o.data), ok
}

// answer makes the stub do something else, and nil as it should.
func (s *stubS3) answer(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = f
}

// log returns the requests that have arrived.
func (s *stubS3) log() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.requests...)
}

func (s *stubS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, seen{r.Method, r.RequestURI, r.Header.Clone()})
	instead := s.instead
	s.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	s.behave(w, r)
}

func (s *stubS3) behave(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); q.Has("uploads") || q.Has("uploadId") {
		s.multipart(w, r)
		return
	}
	key := strings.TrimPrefix(r.URL.Path, "/"+canaryBucket+"/")
	s.mu.Lock()
	o, ok := s.objects[key]
	s.mu.Unlock()
	switch {
	case r.Method == "PUT" && ok && r.Header.Get("If-None-Match") == "*":
		refuse(http.StatusPreconditionFailed, "PreconditionFailed")(w, r)
	case r.Method == "PUT":
		if s.take(r) {
			w.Header().Set("ETag", etag)
			w.Header().Set("X-Amz-Checksum-Crc32", "AAAAAA==")
		} else {
			refuse(http.StatusBadRequest, "IncompleteBody")(w, r)
		}
	case r.Method == "GET" && r.URL.Query().Get("list-type") == "2":
		s.list(w, r.URL.Query().Get("prefix"))
	case r.Method == "DELETE":
		s.mu.Lock()
		delete(s.objects, key)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case !ok:
		refuse(http.StatusNotFound, "NoSuchKey")(w, r)
	default:
		for name, values := range o.header {
			w.Header()[name] = values
		}
		at, _ := http.ParseTime(modified)
		http.ServeContent(w, r, "", at, bytes.NewReader(o.data))
	}
}

// list lists the objects whose keys begin so.
func (s *stubS3) list(w io.Writer, prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(w, "<ListBucketResult>")
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(key, prefix) {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-03-02T10:00:00Z</LastModified><ETag>%s</ETag></Contents>", key, len(s.objects[key].data), etag)
		}
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// take stores the body of a PUT if it is whole.
func (s *stubS3) take(r *http.Request) bool {
	data, err := io.ReadAll(r.Body)
	if err != nil || int64(len(data)) != r.ContentLength {
		return false
	}
	if sum := r.Header.Get("Content-Md5"); sum != "" && sum != checksum("md5", string(data)) {
		return false
	}
	header := http.Header{"Etag": {etag}, "Last-Modified": {modified}}
	for _, name := range []string{"Content-Type", "X-Amz-Meta-S3gate-Use"} {
		if v := r.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[strings.TrimPrefix(r.URL.Path, "/"+canaryBucket+"/")] = object{data, header}
	return true
}

// hostile sets headers that S3 must not be able to send through the gate.
func hostile(h http.Header) {
	h.Set("Set-Cookie", "a="+canaryMessage)
	h.Set("Location", "https://"+canaryBucket+".s3.amazonaws.com/"+canaryKey)
	h.Set("X-Amz-Meta-Owner", canaryMessage)
	h.Set("X-Amz-Request-Id", "UPSTREAM1")
	h.Set("X-Amz-Id-2", canaryMessage)
	h.Set("X-Amz-Bucket-Region", canaryMessage)
	h.Set("Server", canaryMessage)
	h.Set("Link", "<"+canaryMessage+">")
	h.Set("Refresh", "0; url=http://"+canaryMessage)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Content-Security-Policy", "default-src *")
	h.Set("Cache-Control", "public, max-age=31536000")
}

// refuse answers as S3 does, with an error that says too much.
func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		hostile(w.Header())
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message><BucketName>%s</BucketName>`+
			`<Key>%s</Key><StringToSign>%s</StringToSign><Endpoint>%s</Endpoint></Error>`,
			code, canaryMessage, canaryBucket, canaryKey, canaryMessage, canaryBucket)
	}
}

// reading reads the whole body before it answers.
func reading(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		answer(w, r)
	}
}

// only answers requests of one method in this way, and others as it should.
func (s *stubS3) only(method string, answer http.HandlerFunc) {
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method {
			answer(w, r)
		} else {
			s.behave(w, r)
		}
	})
}

// hangUp writes raw bytes and closes the connection.
func hangUp(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		buf.WriteString(raw)
		buf.Flush()
		// Unread data would turn the close into a reset.
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		io.Copy(io.Discard, c)
	}
}

// truncated begins a body of the length and hangs up after some of it.
func truncated(length, sent int) http.HandlerFunc {
	return hangUp("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(length) + "\r\n\r\n" + strings.Repeat("x", sent))
}
