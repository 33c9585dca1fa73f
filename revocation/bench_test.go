package revocation_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"s3gate/revocation"
	"s3gate/tokens"
)

// BenchmarkTransfer is what it costs to register a transfer, ask for it and forget
// it, beside others that run.
func BenchmarkTransfer(b *testing.B) {
	for _, others := range []int{0, 5000} {
		b.Run(fmt.Sprintf("beside %d", others), func(b *testing.B) {
			ts := &revocation.Transfers{Gate: &still{rules: revocation.NewRules(nil)}}
			for n := range others {
				defer begin(ts, fmt.Sprint("req_", n), "tok_b").End()
			}
			w, r, g := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), covered()
			b.ReportAllocs()
			for b.Loop() {
				transfer := ts.Begin("req_1", g.ID, w, r)
				if err := transfer.Permit(g); err != nil {
					b.Fatal(err)
				}
				transfer.End()
			}
		})
	}
}

// BenchmarkCut is what it costs to look which of the transfers that run a rule
// covers, and to find none.
func BenchmarkCut(b *testing.B) {
	for _, running := range []int{10, 5000} {
		b.Run(fmt.Sprint(running), func(b *testing.B) {
			ts := &revocation.Transfers{Gate: &still{rules: revocation.NewRules(nil)}}
			for n := range running {
				transfer := begin(ts, fmt.Sprint("req_", n), "tok_b")
				defer transfer.End()
				if err := transfer.Permit(covered()); err != nil {
					b.Fatal(err)
				}
			}
			rule := &revocation.Rule{ID: "rev_1", Version: 1, Subject: "bob", Standing: true}
			b.ReportAllocs()
			for b.Loop() {
				if stopped, _ := ts.Cut(rule.CoversTransfer); stopped > 0 {
					b.Fatalf("%d stopped", stopped)
				}
			}
		})
	}
}

// BenchmarkRulesWith is what a gate does with one more rule.
func BenchmarkRulesWith(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var rules []*revocation.Rule
			for i := range n {
				rules = append(rules, &revocation.Rule{ID: fmt.Sprint("rev_", i), Version: 1, Subject: fmt.Sprint("somebody", i), Standing: true})
			}
			set := revocation.NewRules(rules)
			more := &revocation.Rule{ID: "rev_more", Version: 1, Token: tokens.Generate().ID()}
			b.ReportAllocs()
			for b.Loop() {
				set.With(more)
			}
		})
	}
}

// BenchmarkWrite is what the check of a transfer and of the lease cost for each
// write to a client, without the kernel.
func BenchmarkWrite(b *testing.B) {
	for _, test := range []struct {
		name string
		gate revocation.Gate
	}{{"without a gate", nil}, {"under a lease", &still{rules: revocation.NewRules(nil)}}} {
		b.Run(test.name, func(b *testing.B) {
			c, err := revocation.Listen(sink{}, test.gate, 0).Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			ts := &revocation.Transfers{Gate: test.gate}
			r := httptest.NewRequest("GET", "/", nil)
			w := &client{httptest.NewRecorder(), c}
			transfer := ts.Begin("req_1", "tok_a", w, r.WithContext(revocation.ConnContext(b.Context(), c)))
			defer transfer.End()
			chunk := make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transfer.Write(w, chunk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWriteToKernel is the same of what goes to a client on this machine,
// which reads it.
func BenchmarkWriteToKernel(b *testing.B) {
	for _, test := range []struct {
		name string
		gate revocation.Gate
	}{{"without a gate", nil}, {"under a lease", &still{rules: revocation.NewRules(nil)}}} {
		b.Run(test.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			read := make(chan error, 1)
			go func() {
				c, err := net.Dial("tcp", l.Addr().String())
				if err == nil {
					_, err = io.Copy(io.Discard, c)
					c.Close()
				}
				read <- err
			}()
			c, err := revocation.Listen(l, test.gate, 0).Accept()
			if err != nil {
				b.Fatal(err)
			}
			ts := &revocation.Transfers{Gate: test.gate}
			w := &client{httptest.NewRecorder(), c}
			r := httptest.NewRequest("GET", "/", nil)
			transfer := ts.Begin("req_1", "tok_a", w, r.WithContext(revocation.ConnContext(b.Context(), c)))
			chunk := make([]byte, 64<<10)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transfer.Write(w, chunk); err != nil {
					b.Fatal(err)
				}
			}
			transfer.End()
			c.Close()
			if err := <-read; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// client is a response that is written to a connection as it is.
type client struct {
	http.ResponseWriter
	conn net.Conn
}

func (c *client) Write(p []byte) (int, error) { return c.conn.Write(p) }

// sink is a listener, and its connections, that take everything at once.
type sink struct{}

func (sink) Accept() (net.Conn, error) { return sink{}, nil }
func (sink) Addr() net.Addr            { return &net.TCPAddr{} }

func (sink) Read([]byte) (int, error)         { return 0, io.EOF }
func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (sink) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (sink) SetDeadline(time.Time) error      { return nil }
func (sink) SetReadDeadline(time.Time) error  { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }
func (sink) Close() error                     { return nil }
