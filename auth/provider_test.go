package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/auth"
)

// The keys of the tests are made once: RSA keys take long.
var (
	rsaKey      = sync.OnceValue(newRSA)
	otherRSAKey = sync.OnceValue(newRSA)
	p256        = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
	p384        = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P384()) })
	p521        = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P521()) })
	ed          = sync.OnceValue(func() ed25519.PrivateKey { _, k, _ := ed25519.GenerateKey(rand.Reader); return k })
)

func newRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

func newEC(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// pemOf writes a public key as PEM.
func pemOf(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// jwk is an RSA key of a set.
func jwk(k *rsa.PrivateKey, kid string, more map[string]string) map[string]string {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]string{
		"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
		"n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()),
	}
	for name, value := range more {
		m[name] = value
	}
	return m
}

func jwks(keys ...map[string]string) string {
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// clock is a time that tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// provider is an identity provider with a key set.
type provider struct {
	*httptest.Server
	hits    atomic.Int64 // requests for the key set
	mu      sync.Mutex
	keySet  http.HandlerFunc
	jwksURI string // in the discovery document; "" is its own
}

func newProvider(t testing.TB, keySet string) *provider {
	t.Helper()
	p := &provider{}
	p.serve(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(keySet)) })
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		uri := p.jwksURI
		if uri == "" {
			uri = p.URL + "/keys"
		}
		json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": uri})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		p.mu.Lock()
		serve := p.keySet
		p.mu.Unlock()
		serve(w, r)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// serve changes what is answered to a request for the key set.
func (p *provider) serve(keySet http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keySet = keySet
}

// uploaders is a rule that lets everybody with a sub upload.
func uploaders() []auth.Rule {
	return []auth.Rule{{
		Name: "uploaders", When: map[string]auth.Texts{"groups": {"uploaders"}},
		Allow: auth.Allow{Operations: auth.Texts{"put"}, Buckets: map[string]auth.Texts{"inbox": {"users/{sub}/"}}},
	}}
}

// open returns a verifier of one issuer.
func open(t testing.TB, c *clock, i auth.Issuer) *auth.Verifier {
	t.Helper()
	if i.Rules == nil {
		i.Rules = uploaders()
	}
	if i.Audience == nil && i.ClientIDs == nil {
		i.Audience = auth.Texts{"s3gate"}
	}
	v, err := auth.New(auth.Config{Issuers: []auth.Issuer{i}, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// claimsOf are those of a good token.
func claimsOf(c *clock, issuer string, change jwt.MapClaims) jwt.MapClaims {
	all := jwt.MapClaims{
		"iss": issuer, "aud": "s3gate", "sub": "ada", "groups": []string{"staff", "uploaders"},
		"exp": c.now().Add(time.Hour).Unix(), "iat": c.now().Unix(),
	}
	for name, value := range change {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// signWith makes a bearer token with more in its header.
func signWith(t testing.TB, alg string, k any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
	for name, value := range header {
		token.Header[name] = value
	}
	s, err := token.SignedString(k)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + s
}
