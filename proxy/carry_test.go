//go:build linux

package proxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
)

// linkTo serves one object of an upstream, on a listener as gates have it, and
// returns the link.
func linkTo(t *testing.T, up proxy.Upstream) string {
	token, grant := tokens.Generate(), unlimited(get())
	grant.ID = token.ID()
	h := &proxy.Handler{Tokens: &fixedTokens{grant}, Transfers: &revocation.Transfers{}, Buckets: map[string]proxy.Upstream{"media": up}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, done := &http.Server{Handler: h, ConnContext: revocation.ConnContext}, make(chan struct{})
	go func() { s.Serve(revocation.Listen(l, nil, time.Minute)); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return "http://" + l.Addr().String() + "/" + token.Reveal()
}

// fetches gets a link several times on one connection, and compares.
func fetches(t *testing.T, link string, want []byte) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 3 {
		resp, err := client.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
		}
	}
}

// breaking ends an answer after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}

// A large body, which goes through the kernel, is whole, though S3 breaks off every
// MiB: what was read and what was spliced come one after the other.
func TestLargeBodiesAreWhole(t *testing.T) {
	data := make([]byte, 8<<20+123)
	rand.Read(data)
	var asked atomic.Int64
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", "application/octet-stream")
		if asked.Add(1) <= 5 {
			w = &breaking{w, 1 << 20}
		}
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
	}))
	t.Cleanup(stub.Close)
	up, err := s3client.Open(t.Context(), s3client.Config{
		Name: "b", Endpoint: stub.URL, PathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	fetches(t, linkTo(t, up), data)
	if n := asked.Load(); n != 8 {
		t.Errorf("S3 was asked %d times, want 3 and once for each break", n)
	}
}

// unspliceable is a body from a socket that splice(2) refuses, as a sandbox does.
type unspliceable struct {
	io.Reader
	socket syscall.RawConn
	took   *atomic.Bool
}

func (u *unspliceable) Socket() (syscall.RawConn, int64) { return u.socket, 1 << 20 }
func (u *unspliceable) Took(int, error) error            { u.took.Store(true); return io.ErrUnexpectedEOF }
func (u *unspliceable) Close() error                     { return nil }

// What cannot be spliced is copied.
func TestBodiesThatCannotBeSplicedAreCopied(t *testing.T) {
	fd, _, e := syscall.Syscall(syscall.SYS_EVENTFD2, 1, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if e != 0 {
		t.Fatal(e)
	}
	file := os.NewFile(fd, "eventfd")
	t.Cleanup(func() { file.Close() })
	socket, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20)
	rand.Read(data)
	var took atomic.Bool
	fetches(t, linkTo(t, upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Header: http.Header{"Etag": {etag}}, ContentLength: int64(len(data)),
			Body: &unspliceable{bytes.NewReader(data), socket, &took},
		}, nil
	})), data)
	if took.Load() {
		t.Error("the body heard of an error that is not its own")
	}
}
