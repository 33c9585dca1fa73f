package guard

import (
	"cmp"
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

	// SourceIP and SourceVPCE are where requests come from, as in [Description].
	SourceIP, SourceVPCE string

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

// StandardRequests returns eleven requests in a fixed order: those that a locked bucket refuses, and those
// that it must not refuse. They come with Signature Version 4 over TLS, unless their name says otherwise.
// Errors name the option.
func StandardRequests(o StandardOptions) ([]StandardRequest, error) {
	switch policy.Anonymous {
	case o.Gate.String():
		return nil, errors.New("standard requests: gate: is required")
	case o.Admin.String():
		return nil, errors.New("standard requests: admin: is required")
	}
	get, put := Description{Action: "s3:GetObject"}, Description{Action: "s3:PutObject"}
	var list []StandardRequest
	for _, s := range []struct {
		name, text, who string
		allowed         bool
		what            Description
	}{
		{"presigned-get-by-gate", "GET by a URL that the gate has presigned", "gate", o.QuerySigning, get.by(AuthPresigned)},
		{"presigned-get-by-admin", "GET by a URL that an admin has presigned", "admin", false, get.by(AuthPresigned)},
		{"presigned-put", "PUT by a URL that an admin has presigned", "admin", false, put.by(AuthPresigned)},
		{"post-form", "upload by a form that an admin has signed", "admin", false, put.by(AuthPost)},
		{"anonymous-get", "GET without a signature", "anonymous", false, get.by(AuthNone)},
		{"anonymous-put", "PUT without a signature", "anonymous", false, put.by(AuthNone)},
		{"plain-http", "GET over plain HTTP, signed in the header by the gate", "gate", false, Description{Action: get.Action, PlainHTTP: true}},
		{"signature-v2", "GET signed with Signature Version 2 in the header by an admin", "admin", false, Description{Action: get.Action, OldSignature: true}},
		{"header-get-by-gate", "GET signed in the header by the gate", "gate", true, get},
		{"header-put-by-gate", "PUT signed in the header by the gate", "gate", true, put},
		{"put-policy-by-admin", "PutBucketPolicy signed in the header by an admin", "admin", true, Description{Action: "s3:PutBucketPolicy"}},
	} {
		request, err := o.fill(s.what, s.who)
		if err != nil {
			return nil, fmt.Errorf("standard requests: %w", err)
		}
		list = append(list, StandardRequest{s.name, s.text, s.who, s.allowed, request})
	}
	return list, nil
}

func (d Description) by(auth string) Description {
	d.Auth = auth
	return d
}

// fill completes the description of a request by the options.
func (o *StandardOptions) fill(d Description, who string) (policy.Request, error) {
	d.Bucket, d.Partition, d.SourceIP, d.SourceVPCE = o.Bucket, o.Partition, o.SourceIP, o.SourceVPCE
	d.Principal = map[string]policy.Principal{"gate": o.Gate, "admin": o.Admin}[who]
	if policy.OnObjects(d.Action) {
		d.Key = cmp.Or(o.Key, CanaryPrefix+"standard")
	}
	return d.Request()
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
// policy as well; a service needs a statement only ("Policy evaluation logic" and "Cross-account policy evaluation logic", IAM User Guide).
// Owner is the account that owns the bucket, twelve digits. Identity policies, permission boundaries,
// organization policies, access control lists and public access blocks are not looked at: they can refuse
// what is allowed here, and only access control lists can allow what is refused. What no policy can take
// from the root user of the bucket's account is allowed whatever it says.
func Judge(doc *policy.Document, owner string, r policy.Request) Judgement {
	j := Judgement{Trace: doc.Explain(r)}
	account := r.Principal.AccountID()
	own, by := account != "" && account == owner, StatementName(j.Trace.Decision)
	switch {
	case owns(r, owner):
		j.Allowed, j.Reason = true, "the root user of the bucket's account may always read, write and delete its policy"
	case j.Trace.Effect == policy.Deny:
		j.Reason = "denied by " + by
	case j.Trace.Effect == policy.Allow && (own || account == ""):
		j.Allowed, j.Reason = true, "allowed by "+by
	case j.Trace.Effect == policy.Allow:
		j.Allowed, j.Reason = true, fmt.Sprintf("allowed by %s, if an identity policy of account %s allows it too", by, account)
	case own:
		j.Allowed, j.Reason = true, "no statement denies it, and the caller is of the bucket's account: its identity policy decides"
	case r.Principal.Service != "":
		j.Reason = "no statement allows it, and a service needs one"
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
	switch strings.ToLower(r.Action) {
	case "s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy":
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
