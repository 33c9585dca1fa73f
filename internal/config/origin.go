package config

import (
	"regexp"
	"strings"
)

// clientHeaders are those that client_header may name.
var clientHeaders = []string{"X-Forwarded-For", "Forwarded", "CloudFront-Viewer-Address"}

// Origin is a secret that a CDN or proxy in front of the link listener sends with
// each request, so that nobody gets past it.
type Origin struct {
	// Header is the header that holds the secret; it begins with X-. Default
	// X-Origin-Secret.
	Header string `koanf:"header"`
	// Secret is what it holds, 16 to 1024 printable ASCII characters without blanks.
	// A request for a link without it is 403, before anything else is looked at.
	// Default: none, and nothing is asked for.
	Secret string `koanf:"secret" secret:"true"`
	// PreviousSecret is accepted too, so that the secret can be rotated; see
	// docs/fronts.md.
	PreviousSecret string `koanf:"previous_secret" secret:"true"`
}

// Secrets are those that are accepted, none if nothing is asked for.
func (o *Origin) Secrets() (all []string) {
	for _, secret := range []string{o.Secret, o.PreviousSecret} {
		if secret != "" {
			all = append(all, secret)
		}
	}
	return all
}

// The length of an origin secret in bytes.
const (
	minOriginSecret = 16
	maxOriginSecret = 1024
)

var originHeader = regexp.MustCompile(`^(?i:x)-[0-9A-Za-z-]{1,62}$`)

func (o *Origin) validate(bad func(name, format string, args ...any)) {
	// Others have a meaning for the gate or for those in front of it.
	if name := strings.ToLower(o.Header); !originHeader.MatchString(o.Header) ||
		strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-amz-") || strings.HasPrefix(name, "x-s3gate-") {
		bad("origin.header", "must be X- and up to 62 of A-Z, a-z, 0-9 and -, and not begin with X-Forwarded-, X-Amz- or X-S3gate-, got %q", o.Header)
	}
	for name, secret := range map[string]string{"origin.secret": o.Secret, "origin.previous_secret": o.PreviousSecret} {
		if n := len(secret); n > 0 && (n < minOriginSecret || n > maxOriginSecret) {
			bad(name, "must have %d to %d bytes, got %d", minOriginSecret, maxOriginSecret, n)
		} else if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
			bad(name, "must be printable ASCII without blanks")
		}
	}
	if o.PreviousSecret != "" && o.Secret == "" {
		bad("origin.previous_secret", "needs origin.secret")
	}
}
