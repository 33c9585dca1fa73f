package tokens

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/big"
)

// MinSecretBytes is the length of the shortest secret that tokens are derived
// from.
const MinSecretBytes = 32

// fromSeed returns the token of 256 random bits: the 22 base62 characters are
// the bits, read as a number, modulo 62^22. That is wide: of the 2^131 tokens
// none is more likely than another by more than a part in 2^125.
func fromSeed(seed [sha256.Size]byte) Token {
	var b [Length]byte
	copy(b[:], Prefix)
	n, base, digit := new(big.Int).SetBytes(seed[:]), big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := len(Prefix) + randomLen - 1; i >= len(Prefix); i-- {
		n.DivMod(n, base, digit)
		b[i] = alphabet[digit.Int64()]
	}
	body := b[:len(Prefix)+randomLen]
	return newToken(string(appendChecksum(body, body)))
}

// mintSecret is what tokens are derived from. It prints as a placeholder.
type mintSecret struct{ key *[]byte }

// What a secret is used for; no use can stand for another.
const (
	forID    = "s3gate mint secret"
	forToken = "s3gate token 1"
	forBody  = "s3gate body 1"
)

// sum is the HMAC-SHA256 of a use and parts, of which each is preceded by its
// length.
func (m mintSecret) sum(use string, parts ...[]byte) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, *m.key)
	writeFramed(h, append([][]byte{[]byte(use)}, parts...)...)
	h.Sum(out[:0])
	return out
}

// id names the secret without giving it away.
func (m mintSecret) id() string {
	sum := m.sum(forID)
	return hex.EncodeToString(sum[:8])
}

// writeFramed writes parts so that no two lists of them are alike.
func writeFramed(w io.Writer, parts ...[]byte) {
	for _, part := range parts {
		w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		w.Write(part)
	}
}

const redactedSecret = "[mint secret]"

// Format writes a placeholder for every verb.
func (m mintSecret) Format(f fmt.State, _ rune) { io.WriteString(f, redactedSecret) }

// LogValue is a placeholder.
func (m mintSecret) LogValue() slog.Value { return slog.StringValue(redactedSecret) }
