package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
)

func (g *gate) revoke(token tokens.Token) revocation.Receipt {
	g.t.Helper()
	receipt, err := g.revoker.Revoke(g.t.Context(), revocation.Rule{Token: token.ID()})
	if err != nil {
		g.t.Fatal(err)
	}
	return receipt
}

// endless is an object that S3 never comes to the end of.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1099511627776")
	for chunk := make([]byte, 64<<10); ; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// A revocation in the middle of a download ends it visibly, and the link
// answers that it was withdrawn (R2).
func TestRevokeInTheMiddleOfADownload(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.answer(endless)
			token := g.mint(unlimited(get()))
			resp, err := g.client.Do(g.request("GET", token, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
				t.Fatal(err)
			}
			if receipt := g.revoke(token); receipt.Cut != 1 || receipt.Committing != nil {
				t.Errorf("receipt %+v", receipt)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, resp.Body)
				ended <- err
			}()
			if err := receive(t, "the client sees it", ended); err == nil {
				t.Error("the download ended cleanly")
			}
			if a := g.get(token); a.StatusCode != 410 || !strings.Contains(a.body, "LinkRevoked") {
				t.Errorf("afterwards: %s %s", a.Status, a.body)
			}
			eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
		})
	}
}

// A download that is revoked before its first byte is told so, and nothing is
// charged; one that a shutdown stops may come again.
func TestStoppedBeforeTheFirstByte(t *testing.T) {
	for _, proto := range protocols {
		for _, test := range []struct {
			name   string
			stop   func(g *gate, token tokens.Token)
			status int
			code   string
		}{
			{"revoked", func(g *gate, token tokens.Token) { g.revoke(token) }, 410, "LinkRevoked"},
			{"shutdown", func(g *gate, _ tokens.Token) { g.transfers.CutAll() }, 503, "ServiceUnavailable"},
		} {
			t.Run(test.name+" "+proto.name, func(t *testing.T) {
				g := newGate(t, proto)
				asked := make(chan struct{})
				g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
					close(asked)
					<-r.Context().Done()
				})
				token := g.mint(get())
				answered := make(chan answer, 1)
				go func() { answered <- g.get(token) }()
				<-asked
				test.stop(g, token)
				if a := receive(t, "an answer", answered); a.StatusCode != test.status || !strings.Contains(a.body, test.code) {
					t.Errorf("%s %s; want %d %s", a.Status, a.body, test.status, test.code)
				}
				g.wantCharge(token, "free")
			})
		}
	}
}

// A revocation right after the permission was given still comes in time (R1).
func TestRevokeAfterTheReservation(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get()))
	g.Tokens = &afterRedeem{g.store, func() { g.revoke(token) }}
	if a := g.get(token); a.StatusCode != 410 {
		t.Errorf("%s %s; want 410", a.Status, a.body)
	}
}

