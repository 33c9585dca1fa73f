package s3gatetest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

// Leaked looks for a secret in what is not to hold it, in every form in which it may
// have got there; the form is "" if it is in none. The secret has 8 bytes or more.
func Leaked(text []byte, secret string) (form string) {
	lower := bytes.ToLower(text)
	for name, needle := range forms(secret) {
		in := text
		if strings.Contains(name, "hexadecimal") || strings.Contains(name, "URL") {
			in = lower // digits may be either
			needle = strings.ToLower(needle)
		}
		if bytes.Contains(in, []byte(needle)) {
			return name
		}
	}
	return ""
}

// forms are the ways to write a text.
func forms(secret string) map[string]string {
	var percent, numbers strings.Builder
	for i, b := range []byte(secret) {
		percent.WriteString("%" + hex.EncodeToString([]byte{b}))
		if i > 0 {
			numbers.WriteString(" ")
		}
		numbers.WriteString(decimal(b))
	}
	all := map[string]string{
		"as it is": secret, "in a URL": url.PathEscape(secret), "in the query of a URL": url.QueryEscape(secret),
		"in a URL, all of it": percent.String(), "in hexadecimal digits": hex.EncodeToString([]byte(secret)),
		"as a list of bytes": numbers.String(), "as Go prints it": strings.Join(strings.Fields(numbers.String()), ", "),
	}
	for shift := range 3 {
		// What comes before and after it changes the characters at both ends.
		padded := strings.Repeat("\x00", shift) + secret
		for name, encoding := range map[string]*base64.Encoding{"in base64": base64.RawStdEncoding, "in base64 for URLs": base64.RawURLEncoding} {
			whole := encoding.EncodeToString([]byte(padded))
			from := (shift*8 + 5) / 6
			all[name+" "+decimal(byte(shift))] = whole[from : len(whole)-2]
		}
	}
	return all
}

func decimal(b byte) string {
	digits := ""
	for n := int(b); n > 0 || digits == ""; n /= 10 {
		digits = string(rune('0'+n%10)) + digits
	}
	return digits
}
