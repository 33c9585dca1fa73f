// Package auth turns a bearer JWT into a [Caller] and says what the caller
// may do.
//
// The invariant: what a token's claims do not give, the caller does not have.
// Issuers, algorithms and keys are pinned by configuration; nothing in a
// token's header chooses an algorithm or an address to fetch a key from.
//
// There are two kinds of issuers: whoever has an HS256 key of [Config].Keys,
// who makes administrators by a claim, and those of [Config].Issuers, whose
// rules say what their claims are worth.
package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Caller is who calls the API.
type Caller struct {
	// Issuer and Subject are the token's iss and sub.
	Issuer, Subject string
	// Admin may do everything. It comes from a rule, or for the HS256 keys of
	// the gate from the claim "s3gate", which is or contains "admin".
	Admin bool
	// Rights are what the rules of the issuer give besides; nil is nothing, and
	// that the issuer has no rules.
	Rights *Rights
}

// ErrUnauthenticated is returned for a bearer that proves nothing: malformed,
// unsigned, signed with another key or algorithm, expired, not yet valid, or
// meant for somebody else. The text that wraps it says which, for the log.
var ErrUnauthenticated = errors.New("bearer token not accepted")

// ErrUnavailable is returned when the keys of a token's issuer cannot be had,
// so that nothing is known of the token.
var ErrUnavailable = errors.New("keys of the issuer cannot be had")

const (
	// MinKeyBytes is the shortest HS256 key (RFC 7518, section 3.2).
	MinKeyBytes = 32
	// MaxLeeway is the most that clocks may differ.
	MaxLeeway = 30 * time.Second
	// maxBearer bounds what is parsed at all.
	maxBearer = 16 << 10
)

// Config says which tokens are accepted.
type Config struct {
	// Keys are HS256 keys of at least 32 bytes, any of which may have signed,
	// so that keys can be rotated. They or Issuers are required.
	Keys [][]byte
	// Issuer and Audience must be in a token of Keys if they are set.
	Issuer, Audience string
	// Leeway is how far clocks may differ, for a token of Keys; 0 means none,
	// at most 30 s.
	Leeway time.Duration
	// Issuers are identity providers. A token that names one of them as its
	// issuer is held against that one's keys and no others.
	Issuers []Issuer
	// Transport fetches key sets; nil means one that follows the proxy settings
	// of the environment.
	Transport http.RoundTripper
	// Previous is a Verifier whose key sets are kept, so that they do not have to
	// be fetched again: those of issuers that say the same of where their keys
	// are and how long one counts. Nil keeps none.
	Previous *Verifier
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger hears of key sets that cannot be fetched; nil discards.
	Logger *slog.Logger
}

// Verifier checks bearer tokens. It is safe for concurrent use.
type Verifier struct {
	// own is whoever has an HS256 key; nil if there is none.
	own    *issuer
	byName map[string]*issuer // by iss
	parser *jwt.Parser        // reads what is not proven yet
}

// New returns a Verifier. It fetches nothing: that is left to the first token
// of an issuer. Errors name the setting that is wrong.
func New(cfg Config) (*Verifier, error) {
	if len(cfg.Keys)+len(cfg.Issuers) == 0 {
		return nil, errors.New("auth: no key to verify bearer tokens with")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{byName: map[string]*issuer{}, parser: jwt.NewParser(jwt.WithJSONNumber())}
	if len(cfg.Keys) > 0 {
		var err error
		if v.own, err = newOwn(&cfg); err != nil {
			return nil, err
		}
	}
	var errs []error
	for n := range cfg.Issuers {
		where := fmt.Sprintf("issuers[%d]", n)
		i, err := newIssuer(&cfg, &cfg.Issuers[n], where)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if v.byName[i.issuer] != nil || len(cfg.Keys) > 0 && cfg.Issuer == i.issuer {
			errs = append(errs, fmt.Errorf("%s.issuer: %q is there twice", where, i.issuer))
		}
		v.byName[i.issuer] = i
	}
	return v, errors.Join(errs...)
}

// Verify returns the caller that an Authorization header proves. Errors wrap
// [ErrUnauthenticated] or [ErrUnavailable] and never hold the token.
func (v *Verifier) Verify(authorization string) (Caller, error) {
	scheme, bearer, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
		return Caller{}, fmt.Errorf("%w: no bearer token", ErrUnauthenticated)
	}
	ex := v.Explain(bearer)
	return ex.Caller, ex.err
}

// of returns who has to answer for a token with that iss.
func (v *Verifier) of(iss string) *issuer {
	if i := v.byName[iss]; i != nil {
		return i
	}
	return v.own
}

const roleAdmin = "admin"

// Sign makes a bearer token for the caller with an HS256 key, good for ttl
// from now. It is meant for operators and for the development mode; in
// production an identity provider signs.
func Sign(key []byte, c Caller, audience string, ttl time.Duration) (string, error) {
	if len(key) < MinKeyBytes {
		return "", fmt.Errorf("auth: the key has %d bytes, at least %d are needed", len(key), MinKeyBytes)
	}
	now := time.Now()
	cl := jwt.MapClaims{"sub": c.Subject, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	if c.Issuer != "" {
		cl["iss"] = c.Issuer
	}
	if audience != "" {
		cl["aud"] = audience
	}
	if c.Admin {
		cl["s3gate"] = roleAdmin
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, cl).SignedString(key)
	if err != nil {
		return "", fmt.Errorf("signing a bearer token: %w", err)
	}
	return signed, nil
}
