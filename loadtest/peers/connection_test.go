package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// scripted answers every request with the same bytes and then closes, unless it
// keeps the connection.
func scripted(t *testing.T, answer string, keep bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				if line == "\r\n" {
					io.WriteString(c, answer)
					if !keep {
						break
					}
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestGetHoldsTheAnswerAgainstWhatIsExpected(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		ok           bool
	}{
		{"right", "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length:  4\r\n\r\nabcd", true},
		{"error", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nabcd", false},
		{"partial", "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nabcd", false},
		{"other length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nabcd", false},
		{"no number", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcd", false},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", false},
		{"cut in the head", "HTTP/1.1 200 OK\r\nContent-Len", false},
		{"nothing", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := dial(t.Context(), scripted(t, tt.answer, false), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if err := c.get(getRequest("/x"), 4); (err == nil) != tt.ok {
				t.Errorf("ends with %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestVerifyComparesBytes(t *testing.T) {
	object := string(block[:8])
	for _, tt := range []struct {
		name, body string
		ok         bool
	}{
		{"the object", object, true},
		{"other bytes", strings.Repeat("x", 8), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"+tt.body, true)
			target := &target{servers: []*server{{process: &process{name: "it"}, addr: addr}}, request: fixed("/x"), size: 8}
			err := target.verify(t.Context(), hashOf(8))
			if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, errAnswer) {
				t.Errorf("ends with %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// A server that does not answer holds nobody up who has given up.
func TestGetEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := dial(ctx, scripted(t, "", true), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ended := make(chan error, 1)
	go func() { ended <- c.get(getRequest("/x"), 4) }()
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an answer came that nobody sent")
		}
	case <-time.After(time.Minute):
		t.Error("still waits")
	}
}
