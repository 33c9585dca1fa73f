package config

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// Guard says how gates watch over their buckets.
type Guard struct {
	// VerifyInterval is how often the gates together try whether each bucket still
	// refuses presigned URLs, and they do when the first of them starts; 0 never does.
	// See docs/verify.md. Default 1h.
	VerifyInterval time.Duration `koanf:"verify_interval"`
	// Ready makes /readyz answer 503 while a bucket that is tried is not known to be
	// locked. Default false.
	Ready bool `koanf:"ready"`
	// Leaks says where logs are that tell of leaks, and what is done about those.
	Leaks Leaks `koanf:"leaks"`
}

// minVerifyInterval keeps gates from storing and deleting canaries all the time.
const minVerifyInterval = time.Minute

func (g *Guard) validate(bad func(name, format string, args ...any)) {
	if g.VerifyInterval != 0 && g.VerifyInterval < minVerifyInterval {
		bad("guard.verify_interval", "must be 0 or at least %s, got %s", minVerifyInterval, g.VerifyInterval)
	}
	if g.Ready && g.VerifyInterval == 0 {
		bad("guard.ready", "needs guard.verify_interval")
	}
	g.Leaks.validate(bad)
}

// AssumeRole exchanges credentials for those of a session, by the AssumeRole call
// of STS, which the store must have. With a session policy they cannot presign,
// whatever the bucket's policy says.
type AssumeRole struct {
	// RoleARN is the ARN of the role, such as arn:aws:iam::123456789012:role/s3gate.
	// MinIO needs none. Default: none, and without an endpoint no role is assumed.
	RoleARN string `koanf:"role_arn"`
	// Endpoint is the URL of STS, for MinIO that of the store. Default: that of Amazon
	// in the bucket's region.
	Endpoint string `koanf:"endpoint"`
	// ExternalID is what the role's trust policy may ask for.
	ExternalID string `koanf:"external_id"`
	// Duration is how long a session lasts, 15m to 12h; it is renewed ahead of its
	// end. Default: 1h.
	Duration time.Duration `koanf:"duration"`
	// SessionPolicy narrows what the session may do: lock is everything in the bucket
	// but by presigned URLs, forms and Signature Version 2; else it is a policy as
	// JSON. Amazon takes 2048 characters. Default: none.
	SessionPolicy string `koanf:"session_policy"`
}

// LockPolicy is the session policy of that name.
const LockPolicy = "lock"

// maxSessionPolicy is the longest that STS takes, in characters (AWS STS API,
// "AssumeRole").
const maxSessionPolicy = 2048

// Wanted reports whether there is a role to assume.
func (a *AssumeRole) Wanted() bool { return a.RoleARN != "" || a.Endpoint != "" }

func (a *AssumeRole) validate(name string, signing string, bad func(name, format string, args ...any)) {
	if !a.Wanted() {
		if *a != (AssumeRole{}) {
			bad(name+".role_arn", "or endpoint is required")
		}
		return
	}
	if a.RoleARN != "" && !strings.HasPrefix(a.RoleARN, "arn:") {
		bad(name+".role_arn", "must be an ARN such as arn:aws:iam::123456789012:role/s3gate, got %q", a.RoleARN)
	}
	if u, err := url.Parse(a.Endpoint); a.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "") {
		bad(name+".endpoint", "must be a URL such as https://sts.example.com, without user and query")
	}
	if d := a.Duration; d != 0 && (d < 15*time.Minute || d > 12*time.Hour) {
		bad(name+".duration", "must be 15m to 12h, got %s", d)
	}
	switch p := a.SessionPolicy; {
	case p == LockPolicy && signing == "query":
		bad(name+".session_policy", "lock refuses what signing: query makes")
	case p != "" && p != LockPolicy && !json.Valid([]byte(p)):
		bad(name+".session_policy", "must be lock or a policy as JSON")
	case len(p) > maxSessionPolicy:
		bad(name+".session_policy", "must have at most %d characters, got %d", maxSessionPolicy, len(p))
	}
}

// verifyUnlessSaid turns verification on for each bucket of which nothing was
// said: a map has no defaults.
func (c *Config) verifyUnlessSaid(raw map[string]any) {
	all, _ := asMap(raw["buckets"])
	for alias, b := range c.Buckets {
		said, _ := asMap(all[alias])
		if _, ok := said["verify"]; !ok {
			b.Verify = true
			c.Buckets[alias] = b
		}
	}
}
