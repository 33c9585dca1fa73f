package proxy_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
	"s3gate/proxy"
	"s3gate/s3client"
	"s3gate/tokens"
)

// answers are what a handler tells.
type answers struct {
	mu  sync.Mutex
	all []proxy.Answer
}

func (a *answers) hear(_ context.Context, one proxy.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, one)
}

// next waits for one more answer.
func (a *answers) next(t *testing.T) (one proxy.Answer) {
	t.Helper()
	eventually(t, "an answer is told", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.all) > 0 {
			one, a.all = a.all[0], a.all[1:]
			return true
		}
		return false
	})
	return one
}

// Each request is told of once, with what came of it.
func TestAnswers(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			g := newGate(t, p)
			heard := &answers{}
			g.Answered, g.ReceiptAddress = heard.hear, proxy.AddressFull
			token := g.mint(get())
			first := g.get(token, "User-Agent", "curl/8.5.0")
			a := heard.next(t)
			if a.Request != first.Header.Get("X-Request-Id") || a.Token != token.ID() || a.Operation != tokens.Get || a.Bucket != "media" || a.Method != "GET" ||
				a.Status != 200 || a.Outcome != "ok" || a.Out != int64(len(content)) || a.In != 0 || a.Agent != "curl/8.5.0" || a.Client != "127.0.0.1" || a.Proto != first.Proto {
				t.Errorf("told %+v", a)
			}
			if (a.TLS != "") != p.tls || p.tls && a.TLS != "TLS 1.3" {
				t.Errorf("told of TLS %q", a.TLS)
			}
			if a.FirstByte <= 0 || a.Took < a.FirstByte || time.Since(a.Began) < a.Took {
				t.Errorf("began %s, first byte after %s, took %s", a.Began, a.FirstByte, a.Took)
			}
			for _, tt := range []struct {
				name    string
				ask     func()
				status  int
				outcome string
				token   tokens.ID
				bucket  string
			}{
				{"used", func() { g.get(token) }, 410, "LinkUsed", token.ID(), "media"},
				{"unknown", func() { g.get(tokens.Generate()) }, 404, "NotFound", "", ""},
				{"upload", func() { g.put(g.mint(limited(tokens.Upload{Overwrite: true})), "1234567") }, 200, "ok", "", "media"},
				{"method", func() { g.do(g.request("BREW", token, nil)) }, 405, "MethodNotAllowed", "", ""},
			} {
				tt.ask()
				a := heard.next(t)
				if a.Status != tt.status || a.Outcome != tt.outcome || tt.token != "" && a.Token != tt.token || a.Bucket != tt.bucket {
					t.Errorf("%s: told %+v", tt.name, a)
				}
				if tt.name == "upload" && (a.In != 7 || a.Operation != tokens.Put) {
					t.Errorf("%s: told %+v", tt.name, a)
				}
			}
		})
	}
}

// What ends badly is told as what it is.
func TestAnswersThatBreakOff(t *testing.T) {
	g := newGate(t, http1)
	heard := &answers{}
	g.Answered = heard.hear
	leaveBeforeTheAnswer(g, g.mint(unlimited(get())))
	if a := heard.next(t); a.Status != 0 || a.Outcome != "gone" || a.FirstByte != 0 {
		t.Errorf("of a client that leaves it tells %+v", a)
	}
}

// A panic is logged by the server with the stack of its goroutine, which is numbers: not
// with the token, the passcode or what else the request has.
func TestPanicsHoldNoSecrets(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			g := newGate(t, p)
			g.Buckets["media"] = upstreamFunc(func(_ context.Context, r *s3client.Request) (*http.Response, error) { panic("the handler is broken") })
			heard := &answers{}
			g.Answered = heard.hear
			token := g.mint(coded(t, get()))
			r := g.request("GET", token, nil)
			r.Header.Set("X-S3gate-Passcode", canaryCode)
			r.Header.Set("Cookie", "canary-cookie-1122")
			if resp, err := g.client.Do(r); err == nil {
				t.Errorf("answers %s", resp.Status)
			}
			if a := heard.next(t); a.Outcome != "panic" {
				t.Errorf("it tells %+v", a)
			}
			eventually(t, "the stack is logged", func() bool { return strings.Contains(g.log.String(), "fetch(") })
			for _, secret := range []string{token.Reveal(), canaryCode, "canary-cookie-1122"} {
				if form := s3gatetest.Leaked([]byte(g.log.String()), secret); form != "" {
					t.Errorf("it has %s %s:\n%s", secret, form, g.log)
				}
			}
		})
	}
}
