package gate_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
)

// The requests of uploads, as an s3Relay calls them. A part is this and its
// number, such as "UploadPart 3".
const (
	put          = "PUT"
	head         = "HEAD"
	createUpload = "Create"
	complete     = "Complete"
	abort        = "Abort"
	listParts    = "ListParts"
)

// s3Request names a request.
func s3Request(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("uploads"):
		return createUpload
	case !q.Has("uploadId"):
		return r.Method
	case r.Method == http.MethodPut:
		return "UploadPart " + q.Get("partNumber")
	}
	return map[string]string{"POST": complete, "DELETE": abort, "GET": listParts}[r.Method]
}

// s3Relay stands between gates and an S3. It holds requests and answers, or
// loses them, in the middle of whatever the gates are doing.
type s3Relay struct {
	*s3gatetest.Endpoint // where gates find it
	t                    *testing.T

	mu     sync.Mutex
	orders []*relayOrder
	seen   []string
}

// relayOrder is what is to happen to some requests.
type relayOrder struct {
	of     string
	times  int           // how many are left
	after  bool          // once S3 has answered
	held   chan struct{} // gets one for each that is there; nil loses it
	resume chan struct{} // closed when they may go on
}

// newS3Relay stands before the S3 of the world.
func newS3Relay(w *world, t *testing.T) *s3Relay {
	t.Helper()
	upstream, err := url.Parse(w.s3.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := &s3Relay{t: t}
	transport := &http.Transport{DisableCompression: true, ExpectContinueTimeout: 10 * time.Second}
	passing := &httputil.ReverseProxy{
		// The signature covers the host.
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(upstream); p.Out.Host = p.In.Host },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		of := s3Request(req)
		if 0 < req.ContentLength && req.ContentLength < 64<<10 {
			text, err := io.ReadAll(req.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			req.Body = io.NopCloser(bytes.NewReader(text))
		}
		if r.meet(of, false, req) {
			// It goes on to S3 whatever has become of who sent it.
			req = req.WithContext(context.WithoutCancel(req.Context()))
			w = struct{ http.ResponseWriter }{w} // and nobody looks at his connection
		}
		if !r.expects(of) {
			passing.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		passing.ServeHTTP(answer, req)
		r.meet(of, true, req)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	endpoint := *w.s3
	endpoint.URL = server.URL
	r.Endpoint = &endpoint
	return r
}

// hold stops the next request of a kind on its way to S3, or, after, the
// answer to it. The first channel says that it is there; closing the second
// lets it go on.
func (r *s3Relay) hold(of string, after bool) (held <-chan struct{}, resume chan<- struct{}) {
	o := &relayOrder{of: of, times: 1, after: after, held: make(chan struct{}, 1), resume: make(chan struct{})}
	r.order(o)
	return o.held, o.resume
}

// lose cuts the connection of the next requests of a kind, before S3 has them,
// or, after, when it has answered.
func (r *s3Relay) lose(of string, times int, after bool) {
	r.order(&relayOrder{of: of, times: times, after: after})
}

func (r *s3Relay) order(o *relayOrder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders = append(r.orders, o)
}

// count is how many requests of a kind, such as "UploadPart", there were.
func (r *s3Relay) count(of string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seen {
		if strings.HasPrefix(s, of) {
			n++
		}
	}
	return n
}

// expects reports whether something is to happen to the answer.
func (r *s3Relay) expects(of string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.orders {
		if o.of == of && o.after && o.times > 0 {
			return true
		}
	}
	return false
}

// meet does to a request what was ordered, and reports whether it was held.
func (r *s3Relay) meet(of string, after bool, req *http.Request) bool {
	o := r.take(of, after)
	switch {
	case o == nil:
		return false
	case o.held == nil:
		if !after {
			io.Copy(io.Discard, req.Body) // it was sent, and got lost
		}
		panic(http.ErrAbortHandler)
	}
	o.held <- struct{}{}
	select {
	case <-o.resume:
	case <-r.t.Context().Done():
		panic(http.ErrAbortHandler)
	}
	return true
}

func (r *s3Relay) take(of string, after bool) *relayOrder {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !after {
		r.seen = append(r.seen, of)
	}
	for _, o := range r.orders {
		if o.of == of && o.after == after && o.times > 0 {
			o.times--
			return o
		}
	}
	return nil
}
