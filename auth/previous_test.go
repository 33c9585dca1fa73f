package auth_test

import (
	"testing"
	"time"

	"s3gate/auth"
)

// A verifier that follows another knows the key sets of issuers that are fetched
// as before, whatever else has changed, and no others.
func TestPreviousKeySets(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*auth.Issuer)
		want   int64 // requests for the key set
	}{
		{"other rules", func(i *auth.Issuer) { i.Rules[0].Allow.Operations = auth.Texts{"get"}; i.Name = "new" }, 1},
		{"another time", func(i *auth.Issuer) { i.Refresh = 2 * time.Minute }, 2},
		{"another address", func(i *auth.Issuer) { i.JWKSURL = i.Issuer + "/keys" }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			p := newProvider(t, jwks(jwk(rsaKey(), "k1", nil)))
			issuer := auth.Issuer{Issuer: p.URL, Audience: auth.Texts{"s3gate"}, Rules: uploaders()}
			bearer := signWith(t, "RS256", rsaKey(), map[string]any{"kid": "k1"}, claimsOf(c, p.URL, nil))
			first := open(t, c, issuer)
			if _, err := first.Verify(bearer); err != nil {
				t.Fatal(err)
			}
			issuer.Rules = uploaders()
			tt.change(&issuer)
			next, err := auth.New(auth.Config{Issuers: []auth.Issuer{issuer}, Now: c.now, Previous: first})
			if err != nil {
				t.Fatal(err)
			}
			caller, err := next.Verify(bearer)
			if err != nil {
				t.Fatal(err)
			}
			if n := p.hits.Load(); n != tt.want {
				t.Errorf("%d requests for the key set, want %d", n, tt.want)
			}
			if got, want := caller.Rights.Allowances[0].Operations[0], issuer.Rules[0].Allow.Operations[0]; got != want {
				t.Errorf("allows %s, want %s", got, want)
			}
		})
	}
}

// An issuer that is gone is gone with its keys.
func TestPreviousIssuerIsGone(t *testing.T) {
	c := newClock()
	p := newProvider(t, jwks(jwk(rsaKey(), "k1", nil)))
	bearer := signWith(t, "RS256", rsaKey(), map[string]any{"kid": "k1"}, claimsOf(c, p.URL, nil))
	first := open(t, c, auth.Issuer{Issuer: p.URL})
	if _, err := first.Verify(bearer); err != nil {
		t.Fatal(err)
	}
	next, err := auth.New(auth.Config{Keys: [][]byte{make([]byte, auth.MinKeyBytes)}, Now: c.now, Previous: first})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Verify(bearer); err == nil {
		t.Error("the issuer is still believed")
	}
}
