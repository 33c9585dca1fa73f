package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
)

// errOrigin is a request that did not come through the front of the gate.
var errOrigin = errors.New("the origin secret is missing or wrong")

// Origin is a secret that the CDN or proxy in front of the gate sends with each
// request. Those without it have found a way past the front and are refused. The
// zero Origin asks for nothing. It is safe for concurrent use, and not changed once
// it is.
type Origin struct {
	header  string
	secrets [][sha256.Size]byte
}

// NewOrigin returns an Origin that asks for one of the secrets in a header, exactly
// once; without secrets it asks for nothing.
func NewOrigin(header string, secrets ...string) Origin {
	o := Origin{header: http.CanonicalHeaderKey(header)}
	for _, secret := range secrets {
		o.secrets = append(o.secrets, sha256.Sum256([]byte(secret)))
	}
	return o
}

// admit takes the secret out of the headers, so that nothing which comes later can
// tell it to anybody, and reports whether it is right. How long that takes says
// nothing about the secret.
func (o *Origin) admit(h http.Header) bool {
	if len(o.secrets) == 0 {
		return true
	}
	sent := h[o.header]
	delete(h, o.header)
	if len(sent) != 1 {
		return false
	}
	sum, right := sha256.Sum256([]byte(sent[0])), 0
	for i := range o.secrets {
		right |= subtle.ConstantTimeCompare(sum[:], o.secrets[i][:])
	}
	return right == 1
}
