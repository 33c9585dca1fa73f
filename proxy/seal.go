package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"s3gate/tokens"
)

// seal signs what a page gives out and a later request brings back, so that
// any gate can tell it is genuine without remembering it. Its key comes from
// the token and the hash of its passcode, which every gate learns anyway and
// of which a client knows at most the first. So what is sealed for a link with
// a passcode cannot be made by somebody who only has the link; without one it
// could, by somebody who may use the link anyhow.
type seal struct{ key [sha256.Size]byte }

// kind says what was sealed.
type kind byte

// The kinds: a challenge, and tickets by what they were given for.
const (
	challenge kind = 'c'
	byGesture kind = 'g'
	byDigits  kind = 'd'
	byCode    kind = 'p'
	toNote    kind = 'n' // by a passcode too, and the page with the note comes first
)

const (
	sealSalt = 8
	sealHead = 1 + 8 + sealSalt // kind, expiry in Unix seconds, salt
	sealMAC  = 16
)

var sealEncoding = base64.RawURLEncoding.Strict()

func newSeal(t tokens.Token, p tokens.Passcode) *seal {
	h := sha256.New()
	io.WriteString(h, "s3gate page, version 1\n")
	io.WriteString(h, t.Reveal()) // of fixed length: what follows cannot run into it
	p.Seal(h)
	return &seal{[sha256.Size]byte(h.Sum(nil))}
}

// close seals a kind until a time, by the clock of this gate. Another gate's
// may differ: then a page is shown once more, or is good for a little longer.
// Nothing else hangs on it, because what a ticket leads to is still redeemed,
// by Redis time.
func (s *seal) close(k kind, until time.Time) string {
	raw := make([]byte, sealHead, sealHead+sealMAC)
	raw[0] = byte(k)
	binary.BigEndian.PutUint64(raw[1:], uint64(until.Unix()))
	rand.Read(raw[1+8:])
	return sealEncoding.EncodeToString(append(raw, s.mac("seal", raw)...))
}

// open returns what was sealed; false if this is not genuine, or over.
func (s *seal) open(text string, now time.Time) (kind, bool) {
	if len(text) != sealEncoding.EncodedLen(sealHead+sealMAC) {
		return 0, false
	}
	raw, err := sealEncoding.DecodeString(text)
	if err != nil || !hmac.Equal(raw[sealHead:], s.mac("seal", raw[:sealHead])) {
		return 0, false
	}
	until := int64(binary.BigEndian.Uint64(raw[1:]))
	return kind(raw[0]), now.Unix() < until
}

// digits are what a person reads on the page with a challenge. They cannot be
// told from the challenge without the key.
func (s *seal) digits(challenge string) string {
	n := binary.BigEndian.Uint32(s.mac("digits", []byte(challenge)))
	return fmt.Sprintf("%04d", n%10_000)
}

// mac authenticates data for one purpose.
func (s *seal) mac(purpose string, data []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	io.WriteString(h, purpose+"\n")
	h.Write(data)
	return h.Sum(nil)[:sealMAC]
}