// So does one that comes with the first bytes of the object.
func TestRevokeAtTheFirstByte(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get()))
	g.Buckets["media"] = upstreamFunc(func(context.Context, *s3client.Request) (*http.Response, error) {
		body := readFunc(func(p []byte) (int, error) {
			g.revoke(token)
			return copy(p, content), io.EOF
		})
		return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: 25, Body: io.NopCloser(body)}, nil
	})
	if a := g.get(token); a.StatusCode != 410 || strings.Contains(a.body, content) {
		t.Errorf("%s %s; want 410", a.Status, a.body)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// afterRedeem does something once a use is reserved.
type afterRedeem struct {
	*tokens.Store
	then func()
}

func (s *afterRedeem) Redeem(ctx context.Context, token tokens.Token, ask tokens.Ask) (*tokens.Use, error) {
	use, err := s.Store.Redeem(ctx, token, ask)
	s.then()
	return use, err
}

// When Redis does not say whether it holds, the revocation is no success, but
// what runs is stopped all the same.
func TestUnprovenRevocationStillCuts(t *testing.T) {
	g := newGate(t, http1)
	g.s3.answer(endless)
	token := g.mint(unlimited(get()))
	resp, err := g.client.Do(g.request("GET", token, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	g.redis.SetError("READONLY You can't write against a read only replica.")
	if _, err := g.revoker.Revoke(t.Context(), revocation.Rule{Token: token.ID()}); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("Revoke: %v, want ErrUnproven", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the download went on")
	}
}

// An upload that is revoked before its last byte is never completed, and the
// client hears why (R7).
func TestRevokeInTheMiddleOfAnUpload(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.clear()
			token := g.mint(put())
			begun, judged := make(chan struct{}), make(chan bool, 1)
			g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
				io.ReadFull(r.Body, make([]byte, 32<<10))
				close(begun)
				judged <- g.s3.take(r)
			})
			body, w := io.Pipe()
			answered := make(chan answer, 1)
			go func() {
				r := g.request("PUT", token, body)
				r.ContentLength = 256 << 10
				answered <- g.do(r)
			}()
			w.Write(make([]byte, 64<<10))
			<-begun
			if receipt := g.revoke(token); receipt.Cut != 1 || receipt.Committing != nil {
				t.Errorf("receipt %+v", receipt)
			}
			go func() {
				w.Write(make([]byte, 192<<10)) // the rest comes too late
				w.Close()
			}()
			if a := receive(t, "an answer", answered); a.StatusCode != 410 {
				t.Errorf("answer: %s %s", a.Status, a.body)
			}
			if whole := receive(t, "the end at s3", judged); whole {
				t.Error("s3 got the whole body")
			}
			if data, ok := g.s3.object(); ok {
				t.Errorf("stored %d bytes", len(data))
			}
			g.wantCharge(token, "free")
			w.Close()
		})
	}
}

// An upload whose last byte was sent is named and not stopped (R7).
func TestRevokeAfterTheLastByteOfAnUpload(t *testing.T) {
	for _, size := range []int{0, len(content)} {
		g := newGate(t, http1)
		g.s3.clear()
		token := g.mint(put())
		begun, proceed := make(chan struct{}), make(chan struct{})
		g.s3.only("PUT", func(w http.ResponseWriter, r *http.Request) {
			g.s3.take(r)
			close(begun)
			<-proceed
			w.Header().Set("ETag", etag)
		})
		answered := make(chan answer, 1)
		go func() { answered <- g.put(token, content[:size]) }()
		<-begun
		receipt := g.revoke(token)
		close(proceed)
		a := receive(t, "an answer", answered)
		if a.StatusCode != 200 || a.Header.Get("ETag") != etag {
			t.Errorf("%d bytes: %s", size, a.Status)
		}
		if receipt.Cut != 0 || len(receipt.Committing) != 1 || receipt.Committing[0] != a.Header.Get("X-Request-Id") {
			t.Errorf("%d bytes: receipt %+v for %s", size, receipt, a.Header.Get("X-Request-Id"))
		}
		g.wantCharge(token, "charged")
	}
}

// A stream of HTTP/2 that is revoked leaves the others of its connection.
func TestRevokeLeavesOtherStreams(t *testing.T) {
	g := newGate(t, http2)
	g.s3.answer(endless)
	doomed, other := g.mint(unlimited(get())), g.mint(unlimited(get()))
	open := func(token tokens.Token) io.ReadCloser {
		resp, err := g.client.Do(g.request("GET", token, nil))
		if err != nil {
			t.Fatal(err)
		}
		return resp.Body
	}
	a, b := open(doomed), open(other)
	defer a.Close()
	defer b.Close()
	g.revoke(doomed)
	if _, err := io.Copy(io.Discard, a); err == nil {
		t.Error("the stream that was revoked ended cleanly")
	}
	if n, err := io.CopyN(io.Discard, b, 8<<20); err != nil {
		t.Errorf("the other broke after %d bytes: %v", n, err)
	}
}
