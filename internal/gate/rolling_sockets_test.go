//go:build unix

package gate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/s3gatetest"
)

// socket opens a port that lives longer than the gate behind it.
func socket(t *testing.T) (url string, file *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if file, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return "http://" + l.Addr().String(), file
}

// manager hears what a service tells its manager.
func manager(t *testing.T) (env string, heard <-chan string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s3gate-notify-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan string, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			states <- string(buf[:n])
		}
	})
	t.Cleanup(func() { c.Close(); reading.Wait() })
	return "NOTIFY_SOCKET=" + path, states
}

func wantState(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	for end := time.After(30 * time.Second); ; {
		select {
		case state := <-heard:
			if strings.HasPrefix(state, want) {
				return
			}
		case <-end:
			t.Fatalf("the manager never heard %s", want)
		}
	}
}

// A gate that inherits its sockets can be killed and begun again under load: who
// connects meanwhile waits and is served, and nobody is refused.
func TestSocketsOutliveGates(t *testing.T) {
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	body := bytes.Repeat([]byte("object "), 1000)
	w.store("o", "text/plain", body)
	links, linksFile := socket(t)
	api, apiFile := socket(t)
	notify, heard := manager(t)
	p := &shipped{t: t, settings: w.shippedSettings(nil), dir: t.TempDir(), files: []*os.File{linksFile, apiFile},
		env: []string{notify, "LISTEN_FDS=2", "LISTEN_FDNAMES=links:api", "WATCHDOG_USEC=200000"}}
	p.begin()
	wantState(t, heard, "READY=1")
	wantState(t, heard, "WATCHDOG=1")
	if p.at.Links != links || p.at.API != api {
		t.Fatalf("it answers at %s and %s, not at its sockets %s and %s", p.at.Links, p.at.API, links, api)
	}
	link := links + "/" + minted(t, apiAt(t, api), client.MintRequest{Operation: "get", Key: "o"}).Token

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	var served, broken atomic.Int64
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				tr := &http.Transport{DisableKeepAlives: true}
				within, cancel := context.WithTimeout(ctx, 60*time.Second)
				a, err := try(within, tr, "GET", link, nil)
				cancel()
				switch {
				case ctx.Err() != nil:
				case err == nil && a.status == 200 && a.err == nil && bytes.Equal(a.body, body):
					served.Add(1)
				case refused(err):
					t.Errorf("refused: %v", err)
				case err == nil && a.err == nil:
					t.Errorf("%d %.80s", a.status, a.body)
				default: // it ran when the gate was killed
					broken.Add(1)
				}
				tr.CloseIdleConnections()
			}
		})
	}
	progress := func(what string) {
		t.Helper()
		from := served.Load()
		for end := time.Now().Add(30 * time.Second); served.Load() < from+20; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: nothing is served", what)
			}
		}
	}
	progress("at first")
	for range 3 {
		p.Stop(40 * time.Second)
		if n := broken.Load(); n > 0 {
			t.Errorf("%d requests broke off at a gate that ended in order", n)
		}
		wantState(t, heard, "STOPPING=1")
		time.Sleep(200 * time.Millisecond) // nobody accepts
		p.begin()
		progress("after an end")
	}
	p.Hangup()
	wantState(t, heard, "RELOADING=1\nMONOTONIC_USEC=")
	wantState(t, heard, "READY=1")
	p.Kill()
	p.begin()
	progress("after a crash")
	stop()
	load.Wait()
	t.Logf("%d requests were served, %d broke off when the gate was killed", served.Load(), broken.Load())
	p.Stop(40 * time.Second)
}

// refused reports whether nobody listened.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Whoever asks twice does not wait for transfers.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	w := newWorld(t, s3gatetest.DevS3(t), s3gatetest.Redis(t))
	w.store("big", "application/octet-stream", make([]byte, 64<<20))
	p := w.ship(t, group{"drain_delay": "1h"})
	resp, err := http.Get(p.at.Links + "/" + minted(t, apiAt(t, p.at.API), client.MintRequest{Operation: "get", Key: "big"}).Token)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p.Terminate()
	eventually(t, "/readyz is 503", func() bool {
		a, err := alone(t, "GET", p.at.API+"/readyz")
		return err == nil && a.status == 503
	})
	if p.Ended() {
		t.Fatal("it ended at the first signal")
	}
	p.Terminate()
	eventually(t, "the gate ends", p.Ended)
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("what ran ended as if it were complete after %d bytes", n)
	}
}
