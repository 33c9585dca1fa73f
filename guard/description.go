package guard

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"s3gate/policy"
)

// How a request is signed.
const (
	AuthHeader    = "header"    // in the Authorization header
	AuthPresigned = "presigned" // in the query string
	AuthPost      = "post"      // in the fields of a form
	AuthNone      = "none"      // not at all: the caller is anonymous
)

// A Description says what a request to a bucket is, in the words of people; [Description.Request] is what a
// policy sees of it.
type Description struct {
	// Bucket is the bucket's name; required.
	Bucket string

	// Partition is the ARN partition; empty is "aws".
	Partition string

	// Action is an action of S3, such as "s3:GetObject", with or without "s3:"; required.
	Action string

	// Key is the object's; empty for actions on the bucket.
	Key string

	// Principal is who asks; zero is anonymous.
	Principal policy.Principal

	// Auth is one of the Auth constants; empty is [AuthHeader], or [AuthNone] for an anonymous caller.
	Auth string

	// OldSignature says that it is signed with Signature Version 2.
	OldSignature bool

	// PlainHTTP says that it does not come over TLS.
	PlainHTTP bool

	// SourceIP is the address it comes from; empty is 203.0.113.1, which nobody has. Through a VPC endpoint
	// it is the address within the VPC, and empty is none.
	SourceIP string

	// SourceVPCE is the VPC endpoint it comes through, such as "vpce-1a2b3c4d"; empty is none.
	SourceVPCE string

	// Age is how long ago a presigned request was signed; 0 is a second.
	Age time.Duration

	// Context has condition keys that are added, or replace what follows from the rest; nil has none.
	Context policy.Context
}

// someAddress is of a network that is kept for documentation (RFC 5737).
const someAddress = "203.0.113.1"

var actionName = regexp.MustCompile(`^(s3:)?[A-Za-z]+$`)

// Request returns what a policy sees: what S3 puts into the context of such a request with Signature Version
// 4 and TLS 1.3, unless the description says otherwise ("Condition keys for Amazon S3", Service
// Authorization Reference). Errors name the field.
func (d *Description) Request() (policy.Request, error) {
	if err := d.check(); err != nil {
		return policy.Request{}, err
	}
	r := policy.Request{
		Action:    "s3:" + strings.TrimPrefix(d.Action, "s3:"),
		Resource:  d.resource(),
		Principal: d.Principal,
		Context:   policy.Context{},
	}
	switch onObject := policy.OnObjects(r.Action); {
	case onObject && d.Key == "":
		return policy.Request{}, fmt.Errorf("action: %s is one on an object, and there is no key", r.Action)
	case !onObject && d.Key != "":
		return policy.Request{}, fmt.Errorf("action: %s is one on the bucket, and there is a key", r.Action)
	}
	d.transport(r.Context)
	d.signature(r.Context)
	for key, values := range d.Context {
		r.Context.Set(key, values...)
	}
	return r, nil
}

func (d *Description) check() error {
	switch {
	case d.Bucket == "":
		return errors.New("bucket: is required")
	case !actionName.MatchString(d.Action):
		return fmt.Errorf("action: %q is not of the form s3:GetObject", d.Action)
	case d.Age < 0:
		return fmt.Errorf("age: %v is less than 0", d.Age)
	case d.Age > 0 && d.auth() != AuthPresigned:
		return fmt.Errorf("age: only a presigned request has one, and this is signed: %s", d.auth())
	case d.OldSignature && d.auth() == AuthNone:
		return errors.New("signature: an anonymous request has none")
	}
	if _, err := netip.ParseAddr(d.SourceIP); d.SourceIP != "" && err != nil {
		return fmt.Errorf("source address: %q is no IP address", d.SourceIP)
	}
	switch anonymous := d.Principal == (policy.Principal{}); d.auth() {
	case AuthHeader, AuthPresigned, AuthPost:
		if anonymous {
			return fmt.Errorf("auth: an anonymous caller cannot sign: %s", d.Auth)
		}
	case AuthNone:
		if !anonymous {
			return fmt.Errorf("auth: %s is known by the signature only", d.Principal)
		}
	default:
		return fmt.Errorf("auth: %q is none of %s, %s, %s and %s", d.Auth, AuthHeader, AuthPresigned, AuthPost, AuthNone)
	}
	return nil
}

func (d *Description) auth() string {
	switch {
	case d.Auth != "":
		return d.Auth
	case d.Principal == (policy.Principal{}):
		return AuthNone
	}
	return AuthHeader
}

func (d *Description) resource() string {
	arn := "arn:" + cmp.Or(d.Partition, "aws") + ":s3:::" + d.Bucket
	if d.Key != "" {
		arn += "/" + d.Key
	}
	return arn
}

// transport sets the keys that follow from how the request travels. Behind a VPC endpoint there is no
// aws:SourceIp ("AWS global condition context keys", IAM User Guide).
func (d *Description) transport(c policy.Context) {
	c.Set("aws:SecureTransport", strconv.FormatBool(!d.PlainHTTP))
	if !d.PlainHTTP {
		c.Set("s3:TlsVersion", "1.3")
	}
	switch {
	case d.SourceVPCE == "" && d.SourceIP == "":
		c.Set("aws:SourceIp", someAddress)
	case d.SourceVPCE == "":
		c.Set("aws:SourceIp", d.SourceIP)
	default:
		c.Set("aws:SourceVpce", d.SourceVPCE)
		if d.SourceIP != "" {
			c.Set("aws:VpcSourceIp", d.SourceIP)
		}
	}
}

// signature sets the keys that follow from the signature; an anonymous request has none of them ("Amazon S3
// Signature Version 4 Authentication Specific Policy Keys", Amazon S3 API Reference).
func (d *Description) signature(c policy.Context) {
	switch d.auth() {
	case AuthHeader:
		c.Set("s3:authType", "REST-HEADER")
	case AuthPresigned:
		c.Set("s3:authType", "REST-QUERY-STRING")
	case AuthPost:
		c.Set("s3:authType", "POST")
	default:
		return
	}
	if d.OldSignature {
		c.Set("s3:signatureversion", "AWS")
		return
	}
	c.Set("s3:signatureversion", "AWS4-HMAC-SHA256")
	if d.auth() != AuthPost {
		c.Set("s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD")
	}
	if d.auth() == AuthPresigned {
		c.Set("s3:signatureAge", strconv.FormatInt(cmp.Or(d.Age, time.Second).Milliseconds(), 10))
	}
}
