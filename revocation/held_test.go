package revocation_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"s3gate/revocation"
)

// breaks accepts connections that break after a large write.
type breaks struct{ net.Listener }

func (l breaks) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &breaksOff{Conn: c}, err
}

type breaksOff struct {
	net.Conn
	broken bool
}

func (c *breaksOff) Write(p []byte) (int, error) {
	if c.broken {
		return 0, syscall.ECONNRESET
	}
	c.broken = len(p) > 30<<10
	return c.Conn.Write(p)
}

// What a client has got counts, also when what was gathered leaves in pieces, of
// which a later one fails: a use never yields more than was counted.
func TestGatheredBytesCount(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, headers := range []int{1 << 10, 9 << 10} {
			t.Run(strconv.FormatBool(secure)+strconv.Itoa(headers), func(t *testing.T) {
				transfers, counted := &revocation.Transfers{}, make(chan int64, 1)
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					transfer := transfers.Begin("req_1", "tok_a", w, r)
					defer transfer.End()
					w.Header().Set("Content-Type", strings.Repeat("x", headers))
					w.Header().Set("Content-Length", strconv.Itoa(128<<10))
					_, err := transfer.Push(w, make([]byte, 64<<10))
					if err == nil {
						_, err = transfer.Push(w, make([]byte, 64<<10))
					}
					if err == nil {
						t.Error("nothing failed")
					}
					counted <- transfer.Bytes()
					panic(http.ErrAbortHandler)
				}))
				s.Listener.Close()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				s.Listener = revocation.Listen(breaks{l}, nil, time.Minute)
				s.Config.ConnContext = revocation.ConnContext
				if secure {
					s.StartTLS()
				} else {
					s.Start()
				}
				defer s.Close()
				resp, err := s.Client().Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, _ := io.Copy(io.Discard, resp.Body)
				if n := <-counted; n < got || got == 0 {
					t.Errorf("the client has %d bytes, and %d were counted", got, n)
				}
			})
		}
	}
}
