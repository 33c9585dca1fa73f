// Package tokens defines what a token is, what it permits, and how its uses
// are counted.
//
// A [Token] is a short random secret that stands in a link. It permits what
// its [Grant] says: one operation on one object, until a time, a number of
// times. A [Store] keeps grants and uses in Redis under the token's [ID], a
// one-way hash, so that neither a dump of Redis nor a log line can be turned
// back into a link.
//
// The invariants of this package:
//
//   - The token itself is never stored, and prints as a placeholder wherever
//     it is formatted, logged or marshalled. Only [Token.Reveal] gives it out.
//   - At most MaxUses uses of a grant are ever granted, over all gates,
//     retries and races: every decision is one Lua script on keys of one
//     Cluster slot, and uses left are derived from attempt records, never
//     counted down, so a replayed or late command cannot mint a use.
//   - Time is Redis time. The wall clock of the calling process decides
//     nothing; a grant that is kept in memory ends by what has passed since
//     Redis was asked for it.
//
// The package knows neither HTTP nor S3; it imports no other package of this
// module.
package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
)

const (
	// Prefix begins every token, so that secret scanners can find one with
	// the single expression s3g_[0-9A-Za-z]{28}.
	Prefix = "s3g_"
	// Length is the number of bytes in the text of every token.
	Length = len(Prefix) + randomLen + checkLen

	randomLen = 22 // base62 characters: 130 bits
	checkLen  = 6  // base62 characters: 32 bits and some to spare
	alphabet  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ErrMalformed is returned by [Parse] and [ParseID] for a text that cannot be
// a token or an ID: wrong length, prefix, alphabet or checksum.
var ErrMalformed = errors.New("malformed token")

// Token is the secret that a link carries: "s3g_", 22 base62 characters from
// a cryptographic random source (130 bits), and 6 base62 characters of CRC-32
// (IEEE) over what stands before. The checksum lets a gate refuse a mistyped
// or guessed token without asking Redis; it protects nothing else.
//
// Token redacts itself in fmt, slog and encoding, also inside a struct that is
// printed as a whole. Two Tokens cannot be compared; compare their IDs. The
// zero Token is invalid.
type Token struct {
	_ [0]func() // equality of the pointers would not be that of the texts
	// text is behind a pointer because fmt does not call methods on
	// unexported fields, and prints a nested pointer as an address.
	text *string
}

func newToken(text string) Token { return Token{text: &text} }

// Generate returns a fresh random token. It does not fail: crypto/rand ends the
// process when the operating system cannot give randomness.
func Generate() Token {
	var b [Length]byte
	text := append(b[:0], Prefix...)
	for len(text) < len(Prefix)+randomLen {
		var raw [randomLen + 10]byte
		rand.Read(raw[:])
		for _, c := range raw {
			// 248 is the largest multiple of 62 in a byte: taking no value
			// above it keeps the characters uniform.
			if c < 248 && len(text) < len(Prefix)+randomLen {
				text = append(text, alphabet[c%62])
			}
		}
	}
	return newToken(string(appendChecksum(text, text)))
}

// Parse checks the shape and the checksum of a token's text. Its errors wrap
// [ErrMalformed] and never contain the text.
func Parse(text string) (Token, error) {
	if len(text) != Length || !strings.HasPrefix(text, Prefix) {
		return Token{}, ErrMalformed
	}
	for i := len(Prefix); i < Length; i++ {
		if strings.IndexByte(alphabet, text[i]) < 0 {
			return Token{}, ErrMalformed
		}
	}
	var sum [checkLen]byte
	body := text[:Length-checkLen]
	if string(appendChecksum(sum[:0], []byte(body))) != text[Length-checkLen:] {
		return Token{}, ErrMalformed
	}
	return newToken(text), nil
}

// appendChecksum appends the base62 CRC-32 of body to dst, most significant
// character first.
func appendChecksum(dst, body []byte) []byte {
	sum := crc32.ChecksumIEEE(body)
	var out [checkLen]byte
	for i := checkLen - 1; i >= 0; i-- {
		out[i] = alphabet[sum%62]
		sum /= 62
	}
	return append(dst, out[:]...)
}

const redacted = Prefix + "[redacted]"

// Reveal returns the token's text. Give it to the person the link is for, and
// to nothing that stores, logs or measures.
func (t Token) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero reports whether t is the zero Token, which opens nothing.
func (t Token) IsZero() bool { return t.text == nil }

// String returns a placeholder, never the secret.
func (t Token) String() string { return redacted }

// Format writes a placeholder for every verb, also for those that do not ask
// for String.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText returns a placeholder, never the secret.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns the token's ID, which is safe to log.
func (t Token) LogValue() slog.Value {
	if t.IsZero() {
		return slog.StringValue(redacted)
	}
	return slog.StringValue(string(t.ID()))
}

// ID names a token without giving it away: "tok_" and 26 lower-case base32
// characters of the first 128 bits of SHA-256 over the token's text. An ID is
// safe in logs, API paths and S3's access logs; a token cannot be derived
// from it.
type ID string

const (
	idPrefix = "tok_"
	idBytes  = 16
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ID returns the token's ID.
func (t Token) ID() ID {
	sum := sha256.Sum256([]byte(t.Reveal()))
	return idOf(sum[:idBytes])
}

func idOf(raw []byte) ID { return ID(idPrefix + idEncoding.EncodeToString(raw)) }

// ParseID checks that text is the canonical form of an ID. Its errors wrap
// [ErrMalformed].
func ParseID(text string) (ID, error) {
	if _, err := ID(text).raw(); err != nil {
		return "", err
	}
	return ID(text), nil
}

// raw returns the 16 bytes that the ID encodes.
func (id ID) raw() ([]byte, error) {
	enc, ok := strings.CutPrefix(string(id), idPrefix)
	raw, err := idEncoding.DecodeString(enc)
	if !ok || err != nil || len(raw) != idBytes || idOf(raw) != id {
		return nil, ErrMalformed
	}
	return raw, nil
}
