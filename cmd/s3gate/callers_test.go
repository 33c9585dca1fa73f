package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// provider is an identity provider without a network: it signs claims, and
// writes down its keys.
type provider struct {
	key func() (*rsa.PrivateKey, error)
}

func newProvider() *provider {
	return &provider{sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })}
}

func (p *provider) signs(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: signs CLAIMS KEYSET VARIABLE")
	}
	key, err := p.key()
	ts.Check(err)
	claims := jwt.MapClaims{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &claims))
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Add(time.Hour).Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "k1"
	text, err := token.SignedString(key)
	ts.Check(err)
	set := fmt.Sprintf(`{"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": %q, "e": "AQAB"}]}`,
		base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(set), 0o600))
	ts.Setenv(args[2], text)
}

// hooks are the receivers of webhooks, by script.
type hooks struct {
	mu  sync.Mutex
	all map[string]*receiver
}

// receiver believes what is signed, as the library of Standard Webhooks says.
type receiver struct {
	mu     sync.Mutex
	events map[string]string // the last one of each type
	forged error
}

func (h *hooks) webhook(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: webhook URL-VARIABLE SECRET-VARIABLE")
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text()))
	verifier, err := standardwebhooks.NewWebhook(secret)
	ts.Check(err)
	r := &receiver{events: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = verifier.Verify(body, req.Header)
		}
		var e struct{ Type string }
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.forged = err
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.events[e.Type] = string(body)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
	ts.Setenv(args[1], secret)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[string]*receiver{}
	}
	h.all[ts.Name()] = r
}

func (h *hooks) receives(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: receives TYPE")
	}
	h.mu.Lock()
	r := h.all[ts.Name()]
	h.mu.Unlock()
	if r == nil {
		ts.Fatalf("there is no webhook")
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		event, forged := r.events[args[0]], r.forged
		r.mu.Unlock()
		ts.Check(forged)
		if event != "" {
			fmt.Fprintln(ts.Stdout(), event)
			return
		}
	}
	ts.Fatalf("no %s after 30 s", args[0])
}
