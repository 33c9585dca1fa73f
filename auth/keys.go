package auth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// keys are those of one issuer. They are safe for concurrent use.
type keys interface {
	// candidates are those that may have signed a token. Errors: errNoKey,
	// [ErrUnavailable].
	candidates(token *jwt.Token) ([]candidate, error)
}

// candidate is a key and what to call it.
type candidate struct {
	name string
	key  any
}

var errNoKey = errors.New("no key of the issuer has the kid of the token")

// static are keys that are all tried.
type static []candidate

func (s static) candidates(*jwt.Token) ([]candidate, error) { return s, nil }

// secretBytes are the algorithms that take a secret, and the length it must
// have (RFC 7518, section 3.2).
var secretBytes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// curveBits are the algorithms that take a key on an elliptic curve (RFC 7518,
// section 3.4).
var curveBits = map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}

const (
	minRSABits = 2048 // RFC 7518, section 3.3
	maxRSABits = 8192 // what is larger takes long to use
)

// fits reports whether a key is one for the algorithm. A public key is never a
// secret, whatever the token says.
func fits(alg string, key any) bool {
	switch k := key.(type) {
	case []byte:
		return secretBytes[alg] > 0 && len(k) >= secretBytes[alg]
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize == curveBits[alg]
	case ed25519.PublicKey:
		return alg == jwt.SigningMethodEdDSA.Alg()
	}
	return false
}

// asymmetric are the algorithms that take a public key.
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// newKeys reads the keys that were configured.
func newKeys(cfg *Config, c *Issuer, i *issuer, bad func(field, format string, args ...any)) keys {
	if n := count(c.Secret != "", c.PublicKeys != "", c.JWKS != "", c.JWKSURL != ""); n > 1 {
		bad("secret", "public_keys, jwks and jwks_url exclude each other")
		return nil
	}
	if c.PreviousSecret != "" && c.Secret == "" {
		bad("previous_secret", "needs secret")
	}
	if c.Secret != "" {
		return newSecrets(c, i, bad)
	}
	for _, alg := range i.algorithms {
		if !slices.Contains(asymmetric(), alg) {
			bad("algorithms", "%q is none that takes a public key, which are %s", clip(alg), strings.Join(asymmetric(), ", "))
		}
	}
	switch {
	case c.PublicKeys != "":
		set, err := readPEM(c.PublicKeys)
		if err != nil {
			bad("public_keys", "%v", err)
		}
		for _, alg := range i.algorithms {
			if err == nil && !slices.ContainsFunc(set, func(c candidate) bool { return fits(alg, c.key) }) {
				bad("public_keys", "none is for %s", alg)
			}
		}
		return set
	case c.JWKS != "":
		set, err := readJWKS([]byte(c.JWKS))
		if err != nil {
			bad("jwks", "%v", err)
		}
		return set
	}
	field, address := "jwks_url", c.JWKSURL
	if address == "" {
		field, address = "issuer", discoveryURL(c.Issuer)
	}
	if err := fetchable(address); err != nil && c.Issuer != "" {
		bad(field, "%v", err)
	}
	fresh := newRemote(cfg, c, i.name, address)
	if known := cfg.Previous.remote(c.Issuer); known != nil && known.same(fresh) {
		return known
	}
	return fresh
}

func count(all ...bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

func newSecrets(c *Issuer, i *issuer, bad func(field, format string, args ...any)) (set static) {
	least := 0
	for _, alg := range i.algorithms {
		if secretBytes[alg] == 0 {
			bad("algorithms", "%q is none that takes a secret, which are HS256, HS384, HS512", clip(alg))
		}
		least = max(least, secretBytes[alg])
	}
	for field, secret := range map[string]string{"secret": c.Secret, "previous_secret": c.PreviousSecret} {
		if n := len(secret); secret != "" && n < least {
			bad(field, "must have at least %d bytes, got %d", least, n)
		}
	}
	set = static{{"secret", []byte(c.Secret)}}
	if c.PreviousSecret != "" {
		set = append(set, candidate{"previous secret", []byte(c.PreviousSecret)})
	}
	return set
}

// readPEM reads public keys and certificates, of which there is at least one.
func readPEM(text string) (set static, err error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", len(set)+1, err)
		}
		if !slices.ContainsFunc(asymmetric(), func(alg string) bool { return fits(alg, key) }) {
			return nil, fmt.Errorf("block %d: a %T that no algorithm takes; RSA keys have %d to %d bits", len(set)+1, key, minRSABits, maxRSABits)
		}
		set = append(set, candidate{fmt.Sprintf("public key %d", len(set)+1), key})
	}
	if len(set) == 0 {
		return nil, errors.New("holds no PEM block")
	}
	return set, nil
}

func publicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, errors.New("is neither a public key nor a certificate")
}

// keySet is a set with the rules of [keyfunc]: a kid has to be there, and a key
// that names an algorithm or a use is for that.
type keySet struct{ keyfunc.Keyfunc }

func newKeySet(store jwkset.Storage) (keySet, error) {
	set, err := keyfunc.New(keyfunc.Options{Storage: store, UseWhitelist: []jwkset.USE{"", jwkset.UseSig}})
	return keySet{set}, err
}

func readJWKS(raw []byte) (keys, error) {
	var marshaled jwkset.JWKSMarshal
	if err := json.Unmarshal(raw, &marshaled); err != nil {
		return nil, errors.New("is not a JSON Web Key Set")
	}
	store, err := marshaled.ToStorage()
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	all, _ := store.KeyReadAll(context.Background())
	if len(all) == 0 {
		return nil, errors.New("holds no key")
	}
	set, err := newKeySet(store)
	return set, err
}

func (s keySet) candidates(token *jwt.Token) ([]candidate, error) {
	got, err := s.Keyfunc.Keyfunc(token)
	if err != nil {
		return nil, errNoKey // its text quotes the token
	}
	kid, _ := token.Header["kid"].(string)
	set, several := got.(jwt.VerificationKeySet)
	if !several {
		return []candidate{{fmt.Sprintf("key %q of the set", clip(kid)), got}}, nil
	}
	var all []candidate
	for _, key := range set.Keys {
		all = append(all, candidate{"a key of the set", key})
	}
	return all, nil
}

func discoveryURL(issuer string) string {
	return strings.TrimSuffix(cmp.Or(issuer, "https://issuer.invalid"), "/") + "/.well-known/openid-configuration"
}
