package guard

import (
	"errors"
	"fmt"
	"strings"

	"s3gate/policy"
)

// StandardOptions says about whom and what the standard requests are.
type StandardOptions struct {
	// Bucket is the bucket's name; required.
	Bucket string

	// Partition is the ARN partition; empty is "aws".
	Partition string

	// Key is the object asked for; empty is one below [CanaryPrefix]. For a lock of a part of the bucket
	// it must lie in that part.
	Key string

	// Gate and Admin are whom the gate and an administrator sign as; required, neither may be anonymous.
	// [policy.ParsePrincipal] reads them from an ARN.
	Gate, Admin policy.Principal

	// SourceIP is where requests come from; empty is 203.0.113.1, an address nobody has.
	SourceIP string

	// SourceVPCE is the VPC endpoint they come through, such as "vpce-1a2b3c4d"; empty is none.
	SourceVPCE string

	// QuerySigning says that the gate itself signs in the query string, so that its own presigned
	// requests are not to be refused.
	QuerySigning bool
}

// StandardRequest is a request that every lock has to have an answer to.
type StandardRequest struct {
	Name    string // such as "presigned-get-by-gate": stable, for scripts
	Text    string // the same for people
	Who     string // "gate", "admin" or "anonymous"
	Allowed bool   // whether a locked bucket allows it
	Request policy.Request
}

// StandardRequests returns ten requests in a fixed order: those that a locked bucket refuses, and those
// that it must not refuse. What they carry is what S3 puts into the context of such requests with
// Signature Version 4 over TLS 1.3, unless their name says otherwise ("Condition keys for Amazon S3",
// Service Authorization Reference). Errors name the option.
func StandardRequests(o StandardOptions) ([]StandardRequest, error) {
	switch {
	case o.Bucket == "":
		return nil, errors.New("standard requests: bucket: is required")
	case o.Gate.ARN == "":
		return nil, errors.New("standard requests: gate: is required")
	case o.Admin.ARN == "":
		return nil, errors.New("standard requests: admin: is required")
	}
	get, put := "s3:GetObject", "s3:PutObject"
	return []StandardRequest{
		{"presigned-get-by-gate", "GET by a URL that the gate has presigned", "gate", o.QuerySigning, o.object(get, o.Gate, presigned)},
		{"presigned-get-by-admin", "GET by a URL that an admin has presigned", "admin", false, o.object(get, o.Admin, presigned)},
		{"presigned-put", "PUT by a URL that an admin has presigned", "admin", false, o.object(put, o.Admin, presigned)},
		{"post-form", "upload by a form that an admin has signed", "admin", false, o.object(put, o.Admin, postForm)},
		{"anonymous-get", "GET without a signature", "anonymous", false, o.object(get, policy.Principal{}, unsigned)},
		{"plain-http", "GET over plain HTTP, signed in the header by the gate", "gate", false, o.object(get, o.Gate, header, plainHTTP)},
		{"signature-v2", "GET signed with Signature Version 2 in the header by an admin", "admin", false, o.object(get, o.Admin, header, oldSignature)},
		{"header-get-by-gate", "GET signed in the header by the gate", "gate", true, o.object(get, o.Gate, header)},
		{"header-put-by-gate", "PUT signed in the header by the gate", "gate", true, o.object(put, o.Gate, header)},
		{"put-policy-by-admin", "PutBucketPolicy signed in the header by an admin", "admin", true, o.request("s3:PutBucketPolicy", o.arn(), o.Admin, header)},
	}, nil
}

func (o *StandardOptions) arn() string {
	partition := o.Partition
	if partition == "" {
		partition = "aws"
	}
	return "arn:" + partition + ":s3:::" + o.Bucket
}

func (o *StandardOptions) object(action string, who policy.Principal, traits ...func(policy.Context)) policy.Request {
	key := o.Key
	if key == "" {
		key = CanaryPrefix + "standard"
	}
	return o.request(action, o.arn()+"/"+key, who, traits...)
}

