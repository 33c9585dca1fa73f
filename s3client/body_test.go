package s3client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"s3gate/s3client"
)

// A body is passed on while it comes in; nothing waits for its end.
func TestBodyIsStreamed(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		const half = 512 << 10
		first := make(chan struct{})
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadFull(r.Body, make([]byte, half)); err != nil {
				t.Error(err)
			}
			close(first)
			n, err := io.Copy(io.Discard, r.Body)
			if n != half || err != nil {
				t.Errorf("second half: %d bytes, %v", n, err)
			}
			fmt.Fprint(w, "stored")
		})
		b := s.open(t, f.in(nil))
		in, out := io.Pipe()
		sent := newBody(in)
		go func() {
			out.Write(make([]byte, half))
			select {
			case <-first:
			case <-time.After(5 * time.Second):
				t.Error("the first half does not arrive before the second is there")
			}
			out.Write(make([]byte, half))
			out.Close()
		}()
		resp, answer := do(t, b, &s3client.Request{Method: "PUT", Key: "k", Body: sent, Size: 2 * half})
		if resp.StatusCode != 200 || answer != "stored" {
			t.Errorf("answered %d %q", resp.StatusCode, answer)
		}
		sent.wantClosed(t)
	})
}

// An answer is passed on while it comes in, too.
func TestAnswerIsStreamed(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		more := make(chan struct{})
		s := newStub(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "first")
			w.(http.Flusher).Flush()
			<-more
			io.WriteString(w, "second")
		})
		resp, err := s.open(t, f.in(nil)).Do(t.Context(), &s3client.Request{Method: "GET", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		buf := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "first" {
			t.Errorf("read %q, %v", buf, err)
		}
		close(more)
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
			t.Errorf("read %q, %v", rest, err)
		}
	})
}

// An empty body is sent as one, without asking the reader.
func TestEmptyBody(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		var length string
		var encoding []string
		s := newStub(t, func(_ http.ResponseWriter, r *http.Request) {
			length, encoding = r.Header.Get("Content-Length"), r.TransferEncoding
		})
		b := s.open(t, f.in(nil))
		empty := newBody(strings.NewReader("not to be read"))
		do(t, b, &s3client.Request{Method: "PUT", Key: "k", Body: empty, Size: 0})
		if length != "0" || encoding != nil || empty.reads.Load() != 0 {
			t.Errorf("Content-Length %q, Transfer-Encoding %q, %d reads", length, encoding, empty.reads.Load())
		}
		empty.wantClosed(t)
	})
}

// A body that is shorter than it was said to be is an error; of a longer one
// no more is sent than was said (S8).
func TestBodyOfAnotherSize(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		tests := []struct {
			name, content string
			want          error
		}{
			{"shorter", "123", s3client.ErrUnreachable},
			{"longer", "1234567", nil}, // or the same error: the answer may be faster
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				arrived := make(chan string, 1)
				s := newStub(t, func(_ http.ResponseWriter, r *http.Request) {
					got, _ := io.ReadAll(r.Body)
					arrived <- string(got)
				})
				sent := newBody(strings.NewReader(tt.content))
				resp, err := s.open(t, f.in(nil)).Do(t.Context(), &s3client.Request{Method: "PUT", Key: "k", Body: sent, Size: 5})
				if err == nil {
					resp.Body.Close()
				}
				if err == nil && tt.want != nil || err != nil && !errors.Is(err, s3client.ErrUnreachable) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				sent.wantClosed(t)
				if got := <-arrived; got != tt.content[:min(5, len(tt.content))] {
					t.Errorf("%q arrived", got)
				}
			})
		}
	})
}

