//go:build linux

package revocation_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"s3gate/internal/splice"
	"s3gate/revocation"
)

// splices gives out what comes from a socket, and tells why it has ended.
func splices(t *testing.T, transfers *revocation.Transfers, body []byte, ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := source(t, body)
		pipe, err := splice.Open()
		if err != nil {
			t.Error(err)
			return
		}
		defer pipe.Close()
		transfer := transfers.Begin("req_1", "tok_a", w, r)
		defer transfer.End()
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if !transfer.Splices(w) {
			t.Error("the transfer cannot be spliced")
			return
		}
		if _, err := transfer.Push(w, nil); err != nil {
			panic(http.ErrAbortHandler)
		}
		for err == nil {
			var n int
			if n, err = pipe.Fill(from, 256<<10); n > 0 {
				_, err = transfer.Splice(w, pipe, n)
			}
		}
		if err != io.EOF {
			ended <- err
			panic(http.ErrAbortHandler)
		}
		ended <- nil
	}
}

// source is a socket from which a body comes.
func source(t *testing.T, body []byte) syscall.RawConn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// Reno does not take a pause of the reader for a slow network, as others may.
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, "reno")
		})
	}}
	go func() {
		if c, err := dialer.Dial("tcp", l.Addr().String()); err == nil {
			defer c.Close()
			_, _ = c.Write(body)
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = c.Read(make([]byte, 1)) // as long as the other side wants
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// spliceServer serves on a listener as gates have it.
func spliceServer(t *testing.T, gate revocation.Gate, handler http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, ConnContext: revocation.ConnContext}
	done := make(chan struct{})
	go func() { s.Serve(revocation.Listen(l, gate, time.Minute)); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return "http://" + l.Addr().String()
}

// What goes through the kernel is whole, two answers on one connection, and stops
// while the lease is lost.
func TestSplicedTransferStallsAndGoesOn(t *testing.T) {
	body := make([]byte, 16<<20)
	rand.Read(body)
	gate, ended := &faucet{}, make(chan error, 2)
	transfers := &revocation.Transfers{Gate: gate}
	url := spliceServer(t, gate, splices(t, transfers, body, ended))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for round := range 2 {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		var size atomic.Int64
		done := make(chan error, 1)
		go func() {
			for {
				n, err := io.CopyN(&got, resp.Body, 32<<10)
				if size.Add(n); err != nil {
					done <- err
					return
				}
				time.Sleep(200 * time.Microsecond)
			}
		}()
		eventually(t, "some of it has come", func() bool { return size.Load() > 0 })
		gate.turn(false)
		time.Sleep(300 * time.Millisecond) // what was in the kernel arrives
		before := size.Load()
		time.Sleep(100 * time.Millisecond)
		if n := size.Load() - before; n != 0 || before == int64(len(body)) {
			t.Errorf("round %d: %d bytes came without a lease, after %d", round, n, before)
		}
		gate.turn(true)
		if err := <-done; err != io.EOF || !bytes.Equal(got.Bytes(), body) {
			t.Errorf("round %d: %d bytes, %v; want %d and the end", round, got.Len(), err, len(body))
		}
		if err := <-ended; err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		resp.Body.Close()
	}
}

// A spliced transfer that is cut ends visibly, and when Cut returns nothing of it is
// handed to the kernel any more, though its client takes nothing.
func TestSplicedTransferIsCut(t *testing.T) {
	ended := make(chan error, 1)
	transfers := &revocation.Transfers{}
	url := spliceServer(t, nil, splices(t, transfers, make([]byte, 16<<20), ended))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // it is blocked in a write now
	if n, _ := transfers.Cut(func(*revocation.Transfer) bool { return true }); n != 1 {
		t.Fatalf("%d were cut", n)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("a clean end after %d bytes more", n)
	}
	if err := <-ended; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the transfer ended with %v", err)
	}
}