func (o *StandardOptions) request(action, resource string, who policy.Principal, traits ...func(policy.Context)) policy.Request {
	c := policy.Context{}
	c.Set("aws:SecureTransport", "true")
	c.Set("s3:TlsVersion", "1.3")
	c.Set("aws:SourceIp", "203.0.113.1")
	if o.SourceIP != "" {
		c.Set("aws:SourceIp", o.SourceIP)
	}
	if o.SourceVPCE != "" {
		c.Set("aws:SourceVpce", o.SourceVPCE)
	}
	for _, t := range traits {
		t(c)
	}
	return policy.Request{Action: action, Resource: resource, Principal: who, Context: c}
}

// What makes one kind of request differ from another.
func presigned(c policy.Context) {
	signed(c, "REST-QUERY-STRING")
	c.Set("s3:signatureAge", "1000") // milliseconds
}

func postForm(c policy.Context) { signed(c, "POST") }
func header(c policy.Context)   { signed(c, "REST-HEADER") }
func unsigned(policy.Context)   {}

func signed(c policy.Context, authType string) {
	c.Set("s3:authType", authType)
	c.Set("s3:signatureversion", "AWS4-HMAC-SHA256")
	c.Set("s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD")
}

func plainHTTP(c policy.Context) {
	c.Set("aws:SecureTransport", "false")
	c.Set("s3:TlsVersion")
}

func oldSignature(c policy.Context) {
	c.Set("s3:signatureversion", "AWS")
	c.Set("s3:x-amz-content-sha256")
}

// Judgement is what becomes of a request, as far as the bucket policy can tell.
type Judgement struct {
	// Allowed is whether the request gets through, if nothing but the bucket policy keeps it out.
	Allowed bool
	// Reason says why, in words, and names the statement that decided.
	Reason string
	// Trace is what each statement says.
	Trace policy.Trace
}

// Judge applies the rule that joins a bucket's policy, nil for none, with what it does not show: a caller
// of the bucket's own account is allowed unless a statement denies, because its identity policy may allow;
// an anonymous caller and one of another account need a statement that allows, and the latter an identity
// policy as well ("Policy evaluation logic" and "Cross-account policy evaluation logic", IAM User Guide).
// Owner is the account that owns the bucket, twelve digits. Identity policies, permission boundaries,
// organization policies, access control lists and public access blocks are not looked at: they can refuse
// what is allowed here, and only access control lists can allow what is refused. What no policy can take
// from the root user of the bucket's account is allowed whatever it says.
func Judge(doc *policy.Document, owner string, r policy.Request) Judgement {
	j := Judgement{Trace: doc.Explain(r)}
	account := r.Principal.AccountID()
	switch {
	case owns(r, owner):
		j.Allowed, j.Reason = true, "the root user of the bucket's account may always read, write and delete its policy"
	case j.Trace.Effect == policy.Deny:
		j.Reason = "denied by " + StatementName(j.Trace.Decision)
	case j.Trace.Effect == policy.Allow:
		j.Allowed, j.Reason = true, "allowed by "+StatementName(j.Trace.Decision)
	case account != "" && account == owner:
		j.Allowed, j.Reason = true, "no statement denies it, and the caller is of the bucket's account: its identity policy decides"
	case account == "":
		j.Reason = "no statement allows it, and an anonymous caller needs one"
	default:
		j.Reason = fmt.Sprintf("no statement allows it, and a caller of account %s, which is not the bucket's, needs one", account)
	}
	return j
}

// owns reports whether the bucket owner's root user asks for the bucket policy, which no policy can deny
// ("PutBucketPolicy", Amazon S3 API Reference).
func owns(r policy.Request, owner string) bool {
	switch r.Action {
	case "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy":
		return owner != "" && r.Principal.AccountID() == owner && strings.HasSuffix(r.Principal.ARN, ":root")
	}
	return false
}

// StatementName names the statement that decided, by its Sid or else its place in the document; empty when
// none did.
func StatementName(d policy.Decision) string {
	switch {
	case d.Index < 0:
		return ""
	case d.Sid == "":
		return fmt.Sprintf("statement %d", d.Index+1)
	}
	return d.Sid
}
