package revocation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"s3gate/revocation"
)

// faucet is a gate whose lease is on or off.
type faucet struct {
	mu  sync.Mutex
	off chan struct{} // closed when it is on
}

func (f *faucet) turn(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case on && f.off != nil:
		close(f.off)
		f.off = nil
	case !on && f.off == nil:
		f.off = make(chan struct{})
	}
}

func (f *faucet) Rules() *revocation.Rules { return revocation.NewRules(nil) }

func (f *faucet) Remaining() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off != nil {
		return 0
	}
	return 100 * time.Millisecond // and always renewed in time
}

func (f *faucet) Await(ctx context.Context) error {
	f.mu.Lock()
	off := f.off
	f.mu.Unlock()
	if off == nil {
		return nil
	}
	select {
	case <-off:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sends gives out body as a transfer.
func sends(transfers *revocation.Transfers, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		transfer := transfers.Begin("req_1", "tok_a", w, r)
		defer transfer.End()
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			if _, err := transfer.Write(w, rest[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			rest = rest[n:]
		}
		if err := transfer.Flush(); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// While the lease is lost nothing is handed to the kernel; when it is back the
// download goes on where it was, and is whole (R4).
func TestTransferStallsAndGoesOn(t *testing.T) {
	body := make([]byte, 24<<20)
	rand.Read(body)
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			gate := &faucet{}
			transfers := &revocation.Transfers{Gate: gate}
			s, watched := serveUnder(t, gate, time.Minute, proto.tls, proto.http2, sends(transfers, body))
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var got bytes.Buffer
			done := make(chan error, 1)
			go func() { // about 30 MiB a second, and always ready for more
				for {
					if _, err := io.CopyN(&got, resp.Body, 32<<10); err != nil {
						done <- err
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			for range 3 {
				eventually(t, "some of it is on its way", func() bool { return watched.written.Load() > 0 })
				gate.turn(false)
				// A write that is under way ends with the lease under which it began.
				time.Sleep(150 * time.Millisecond)
				before := watched.written.Load()
				time.Sleep(100 * time.Millisecond)
				if n := watched.written.Load() - before; n != 0 {
					t.Errorf("%d bytes were handed to the kernel without a lease", n)
				}
				if before > int64(len(body)) {
					t.Error("it was over before the stall")
				}
				gate.turn(true)
				time.Sleep(20 * time.Millisecond)
			}
			if err := <-done; err != io.EOF || !bytes.Equal(got.Bytes(), body) {
				t.Errorf("%d bytes, %v; want %d and the end", got.Len(), err, len(body))
			}
		})
	}
}

// A stall does not last for ever: then the transfer breaks off visibly, and
// nobody who reads nothing keeps a connection.
func TestStallEnds(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			gate := &faucet{}
			transfers := &revocation.Transfers{Gate: gate}
			s, _ := serveUnder(t, gate, 300*time.Millisecond, proto.tls, proto.http2, sends(transfers, make([]byte, 8<<20)))
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			io.ReadFull(resp.Body, make([]byte, 1<<20))
			gate.turn(false)
			begin := time.Now()
			if n, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Errorf("it ended cleanly after %d bytes more", n)
			}
			if took := time.Since(begin); took > soon {
				t.Errorf("it ended after %s", took)
			}
			eventually(t, "the handler has ended", func() bool { return transfers.Len() == 0 })
		})
	}
}

// A transfer that is revoked while it waits for the lease ends at once.
func TestCutEndsAStall(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			gate := &faucet{}
			transfers := &revocation.Transfers{Gate: gate}
			s, watched := serveUnder(t, gate, time.Minute, proto.tls, proto.http2, sends(transfers, make([]byte, 8<<20)))
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			io.ReadFull(resp.Body, make([]byte, 1<<20))
			gate.turn(false)
			time.Sleep(150 * time.Millisecond)
			before := watched.written.Load()
			within(t, soon, "Cut", func() { transfers.Cut(only("tok_a")) })
			gate.turn(true)
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("it ended cleanly")
			}
			slack := int64(0)
			if proto.http2 {
				slack = 32 << 10
			}
			if n := watched.written.Load() - before; n > slack {
				t.Errorf("%d bytes were handed to the kernel after the cut", n)
			}
			eventually(t, "the handler has ended", func() bool { return transfers.Len() == 0 })
		})
	}
}

// What is not the body of a transfer needs no lease: a gate without one says so.
func TestErrorsNeedNoLease(t *testing.T) {
	gate := &faucet{}
	gate.turn(false)
	transfers := &revocation.Transfers{Gate: gate}
	s, _ := serveUnder(t, gate, time.Minute, false, false, func(w http.ResponseWriter, r *http.Request) {
		transfer := transfers.Begin("req_1", "tok_a", w, r)
		defer transfer.End()
		http.Error(w, "later", http.StatusServiceUnavailable)
	})
	within(t, soon, "the answer", func() {
		resp, err := s.Client().Get(s.URL)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%v, %v", resp, err)
			return
		}
		resp.Body.Close()
	})
}

// The deadline that the server sets for a write counts as well as the lease.
func TestWriteDeadlineOfTheServer(t *testing.T) {
	gate := &faucet{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	own := revocation.Listen(l, gate, time.Minute)
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := own.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	within(t, soon, "the write", func() {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				if e, ok := err.(net.Error); !ok || !e.Timeout() {
					t.Errorf("%v, want a time-out", err)
				}
				return
			}
		}
	})
}

// A write that is blocked when the lease ends does not go on without one, when
// its client reads again.
func TestBlockedWriteStalls(t *testing.T) {
	body := make([]byte, 8<<20)
	rand.Read(body)
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			gate := &faucet{}
			transfers := &revocation.Transfers{Gate: gate}
			s, watched := serveUnder(t, gate, time.Minute, proto.tls, proto.http2, sends(transfers, body))
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			awaitBlocked(t, watched)
			gate.turn(false)
			eventually(t, "no write is in progress", func() bool { return watched.blocked.Load() == 0 })
			before := watched.written.Load()
			got := make(chan []byte, 1)
			go func() {
				all, _ := io.ReadAll(resp.Body)
				got <- all
			}()
			time.Sleep(300 * time.Millisecond)
			if n := watched.written.Load() - before; n != 0 {
				t.Errorf("%d bytes were handed to the kernel without a lease", n)
			}
			gate.turn(true)
			if all := <-got; !bytes.Equal(all, body) {
				t.Errorf("%d bytes, want %d", len(all), len(body))
			}
		})
	}
}
