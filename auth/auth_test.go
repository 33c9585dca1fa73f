package auth_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/auth"
)

var (
	key    = []byte("0123456789abcdef0123456789abcdef")
	oldKey = []byte("fedcba9876543210fedcba9876543210")
	other  = []byte("a key of somebody else, long enough")
)

func newVerifier(t *testing.T) *auth.Verifier {
	t.Helper()
	v, err := auth.New(auth.Config{
		Keys: [][]byte{key, oldKey}, Issuer: "https://id.example", Audience: "s3gate", Leeway: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func good(change jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": "https://id.example", "aud": "s3gate", "sub": "ops", "s3gate": "admin",
		"exp": time.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(t *testing.T, m jwt.SigningMethod, k any, c jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(m, c).SignedString(k)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + s
}

// The corpus of forged and misdirected tokens (J1, J5).
func TestVerifyRefuses(t *testing.T) {
	hs := func(c jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, key, c) }
	past, future := time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Minute).Unix()
	valid := hs(good(nil))
	head, _, _ := strings.Cut(strings.TrimPrefix(valid, "Bearer "), ".")
	tests := []struct{ name, header string }{
		{"nothing", ""},
		{"another scheme", "Basic b3BzOm9wcw=="},
		{"no token", "Bearer "},
		{"no JWT", "Bearer abc"},
		{"alg none", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(nil))},
		{"unsigned", valid[:strings.LastIndexByte(valid, '.')+1]},
		{"HS384 with our key", sign(t, jwt.SigningMethodHS384, key, good(nil))},
		{"HS512 with our key", sign(t, jwt.SigningMethodHS512, key, good(nil))},
		{"another key", sign(t, jwt.SigningMethodHS256, other, good(nil))},
		{"empty key", sign(t, jwt.SigningMethodHS256, []byte{}, good(nil))},
		{"changed claims", "Bearer " + head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":9999999999}`)) + valid[strings.LastIndexByte(valid, '.'):]},
		{"expired", hs(good(jwt.MapClaims{"exp": past}))},
		{"without exp", hs(good(jwt.MapClaims{"exp": nil}))},
		{"not yet valid", hs(good(jwt.MapClaims{"nbf": future}))},
		{"another issuer", hs(good(jwt.MapClaims{"iss": "https://evil.example"}))},
		{"no issuer", hs(good(jwt.MapClaims{"iss": nil}))},
		{"another audience", hs(good(jwt.MapClaims{"aud": "billing"}))},
		{"no audience", hs(good(jwt.MapClaims{"aud": nil}))},
		{"a million dots", "Bearer " + strings.Repeat(".", 1_000_000)},
	}
	v := newVerifier(t)
	for _, tt := range tests {
		c, err := v.Verify(tt.header)
		if !errors.Is(err, auth.ErrUnauthenticated) || c != (auth.Caller{}) {
			t.Errorf("%s: Verify = %+v, %v; want ErrUnauthenticated", tt.name, c, err)
		}
		if token := strings.TrimPrefix(tt.header, "Bearer "); err != nil && len(token) > 20 && strings.Contains(err.Error(), token[:20]) {
			t.Errorf("%s: the error repeats the token", tt.name)
		}
	}
}

func TestVerifyAccepts(t *testing.T) {
	tests := []struct {
		name   string
		key    []byte
		claims jwt.MapClaims
		admin  bool
	}{
		{"admin", key, nil, true},
		{"rotated key", oldKey, nil, true},
		{"list of roles", key, jwt.MapClaims{"s3gate": []string{"reader", "admin"}}, true},
		{"no role", key, jwt.MapClaims{"s3gate": nil}, false},
		{"another role", key, jwt.MapClaims{"s3gate": "administrator"}, false},
		{"role in another claim", key, jwt.MapClaims{"s3gate": nil, "admin": true, "role": "admin"}, false},
		{"expired within the leeway", key, jwt.MapClaims{"exp": time.Now().Add(-2 * time.Second).Unix()}, true},
	}
	v := newVerifier(t)
	for _, tt := range tests {
		c, err := v.Verify(sign(t, jwt.SigningMethodHS256, tt.key, good(tt.claims)))
		want := auth.Caller{Issuer: "https://id.example", Subject: "ops", Admin: tt.admin}
		if err != nil || c != want {
			t.Errorf("%s: Verify = %+v, %v; want %+v", tt.name, c, err, want)
		}
	}
}

// A role that is neither a string nor a list of strings gives nothing.
func TestVerifyOddRole(t *testing.T) {
	for _, role := range []any{true, 1, map[string]any{"admin": true}, []any{[]any{"admin"}}} {
		c, err := newVerifier(t).Verify(sign(t, jwt.SigningMethodHS256, key, good(jwt.MapClaims{"s3gate": role})))
		if c.Admin {
			t.Errorf("role %v made an admin (err %v)", role, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  auth.Config
	}{
		{"no key", auth.Config{}},
		{"short key", auth.Config{Keys: [][]byte{key[:31]}}},
		{"one short key of two", auth.Config{Keys: [][]byte{key, nil}}},
		{"leeway over 30 s", auth.Config{Keys: [][]byte{key}, Leeway: 31 * time.Second}},
	}
	for _, tt := range tests {
		if _, err := auth.New(tt.cfg); err == nil {
			t.Errorf("%s: New succeeded", tt.name)
		}
	}
}

func TestSignRoundTrip(t *testing.T) {
	want := auth.Caller{Issuer: "https://id.example", Subject: "ops", Admin: true}
	token, err := auth.Sign(key, want, "s3gate", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newVerifier(t).Verify("bearer " + token); err != nil || got != want {
		t.Errorf("Verify(Sign) = %+v, %v; want %+v", got, err, want)
	}
	if _, err := auth.Sign(key[:8], want, "", time.Minute); err == nil {
		t.Error("Sign took a short key")
	}
}

// A bearer of a million dots must cost next to nothing (J6).
func BenchmarkVerifyMillionDots(b *testing.B) {
	v, err := auth.New(auth.Config{Keys: [][]byte{key}})
	if err != nil {
		b.Fatal(err)
	}
	header := "Bearer " + strings.Repeat(".", 1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(header); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkVerify is what a call of the API costs before it is looked at.
func BenchmarkVerify(b *testing.B) {
	c := newClock()
	own, err := auth.New(auth.Config{Keys: [][]byte{key}, Issuer: "https://id.example", Now: c.now})
	if err != nil {
		b.Fatal(err)
	}
	admin, err := auth.Sign(key, auth.Caller{Issuer: "https://id.example", Subject: "ops", Admin: true}, "", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name     string
		verifier *auth.Verifier
		header   string
	}{
		{"HS256", own, "Bearer " + admin},
		{"ES256 and rules", open(b, c, auth.Issuer{Issuer: acme, PublicKeys: pemOf(b, p256().Public()), Algorithms: auth.Texts{"ES256"}}), signWith(b, "ES256", p256(), nil, claimsOf(c, acme, nil))},
		{"RS256 and rules", open(b, c, auth.Issuer{Issuer: acme, PublicKeys: pemOf(b, rsaKey().Public()), Algorithms: auth.Texts{"RS256"}}), signWith(b, "RS256", rsaKey(), nil, claimsOf(c, acme, nil))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.verifier.Verify(bb.header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
