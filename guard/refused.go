package guard

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"s3gate/guard/accesslog"
	"s3gate/policy"
)

// Refusal is somebody whose requests went through and whom a lock would refuse.
type Refusal struct {
	// Who is the requester as the log has it: an ARN, an ID, or "anonymous".
	Who string `json:"who"`
	// How is how the requests were signed: query, post, header or anonymous.
	How string `json:"how"`
	// Sid is the statement that would refuse them.
	Sid string `json:"statement"`
	// Requests is how many there were, the first and the last of them at First
	// and Last.
	Requests int64     `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	// Operation, Key and From are of the last one: REST.GET.OBJECT, the object,
	// the address that it came from.
	Operation string `json:"operation"`
	Key       string `json:"key"`
	From      string `json:"from"`
}

// Refusals counts, of the requests in access logs, those that a lock would have
// refused. Use it from one goroutine.
type Refusals struct {
	bucket string
	arn    string
	doc    *policy.Document
	since  time.Time
	seen   map[refusalKey]*Refusal
}

type refusalKey struct{ who, how, sid string }

// maxRefusals bounds who is remembered apart; of the others only the number is.
const maxRefusals = 10_000

// NewRefusals counts for a lock of these options. Requests before since are left
// out; the zero time takes all.
func NewRefusals(opts policy.LockOptions, since time.Time) (*Refusals, error) {
	statements, err := policy.LockStatements(opts)
	if err != nil {
		return nil, err
	}
	text, err := policy.Merge(nil, statements)
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	arn := "arn:" + cmp.Or(opts.Partition, "aws") + ":s3:::" + opts.Bucket
	return &Refusals{bucket: opts.Bucket, arn: arn, doc: doc, since: since, seen: map[refusalKey]*Refusal{}}, nil
}

// Add takes a line of a log. Requests for other buckets, such that failed, and
// S3's own lifecycle actions are left out.
//
// A log names neither VPC endpoints nor, for a role, the path of its ARN, and an
// account's root user only by its canonical ID: who is exempt by one of these
// counts as refused. How old a signature was it does not tell either, so nobody
// counts as refused for that.
func (r *Refusals) Add(record *accesslog.Record) {
	status, at := record.Status(), record.Time()
	operation := string(record.Raw(accesslog.Operation))
	if status < 200 || status >= 400 || at.Before(r.since) || string(record.Raw(accesslog.Bucket)) != r.bucket || strings.HasPrefix(operation, "S3.") {
		return
	}
	decision := r.doc.Evaluate(r.request(record, operation))
	if decision.Effect != policy.Deny {
		return
	}
	key := refusalKey{cmp.Or(string(record.Raw(accesslog.Requester)), "anonymous"), record.Auth().String(), decision.Sid}
	found := r.seen[key]
	if found == nil {
		if len(r.seen) >= maxRefusals {
			key.who = "others"
			found = r.seen[key]
		}
		if found == nil {
			found = &Refusal{Who: key.who, How: key.how, Sid: key.sid, First: at}
			r.seen[key] = found
		}
	}
	found.Requests++
	if at.Before(found.First) {
		found.First = at
	}
	if !at.Before(found.Last) {
		found.Last, found.Operation, found.Key, found.From = at, operation, record.Key(), string(record.Raw(accesslog.RemoteIP))
	}
}

// List returns what was counted, those with the most requests first.
func (r *Refusals) List() []Refusal {
	var list []Refusal
	for _, found := range r.seen {
		list = append(list, *found)
	}
	slices.SortFunc(list, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Who, b.Who), cmp.Compare(a.How, b.How), cmp.Compare(a.Sid, b.Sid))
	})
	return list
}

// request is what a policy is asked about a line.
func (r *Refusals) request(record *accesslog.Record, operation string) policy.Request {
	key := record.Key()
	q := policy.Request{
		Action:    loggedAction(operation, key != ""),
		Resource:  r.arn,
		Principal: loggedPrincipal(string(record.Raw(accesslog.Requester))),
		Context:   policy.Context{},
	}
	if key != "" || q.Action == "s3:DeleteObject" { // of many, in the body
		q.Resource += "/" + key
	}
	switch record.Auth() {
	case accesslog.Header:
		q.Context.Set("s3:authType", "REST-HEADER")
	case accesslog.Query:
		q.Context.Set("s3:authType", "REST-QUERY-STRING")
	case accesslog.Post:
		q.Context.Set("s3:authType", "POST")
	}
	switch string(record.Raw(accesslog.SignatureVersion)) {
	case "SigV2":
		q.Context.Set("s3:signatureversion", "AWS")
	case "SigV4":
		q.Context.Set("s3:signatureversion", "AWS4-HMAC-SHA256")
	}
	// Logs of old have no such fields; then nothing is known of TLS.
	if record.Raw(accesslog.HostHeader) != nil {
		q.Context.Set("aws:SecureTransport", fmt.Sprint(record.Raw(accesslog.TLSVersion) != nil))
	}
	// Private addresses are those of VPC endpoints, and no source to a policy.
	if from, err := netip.ParseAddr(string(record.Raw(accesslog.RemoteIP))); err == nil && !from.IsPrivate() {
		q.Context.Set("aws:SourceIp", from.String())
	}
	q.Context.Set("aws:PrincipalIsAWSService", fmt.Sprint(strings.HasPrefix(string(record.Raw(accesslog.Requester)), "svc:")))
	return q
}

// loggedPrincipal is a requester: an ARN, the canonical ID of an account, a
// service, or nobody.
func loggedPrincipal(requester string) policy.Principal {
	if !strings.HasPrefix(requester, "arn:") {
		return policy.Principal{UserID: requester}
	}
	who := policy.Principal{ARN: requester}
	if _, name, ok := strings.Cut(requester, ":user/"); ok {
		who.UserName = name[strings.LastIndexByte(name, '/')+1:]
	}
	return who
}

// loggedAction is the permission that an operation of a log needs, near enough
// for a lock: such as REST.GET.OBJECT ("Amazon S3 server access log format",
// "Actions, resources, and condition keys for Amazon S3").
func loggedAction(operation string, onObject bool) string {
	parts := strings.Split(operation, ".")
	verb, what := "", ""
	if len(parts) == 3 {
		verb, what = parts[1], parts[2]
	}
	reads := verb == "GET" || verb == "HEAD"
	switch {
	case what == "BUCKETPOLICY" && reads:
		return "s3:GetBucketPolicy"
	case what == "BUCKETPOLICY" && verb == "DELETE":
		return "s3:DeleteBucketPolicy"
	case what == "BUCKETPOLICY":
		return "s3:PutBucketPolicy"
	case !onObject && what == "BUCKETVERSIONS":
		return "s3:ListBucketVersions"
	case !onObject && what == "UPLOADS":
		return "s3:ListBucketMultipartUploads"
	case !onObject && what == "MULTI_OBJECT_DELETE", onObject && verb == "DELETE" && what != "OBJECT_TAGGING":
		return "s3:DeleteObject"
	case !onObject && (what == "BUCKET" || what == "BUCKETPOLICY"):
		return "s3:ListBucket"
	case !onObject:
		return "s3:GetBucketLocation" // a setting, whichever
	case strings.HasSuffix(what, "OBJECT_GET"), reads:
		return "s3:GetObject"
	}
	return "s3:PutObject"
}
