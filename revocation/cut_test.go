package revocation_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// A download that is cut breaks off at once and visibly, also for a reader
// too slow to have noticed otherwise, and nothing follows (R2, R9).
func TestCutResetsTheDownload(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			var transfers revocation.Transfers
			ended := make(chan error, 1)
			s, watched := serve(t, proto.tls, proto.http2, endless(&transfers, "tok_a", ended))
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			throttled := make(chan error, 1)
			go func() {
				buf := make([]byte, 4<<10)
				for {
					if _, err := resp.Body.Read(buf); err != nil {
						throttled <- err
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			eventually(t, "the writer fills the buffers", func() bool { return watched.written.Load() > 128<<10 })

			if stopped, late := transfers.Cut(only("tok_a")); stopped != 1 || late != nil {
				t.Errorf("Cut = %d, %v; want 1, none", stopped, late)
			}
			after, begin := watched.written.Load(), time.Now()
			select {
			case err := <-throttled:
				if !proto.http2 && !isReset(err) {
					t.Errorf("the client saw %v, want a reset connection", err)
				}
				if proto.http2 && !strings.Contains(err.Error(), "INTERNAL_ERROR") {
					t.Errorf("the client saw %v, want a reset stream", err)
				}
			case <-time.After(soon):
				t.Fatal("the client saw nothing")
			}
			t.Logf("seen by the client after %s", time.Since(begin))
			<-ended
			// One frame that was framed already may follow, and the reset itself.
			slack := int64(0)
			if proto.http2 {
				slack = 32 << 10
			}
			if n := watched.written.Load() - after; n > slack {
				t.Errorf("%d bytes were handed to the kernel after the acknowledgement", n)
			}
		})
	}
}

// A write to a client that reads nothing at all ends with the cut, which does
// not wait for the client (R9).
func TestCutReleasesABlockedWriter(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			var transfers revocation.Transfers
			ended := make(chan error, 1)
			s, watched := serve(t, proto.tls, proto.http2, endless(&transfers, "tok_a", ended))
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			awaitBlocked(t, watched)
			within(t, soon, "Cut", func() { transfers.Cut(only("tok_a")) })
			within(t, soon, "the handler", func() { <-ended })
		})
	}
}

// A reset of an HTTP/2 stream that waits for its client leaves the other
// streams of the connection.
func TestCutLeavesOtherStreams(t *testing.T) {
	var transfers revocation.Transfers
	ended := make(chan error, 2)
	s, watched := serve(t, true, true, func(w http.ResponseWriter, r *http.Request) {
		endless(&transfers, tokens.ID(r.URL.Path[1:]), ended)(w, r)
	})
	get := func(token string) io.ReadCloser {
		resp, err := s.Client().Get(s.URL + "/" + token)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 {
			t.Fatalf("spoke %s", resp.Proto)
		}
		return resp.Body
	}
	doomed, other := get("tok_a"), get("tok_b")
	defer doomed.Close()
	awaitBlocked(t, watched)
	transfers.Cut(only("tok_a"))
	if _, err := io.Copy(io.Discard, doomed); err == nil {
		t.Error("the stream that was cut ended cleanly")
	}
	<-ended
	if n, err := io.CopyN(io.Discard, other, 16<<20); err != nil {
		t.Errorf("the other stream broke after %d bytes: %v", n, err)
	}
	other.Close()
	if err := <-ended; errors.Is(err, revocation.ErrCut) {
		t.Error("the other transfer was cut too")
	}
}

// A transfer that is stopped before its first byte keeps the connection, so
// that the client hears why.
func TestCutBeforeTheFirstByteCanBeAnswered(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			var transfers revocation.Transfers
			s, _ := serve(t, proto.tls, proto.http2, func(w http.ResponseWriter, r *http.Request) {
				transfer := transfers.Begin("req_1", "tok_a", w, r)
				defer transfer.End()
				<-transfer.Context().Done()
				http.Error(w, "gone", http.StatusGone)
			})
			answered := make(chan error, 1)
			go func() {
				resp, err := s.Client().Get(s.URL)
				if err == nil {
					resp.Body.Close()
					if resp.StatusCode != http.StatusGone {
						err = errors.New(resp.Status)
					}
				}
				answered <- err
			}()
			eventually(t, "the transfer is registered", func() bool { return transfers.Len() == 1 })
			if stopped, _ := transfers.Cut(only("tok_a")); stopped != 1 {
				t.Errorf("Cut stopped %d, want 1", stopped)
			}
			if err := <-answered; err != nil {
				t.Errorf("the client got %v, want 410", err)
			}
		})
	}
}

