package devs3

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"s3gate/policy"
)

// headerKeys are the request headers that condition keys are named after
// ("Actions, resources, and condition keys for Amazon S3", Service
// Authorization Reference).
var headerKeys = []string{
	"x-amz-acl", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-grant-full-control", "x-amz-grant-read",
	"x-amz-grant-read-acp", "x-amz-grant-write", "x-amz-grant-write-acp", "x-amz-metadata-directive",
	"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
	"x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class", "x-amz-website-redirect-location",
	"if-match", "if-none-match",
}

// queryKeys are the parameters that condition keys are named after.
var queryKeys = []string{"delimiter", "max-keys", "prefix", "versionId"}

// context returns the condition keys that the request carries. A key that it
// does not carry is absent, not empty: negated conditions then hold, others do
// not.
func (x *exchange) context() policy.Context {
	if x.facts != nil {
		return x.facts
	}
	c, now := policy.Context{}, time.Now()
	c.Set("aws:CurrentTime", now.UTC().Format(time.RFC3339))
	c.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	c.Set("aws:SecureTransport", strconv.FormatBool(x.r.TLS != nil))
	c.Set("aws:ResourceAccount", Account)
	c.Set("s3:ResourceAccount", Account)
	setNonEmpty(c, "aws:SourceIp", sourceIP(x.r))
	setNonEmpty(c, "aws:UserAgent", x.r.UserAgent())
	setNonEmpty(c, "aws:Referer", x.r.Referer())
	setNonEmpty(c, "s3:TlsVersion", tlsVersion(x.r))
	for _, name := range headerKeys {
		setNonEmpty(c, "s3:"+name, x.r.Header.Get(name))
	}
	for _, name := range queryKeys {
		if x.query.Has(name) {
			c.Set("s3:"+name, x.query.Get(name))
		}
	}
	setTags(c, x.r.Header.Get("X-Amz-Tagging"))
	x.caller.describe(c, now)
	x.facts = c
	return c
}

// describe sets what follows from the signature.
func (c caller) describe(keys policy.Context, now time.Time) {
	if c.user == nil {
		return
	}
	keys.Set("aws:PrincipalType", "User")
	keys.Set("s3:authType", c.authType)
	keys.Set("s3:signatureversion", algorithm)
	if c.authType == authQuery {
		keys.Set("s3:signatureAge", strconv.FormatInt(max(0, now.Sub(c.signed).Milliseconds()), 10))
		if len(keys["s3:x-amz-content-sha256"]) == 0 {
			keys.Set("s3:x-amz-content-sha256", unsignedPayload)
		}
	}
}

// setTags sets the keys about the tags of an object to be written.
func setTags(c policy.Context, header string) {
	tags, err := url.ParseQuery(header)
	if err != nil || len(tags) == 0 {
		return
	}
	var names []string
	for name, values := range tags {
		c.Set("s3:RequestObjectTag/"+name, values...)
		names = append(names, name)
	}
	slices.Sort(names)
	c.Set("s3:RequestObjectTagKeys", names...)
}

func setNonEmpty(c policy.Context, key, value string) {
	if value != "" {
		c.Set(key, value)
	}
}

// sourceIP is the address the connection comes from. No header is believed:
// nothing stands in front of devs3.
func sourceIP(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return peer.Addr().Unmap().WithZone("").String()
}

func tlsVersion(r *http.Request) string {
	if r.TLS == nil {
		return ""
	}
	return strings.TrimPrefix(tls.VersionName(r.TLS.Version), "TLS ")
}
