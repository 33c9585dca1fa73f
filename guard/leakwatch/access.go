package leakwatch

import (
	"strings"
	"time"

	"s3gate/guard/accesslog"
)

// access is a request that a log tells of.
type access struct {
	auth                                    accesslog.Auth
	bucket, key, method                     string
	signer, requester, client, agent, trace string
	status                                  int
	code                                    string
	at                                      time.Time
}

// found is what a request comes to; nil if that is nothing.
func (w *Watch) found(a *access, log string) *Finding {
	kind := Presigned
	switch a.auth {
	case accesslog.Query:
	case accesslog.Post:
		kind = Form
	default:
		return nil
	}
	bucket, watched := w.Buckets[a.bucket]
	if w.Buckets != nil && !watched || a.at.Before(w.Since) {
		return nil
	}
	f := &Finding{
		Kind: kind, Outcome: a.outcome(), Bucket: bucket.Alias, Key: clip(a.key, maxKey), Signer: clip(a.signer, maxText),
		Requester: clip(a.requester, maxText), Client: clip(a.client, maxText), Network: NetworkOf(a.client), Method: clip(a.method, maxText),
		Status: a.status, Code: clip(a.code, maxText), Request: clip(a.trace, maxText),
		UserAgent: clip(string(accesslog.Redact([]byte(a.agent))), maxText), Log: log,
		First: a.at, Last: a.at, Count: 1,
	}
	if f.Bucket == "" {
		f.Bucket = a.bucket
	}
	if bucket.proof(f) || bucket.own(a) {
		return nil
	}
	f.name(w.window())
	return f
}

// What a finding keeps of what others write, in bytes.
const (
	maxKey  = 1024
	maxText = 256
)

func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// outcome says whether the store has let in who signed, which it also has if it
// then found no such object. Nobody was let in by a request that got something as
// an anonymous one, nor by one that was sent elsewhere or failed.
func (a *access) outcome() Outcome {
	switch {
	case !a.known():
	case a.status == 0:
		if a.code == "" || letIn[a.code] {
			return Allowed
		}
	case a.status >= 200 && a.status < 300, a.status == 304, a.status == 404, a.status == 412, a.status == 416:
		return Allowed
	}
	return Refused
}

// known reports whether the store knows who has signed: the log names a requester,
// and a URL its key. CloudTrail, which has no status, leaves out the key if it is
// another account's.
func (a *access) known() bool {
	return a.requester != "" && (a.signer != "" || a.auth == accesslog.Post || a.status == 0)
}

// letIn are errors about the object and not about the request's rights.
var letIn = map[string]bool{
	"NoSuchKey": true, "NoSuchVersion": true, "PreconditionFailed": true, "NotModified": true, "InvalidRange": true,
}

// fromRecord is what a line of an access log tells.
func fromRecord(r *accesslog.Record, auth accesslog.Auth) *access {
	return &access{
		auth: auth, bucket: string(r.Raw(accesslog.Bucket)), key: r.Key(), method: r.Method(),
		signer: r.AccessKeyID(), requester: string(r.Raw(accesslog.Requester)), client: string(r.Raw(accesslog.RemoteIP)),
		agent: string(r.Raw(accesslog.UserAgent)), trace: string(r.Raw(accesslog.RequestID)), status: r.Status(),
		code: string(r.Raw(accesslog.ErrorCode)), at: r.Time(),
	}
}
