package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/bcrypt"
)

// Passcode is what must be given with a link, as a bcrypt hash. It shows only
// that there is one. The zero Passcode stands for none.
type Passcode struct{ hash string }

// HashPasscode hashes a passcode, which takes tens of milliseconds.
func HashPasscode(text string) (Passcode, error) {
	hash, err := bcrypt.GenerateFromPassword(condense(text), bcrypt.DefaultCost)
	if err != nil {
		return Passcode{}, fmt.Errorf("hashing a passcode: %w", err)
	}
	return Passcode{string(hash)}, nil
}

// condense brings a passcode of any length to what bcrypt takes in, which is
// 72 bytes without NUL.
func condense(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return []byte(base64.RawStdEncoding.EncodeToString(sum[:]))
}

// Matches reports whether text is the passcode. It takes as long as hashing,
// and nothing matches the zero Passcode.
func (p Passcode) Matches(text string) bool {
	return p.hash != "" && bcrypt.CompareHashAndPassword([]byte(p.hash), condense(text)) == nil
}

// Seal mixes the hash, which no client knows, into a key of the gate's.
func (p Passcode) Seal(w io.Writer) { io.WriteString(w, p.hash) }

// IsZero reports whether there is no passcode.
func (p Passcode) IsZero() bool { return p.hash == "" }

const redactedPasscode = "[passcode]"

// Format writes a placeholder for every verb.
func (p Passcode) Format(f fmt.State, _ rune) { io.WriteString(f, redactedPasscode) }

// LogValue is a placeholder.
func (p Passcode) LogValue() slog.Value { return slog.StringValue(redactedPasscode) }

// MarshalJSON writes whether there is a passcode.
func (p Passcode) MarshalJSON() ([]byte, error) {
	if p.IsZero() {
		return []byte("false"), nil
	}
	return []byte("true"), nil
}
