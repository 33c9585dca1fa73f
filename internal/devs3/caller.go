package devs3

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"s3gate/policy"
)

// caller is who makes a request. The zero caller is anonymous.
type caller struct {
	user       *User // nil: anonymous, or not verified yet
	authType   string
	credential credential
	signed     time.Time
	signature  string // in hex; what chunk signatures go on from
}

// principal is the caller as policies see it.
func (c caller) principal() policy.Principal {
	if c.user == nil {
		return policy.Principal{}
	}
	return policy.Principal{
		ARN:      fmt.Sprintf("arn:aws:iam::%s:user/%s", Account, c.user.Name),
		UserName: c.user.Name,
		UserID:   userID(c.user.Name),
		Account:  Account,
	}
}

// userID is a stable ID of the shape that IAM gives to users.
func userID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "AIDA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

// malformed is the code S3 answers when it cannot read the signature.
func (c caller) malformed() string {
	switch c.authType {
	case authQuery:
		return "AuthorizationQueryParametersError"
	case authForm:
		return "InvalidArgument"
	default:
		return "AuthorizationHeaderMalformed"
	}
}

// credential is the scope that a signature is made for ("Elements of an AWS API
// request signature", IAM User Guide).
type credential struct{ accessKey, date, region, service string }

func parseCredential(text string) (credential, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[0] == "" || parts[4] != "aws4_request" {
		return credential{}, false
	}
	return credential{parts[0], parts[1], parts[2], parts[3]}, true
}

func (c credential) String() string {
	return strings.Join([]string{c.date, c.region, c.service, "aws4_request"}, "/")
}

// check compares the scope with what it must be. The verifier takes any region
// and any date.
func (c credential) check(region, code string, signed time.Time) error {
	switch {
	case c.service != "s3":
		return &apiError{code: code, message: fmt.Sprintf("The credential is malformed; incorrect service %q. This endpoint belongs to \"s3\".", c.service)}
	case c.region != region:
		e := &apiError{code: code, message: fmt.Sprintf("The credential is malformed; the region '%s' is wrong; expecting '%s'", c.region, region)}
		return e.with("Region", region)
	case c.date != signed.UTC().Format("20060102"):
		return &apiError{code: "SignatureDoesNotMatch", message: "The date in the credential scope is not that of the signature."}
	}
	return nil
}