// Whatever goes wrong, the body is closed, and the error says of which kind
// it is.
func TestBodyIsClosedOnEveryPath(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		refused, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		refused.Close()
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		broken := &provider{give: func(context.Context, int64) (aws.Credentials, error) { return aws.Credentials{}, errProvider }}
		hangUp := func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}
		tests := []struct {
			name    string
			ctx     context.Context
			handler http.HandlerFunc
			change  func(*s3client.Config)
			header  http.Header
			body    io.Reader
			want    error
		}{
			{name: "stored", handler: func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }},
			{name: "refused early", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }},
			{name: "no credentials", change: func(c *s3client.Config) { c.Credentials = broken }, want: s3client.ErrCredentials},
			{name: "nobody listens", change: func(c *s3client.Config) { c.Endpoint = "http://" + refused.Addr().String() }, want: s3client.ErrUnreachable},
			{name: "hangs up", handler: hangUp, want: s3client.ErrUnreachable},
			{name: "canceled before", ctx: canceled, want: context.Canceled},
			{name: "bad header", header: http.Header{"X-Amz-Meta-A": {"a\nb"}}, want: s3client.ErrUnreachable},
			{name: "bad header name", header: http.Header{"X Y": {"a"}}, want: s3client.ErrUnreachable},
			{name: "body fails", body: io.MultiReader(strings.NewReader("ab"), failing{}), want: errBody},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if tt.handler == nil {
					tt.handler = func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }
				}
				if tt.ctx == nil {
					tt.ctx = t.Context()
				}
				if tt.body == nil {
					tt.body = bytes.NewReader(make([]byte, 1<<20))
				}
				b := newStub(t, tt.handler).open(t, f.in(tt.change))
				sent := newBody(tt.body)
				resp, err := b.Do(tt.ctx, &s3client.Request{Method: "PUT", Key: "k", Header: tt.header, Body: sent, Size: 1 << 20})
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if err == nil {
					resp.Body.Close()
				}
				sent.wantClosed(t)
			})
		}
	})
}

var errBody = errors.New("client went away")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBody }

// The cause of an error of Do can be seen, and never a key or a secret.
func TestErrorsOfDo(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		broken := &provider{give: func(context.Context, int64) (aws.Credentials, error) { return aws.Credentials{}, errProvider }}
		b := newStub(t, nil).open(t, f.in(func(c *s3client.Config) { c.Credentials = broken }))
		_, err := b.Do(t.Context(), &s3client.Request{Method: "GET", Key: "canary-key"})
		if !errors.Is(err, s3client.ErrCredentials) || !errors.Is(err, errProvider) {
			t.Errorf("got %v, want ErrCredentials and its cause", err)
		}
		cut := errors.New("cut")
		ctx, cancel := context.WithCancelCause(t.Context())
		b = newStub(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel(cut)
			<-r.Context().Done()
		}).open(t, f.in(nil))
		_, err = b.Do(ctx, &s3client.Request{Method: "GET", Key: "canary-key"})
		if !errors.Is(err, s3client.ErrUnreachable) {
			t.Errorf("got %v, want ErrUnreachable", err)
		}
		for _, secret := range []string{"canary-key", secretKey} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q is in %q", secret, err)
			}
		}
	})
}

// Cancelling ends the reading of an answer that is on its way.
func TestCancelEndsTheAnswer(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "first")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := s.open(t, f.in(nil)).Do(ctx, &s3client.Request{Method: "GET", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("reading: %v, want context.Canceled", err)
		}
	})
}

// What is stored compressed arrives compressed (C5).
func TestNothingIsDecompressed(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		io.WriteString(w, strings.Repeat("text ", 1000))
		w.Close()
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			if v, ok := r.Header["Accept-Encoding"]; ok {
				t.Errorf("Accept-Encoding %q was asked for by nobody", v)
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped.Bytes())
		})
		resp, got := do(t, s.open(t, f.in(nil)), &s3client.Request{Method: "GET", Key: "k"})
		if got != zipped.String() || resp.Header.Get("Content-Encoding") != "gzip" ||
			resp.ContentLength != int64(zipped.Len()) || resp.Uncompressed {
			t.Errorf("%d bytes, length %d, encoding %q; want %d as stored", len(got), resp.ContentLength, resp.Header.Get("Content-Encoding"), zipped.Len())
		}
	})
}

// With Expect, a body that S3 does not want is not read.
func TestExpectKeepsTheBodyBack(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s := newStub(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPreconditionFailed) })
		sent := newBody(bytes.NewReader(make([]byte, 1<<20)))
		resp, _ := do(t, s.open(t, f.in(nil)), &s3client.Request{
			Method: "PUT", Key: "k", Body: sent, Size: 1 << 20, Header: http.Header{"Expect": {"100-continue"}},
		})
		if resp.StatusCode != http.StatusPreconditionFailed || sent.reads.Load() != 0 {
			t.Errorf("answered %d after %d reads, want 412 after none", resp.StatusCode, sent.reads.Load())
		}
		sent.wantClosed(t)
	})
}