// A cut that meets a transfer in its last moment must not touch what the
// connection does next: another request of the same client.
func TestCutAfterTheEndLeavesTheConnection(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			var transfers revocation.Transfers
			leave := make(chan struct{})
			s, _ := serve(t, proto.tls, proto.http2, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/first" {
					time.Sleep(100 * time.Millisecond)
					io.WriteString(w, "second")
					return
				}
				transfer := transfers.Begin("req_1", "tok_a", w, r)
				transfer.Write(w, []byte("first"))
				transfer.Flush()
				<-leave
				transfer.End()
			})
			fetch := func(path, want string) {
				resp, err := s.Client().Get(s.URL + path)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); string(body) != want || err != nil {
					t.Errorf("%s: got %q, %v", path, body, err)
				}
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				fetch("/first", "first")
				fetch("/second", "second")
			}()
			eventually(t, "the transfer is registered", func() bool { return transfers.Len() == 1 })
			stopped, _ := transfers.Cut(func(*revocation.Transfer) bool {
				// The transfer has been found; now it ends before it is stopped.
				close(leave)
				time.Sleep(100 * time.Millisecond)
				return true
			})
			if stopped != 0 {
				t.Errorf("Cut stopped %d transfers that had ended", stopped)
			}
			<-done
		})
	}
}

// What net/http holds back of a small body is sent before the transfer ends:
// afterwards nothing could stop it (R2).
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			const body = "a body smaller than every buffer"
			var transfers revocation.Transfers
			ended, proceed := make(chan struct{}), make(chan struct{})
			s, watched := serve(t, proto.tls, proto.http2, func(w http.ResponseWriter, r *http.Request) {
				transfer := transfers.Begin("req_1", "tok_a", w, r)
				w.Header().Set("Content-Length", "32")
				transfer.Write(w, []byte(body))
				if err := transfer.Flush(); err != nil {
					t.Errorf("Flush: %v", err)
				}
				transfer.End()
				close(ended)
				<-proceed
			})
			got := make(chan string, 1)
			go func() {
				resp, err := s.Client().Get(s.URL)
				if err != nil {
					got <- err.Error()
					return
				}
				defer resp.Body.Close()
				all, _ := io.ReadAll(resp.Body)
				got <- string(all)
			}()
			<-ended
			eventually(t, "no write is in progress", func() bool { return watched.blocked.Load() == 0 })
			transfers.Cut(only("tok_a"))
			after := watched.written.Load()
			close(proceed)
			if all := <-got; all != body {
				t.Errorf("got %q", all)
			}
			// HTTP/2 ends the stream with a frame of its own, without a body.
			if n := watched.written.Load() - after; n > 0 && !proto.http2 || n >= int64(len(body))+64 {
				t.Errorf("%d bytes were written after the end", n)
			}
		})
	}
}

// Reset is for a body that only the connection's end delimits: the end must
// not look like one.
func TestReset(t *testing.T) {
	var transfers revocation.Transfers
	s, _ := serve(t, false, false, func(w http.ResponseWriter, r *http.Request) {
		transfer := transfers.Begin("req_1", "tok_a", w, r)
		defer transfer.End()
		transfer.Write(w, make([]byte, 10<<10))
		transfer.Reset()
		panic(http.ErrAbortHandler)
	})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if _, err := io.Copy(io.Discard, c); !isReset(err) {
		t.Errorf("the client saw %v, want a reset connection", err)
	}
}

// The wrapper keeps what net/http needs of a connection to let a client read
// why its upload was refused.
func TestListenKeepsCloseWrite(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := revocation.Listen(inner, nil, 0)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client read %d, %v; want EOF", n, err)
	}
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Error(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the other half: %d, %v", n, err)
	}
}
