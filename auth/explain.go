package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Explanation says what a bearer token is worth, and why. It holds nothing of
// the token's signature.
type Explanation struct {
	// Issuer is the configured name of who answers for the token; "" if nobody
	// does. Algorithm is the token's, and Key the one that has signed it.
	Issuer    string `json:"issuer,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	Key       string `json:"key,omitempty"`
	// Checks are those that were made, in their order. Without a proven
	// signature there are no others after it.
	Checks []Check `json:"checks"`
	// Rules are those of the issuer, in their order; empty without a proven
	// signature.
	Rules []Outcome `json:"rules,omitempty"`
	// Accepted says that every check was passed. Else Caller is zero.
	Accepted bool   `json:"accepted"`
	Caller   Caller `json:"-"`
	// Until is the token's exp; zero if the signature is not proven.
	Until time.Time `json:"-"`

	err error
}

// Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says what was found.
	Detail string `json:"detail,omitempty"`
}

// Outcome is what became of one rule.
type Outcome struct {
	Rule    string `json:"rule"`
	Applies bool   `json:"applies"`
	// Why says why it applies or does not.
	Why string `json:"why"`
	// Allow is what it allows, with the claims' values in it; nil if it does
	// not apply.
	Allow *Allow `json:"allow,omitempty"`
}

func (ex *Explanation) pass(name, detail string) {
	ex.Checks = append(ex.Checks, Check{Name: name, OK: true, Detail: detail})
}

// fail notes a check that was not passed; the first one is the error.
func (ex *Explanation) fail(name, detail string) {
	ex.refuse(name, fmt.Errorf("%w: %s", ErrUnauthenticated, detail), detail)
}

func (ex *Explanation) refuse(name string, err error, detail string) {
	ex.Checks = append(ex.Checks, Check{Name: name, Detail: detail})
	if ex.err == nil {
		ex.err = err
	}
}

func (ex *Explanation) check(name string, ok bool, otherwise string) {
	if ok {
		ex.pass(name, "")
		return
	}
	ex.fail(name, otherwise)
}

// Err is nil for a token that is accepted, else wraps [ErrUnauthenticated] or
// [ErrUnavailable].
func (ex *Explanation) Err() error { return ex.err }

// Explain checks a bearer token as [Verifier.Verify] does, and says what it
// found. It may fetch the issuer's keys, and then takes some seconds at most.
func (v *Verifier) Explain(bearer string) Explanation {
	ex := Explanation{Checks: []Check{}}
	i := v.recognize(&ex, bearer)
	if i == nil {
		return ex
	}
	claims := i.prove(&ex, bearer)
	if claims == nil {
		return ex
	}
	i.checkClaims(&ex, claims)
	if until, err := claims.GetExpirationTime(); err == nil && until != nil {
		ex.Until = until.Time
	}
	for _, r := range i.rules {
		ex.Rules = append(ex.Rules, r.apply(claims))
	}
	if ex.Accepted = ex.err == nil; ex.Accepted {
		ex.Caller = i.caller(claims, &ex)
	}
	return ex
}

// recognize reads from a token that is not proven who has to answer for it; nil
// if nobody does.
func (v *Verifier) recognize(ex *Explanation, bearer string) *issuer {
	if len(bearer) > maxBearer {
		ex.fail("form", fmt.Sprintf("%d bytes long, at most %d", len(bearer), maxBearer))
		return nil
	}
	claims := jwt.MapClaims{}
	token, _, err := v.parser.ParseUnverified(bearer, claims)
	if err != nil || claims == nil {
		ex.fail("form", jwt.ErrTokenMalformed.Error())
		return nil
	}
	if _, critical := token.Header["crit"]; critical {
		ex.fail("form", "token has a critical header (RFC 7515, section 4.1.11)")
		return nil
	}
	ex.pass("form", "a JWT")
	iss, _ := claims["iss"].(string)
	i := v.of(iss)
	if i == nil {
		ex.fail("issuer", "no issuer is configured with the iss of the token")
		return nil
	}
	ex.Issuer, ex.Algorithm = i.name, clip(token.Method.Alg())
	ex.pass("issuer", i.name)
	if !slices.Contains(i.algorithms, token.Method.Alg()) {
		ex.fail("algorithm", jwt.ErrTokenSignatureInvalid.Error()+": not an algorithm of this issuer")
		return nil
	}
	ex.pass("algorithm", token.Method.Alg())
	return i
}

// prove returns the claims of a token that one of the issuer's keys has signed;
// nil if none has.
func (i *issuer) prove(ex *Explanation, bearer string) jwt.MapClaims {
	unproven, _, err := i.proof.ParseUnverified(bearer, jwt.MapClaims{})
	if err != nil {
		ex.fail("form", jwt.ErrTokenMalformed.Error())
		return nil
	}
	candidates, err := i.keys.candidates(unproven)
	switch {
	case errors.Is(err, ErrUnavailable):
		ex.refuse("key", err, err.Error())
		return nil
	case err != nil:
		ex.fail("key", err.Error())
		return nil
	}
	for _, c := range candidates {
		if !fits(unproven.Method.Alg(), c.key) {
			continue
		}
		claims := jwt.MapClaims{}
		_, err := i.proof.ParseWithClaims(bearer, claims, func(*jwt.Token) (any, error) { return c.key, nil })
		if err == nil {
			ex.Key = c.name
			ex.pass("signature", "by "+c.name)
			return claims
		}
	}
	ex.fail("signature", jwt.ErrTokenSignatureInvalid.Error())
	return nil
}
