package devs3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// What gofakes3's verifier does not offer: signatures of form uploads and of
// the chunks of a body, whose key it keeps to itself.

// signingKey derives the key of a scope ("Create a signed AWS API request", IAM
// User Guide).
func signingKey(secret string, c credential) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{c.date, c.region, c.service, "aws4_request"} {
		key = mac(key, part)
	}
	return key
}

// chunkSigner follows the chain of signatures through an aws-chunked body
// ("Signature calculations for the Authorization header: transferring payload
// in multiple chunks", Amazon S3 API Reference).
type chunkSigner struct {
	key      []byte
	signed   time.Time
	scope    string
	previous string // the signature before, in hex
}

// accepts reports whether sig is the right signature of the next chunk, whose
// data has the given hash.
func (c *chunkSigner) accepts(sig string, data []byte) bool {
	empty := sha256.Sum256(nil)
	return c.next(sig, "AWS4-HMAC-SHA256-PAYLOAD", hex.EncodeToString(empty[:]), hex.EncodeToString(data))
}

// acceptsTrailer is accepts for the trailer behind the last chunk.
func (c *chunkSigner) acceptsTrailer(sig, trailer string) bool {
	sum := sha256.Sum256([]byte(trailer))
	return c.next(sig, "AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:]))
}

func (c *chunkSigner) next(sig, algorithm string, hashes ...string) bool {
	lines := append([]string{algorithm, c.signed.UTC().Format(amzTime), c.scope, c.previous}, hashes...)
	want := hex.EncodeToString(mac(c.key, strings.Join(lines, "\n")))
	c.previous = want
	return hmac.Equal([]byte(sig), []byte(want))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
