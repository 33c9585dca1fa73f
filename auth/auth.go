// Package auth turns a bearer JWT into a [Caller] and says what the caller
// may do.
//
// The invariant: what a token's claims do not give, the caller does not have.
// Algorithms are pinned by configuration; nothing in a token's header chooses
// a key, an algorithm or an address to fetch one from.
package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Caller is who calls the API.
type Caller struct {
	// Issuer and Subject are the token's iss and sub.
	Issuer, Subject string
	// Admin may do everything. It comes from the claim "s3gate", which is or
	// contains "admin".
	Admin bool
}

// ErrUnauthenticated is returned for a bearer that proves nothing: malformed,
// unsigned, signed with another key or algorithm, expired, not yet valid, or
// meant for somebody else. The text that wraps it says which, for the log.
var ErrUnauthenticated = errors.New("bearer token not accepted")

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
	// so that keys can be rotated. At least one is required.
	Keys [][]byte
	// Issuer and Audience must be in the token if they are set.
	Issuer, Audience string
	// Leeway is how far clocks may differ; 0 means none, at most 30 s.
	Leeway time.Duration
}

// Verifier checks bearer tokens. It is safe for concurrent use.
type Verifier struct {
	parser *jwt.Parser
	keys   jwt.VerificationKeySet
}

// New returns a Verifier.
func New(cfg Config) (*Verifier, error) {
	if len(cfg.Keys) == 0 {
		return nil, errors.New("auth: no key to verify bearer tokens with")
	}
	v := &Verifier{}
	for _, k := range cfg.Keys {
		if len(k) < MinKeyBytes {
			return nil, fmt.Errorf("auth: an HS256 key has %d bytes, at least %d are needed", len(k), MinKeyBytes)
		}
		v.keys.Keys = append(v.keys.Keys, k)
	}
	if cfg.Leeway < 0 || cfg.Leeway > MaxLeeway {
		return nil, fmt.Errorf("auth: leeway must be 0 to %s, got %s", MaxLeeway, cfg.Leeway)
	}
	opts := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(cfg.Leeway),
	}
	if cfg.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		opts = append(opts, jwt.WithAudience(cfg.Audience))
	}
	v.parser = jwt.NewParser(opts...)
	return v, nil
}

// claims are the ones that are read.
type claims struct {
	jwt.RegisteredClaims
	Role jwt.ClaimStrings `json:"s3gate"` // a string or a list of them
}

const roleAdmin = "admin"

// Verify returns the caller that an Authorization header proves. Errors wrap
// [ErrUnauthenticated] and never hold the token.
func (v *Verifier) Verify(authorization string) (Caller, error) {
	scheme, bearer, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
		return Caller{}, fmt.Errorf("%w: no bearer token", ErrUnauthenticated)
	}
	if len(bearer) > maxBearer {
		return Caller{}, fmt.Errorf("%w: %d bytes long, at most %d", ErrUnauthenticated, len(bearer), maxBearer)
	}
	var c claims
	_, err := v.parser.ParseWithClaims(bearer, &c, func(*jwt.Token) (any, error) { return v.keys, nil })
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %s", ErrUnauthenticated, reason(err))
	}
	caller := Caller{Issuer: c.Issuer, Subject: c.Subject}
	for _, r := range c.Role {
		caller.Admin = caller.Admin || r == roleAdmin
	}
	return caller, nil
}

// reason names what is wrong in fixed words: the library's own texts may
// quote the token.
func reason(err error) string {
	for _, known := range []error{
		jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenRequiredClaimMissing,
		jwt.ErrTokenSignatureInvalid, jwt.ErrTokenMalformed,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "not valid"
}

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
