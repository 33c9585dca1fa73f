package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"strconv"
	"time"
)

// connection is one of HTTP/1.1 that is kept, with a client that does as little as it
// can: it shares the machine with what is measured. It is for one goroutine.
type connection struct {
	net.Conn
	in   *bufio.Reader
	stop func() bool // of the context that ends it
}

// patience bounds the life of a connection, which is one turn at most.
const patience = 2 * time.Minute

// dial connects; the end of ctx breaks the connection. secure nil speaks plain HTTP.
func dial(ctx context.Context, addr string, secure *tls.Config) (*connection, error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn}
	if secure != nil {
		c.Conn = tls.Client(conn, secure)
	}
	c.in = bufio.NewReaderSize(c.Conn, 64<<10)
	c.SetDeadline(time.Now().Add(patience))
	c.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

func (c *connection) close() {
	c.stop()
	c.Conn.Close()
}

// getRequest is a whole request for a path.
func getRequest(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: peers\r\nAccept: */*\r\n\r\n")
}

// get sends a request and reads its answer, which must be 200 and of the length.
func (c *connection) get(request []byte, length int64) error {
	if err := c.ask(request, length); err != nil {
		return err
	}
	for left := length; left > 0; {
		n, err := c.in.Discard(int(min(left, 1<<30)))
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", length-left+int64(n), length, err)
		}
		left -= int64(n)
	}
	return nil
}

// ask sends a request and reads the head of its answer.
func (c *connection) ask(request []byte, length int64) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	return c.head(length)
}

// sum is get with the hash of what came.
func (c *connection) sum(request []byte, length int64) ([]byte, error) {
	if err := c.ask(request, length); err != nil {
		return nil, err
	}
	h := sha256.New()
	_, err := io.CopyN(h, c.in, length)
	return h.Sum(nil), err
}

// put uploads a body and reads the answer, which must be 2xx without a body. h, which
// may be nil, gets what was sent.
func (c *connection) put(path string, length int64, h hash.Hash) error {
	_, err := fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: peers\r\nContent-Length: %d\r\n\r\n", path, length)
	if err != nil {
		return err
	}
	for left := length; left > 0; {
		piece := block[:min(left, int64(len(block)))]
		if _, err := c.Write(piece); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", length-left, length, err)
		}
		if h != nil {
			h.Write(piece)
		}
		left -= int64(len(piece))
	}
	return c.head(0)
}

// errAnswer is wrapped by errors about what a server has answered.
var errAnswer = errors.New("answer")

// head reads the head of an answer. Its status must be 200 and its Content-Length the
// one that is expected.
func (c *connection) head(want int64) error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		e := &statusError{line: string(bytes.TrimSpace(line[:min(len(line), 64)]))}
		fmt.Sscanf(e.line, "HTTP/1.1 %d", &e.status) // 0 where there is none
		return e
	}
	length := int64(-1)
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) == len(contentLength) && bytes.EqualFold(name, contentLength) {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return fmt.Errorf("%w: Content-Length: %w", errAnswer, err)
			}
		}
	}
	if length != want {
		return fmt.Errorf("%w: Content-Length: must be %d, is %d", errAnswer, want, length)
	}
	return nil
}

var contentLength = []byte("Content-Length")

// block is what objects and uploads consist of.
var block = func() []byte {
	all := make([]byte, 1<<20)
	x := uint64(88172645463325252)
	for i := range all { // xorshift: the same in every run
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		all[i] = byte(x)
	}
	return all
}()
