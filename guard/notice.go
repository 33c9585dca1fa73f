package guard

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"s3gate/policy"
)

// Notice tells of somebody whom a bucket's policy names, and what a lock means
// to them.
type Notice struct {
	// Statement is the one in question: its Sid, or its place such as
	// Statement[2].
	Statement string `json:"statement"`
	// Affected is true if something that works may stop.
	Affected bool `json:"affected"`
	// Text says who it is and what becomes of them.
	Text string `json:"text"`
}

// Notices reads from a bucket's policy who uses the bucket in ways that a lock
// of these options touches, or is often thought to. A policy does not name all
// who use a bucket: see [Refused] for what logs know. Nil means that it names
// none. Text that is no policy has none.
//
// What services do is from the Amazon S3 User Guide ("Identifying Amazon S3
// requests using Amazon S3 access logs", "Website endpoints", "Writing Lambda
// functions for S3 Object Lambda Access Points") and the Amazon CloudFront
// Developer Guide ("Restrict access to an Amazon S3 origin").
func Notices(document []byte, opts policy.LockOptions) []Notice {
	var list []Notice
	outsiders := newOutsiders(opts)
	for _, s := range foreign(document) {
		say := func(affected bool, format string, args ...any) {
			list = append(list, Notice{s.place, affected, fmt.Sprintf(format, args...)})
		}
		s.noticeKeys(say)
		if s.Effect != "Allow" {
			continue
		}
		s.noticeServices(say)
		s.noticeOriginIdentity(say, opts, outsiders)
		s.noticePublic(say, opts, outsiders)
		if s.acts("s3:ReplicateObject") {
			say(false, "lets somebody replicate into the bucket: replication signs in headers and goes on")
		}
		for _, who := range s.people() {
			if outsiders.include(who) {
				say(true, "lets %s in, who becomes an outsider and is refused%s", who, outsiders.but)
			}
		}
	}
	return list
}

type sayer func(affected bool, format string, args ...any)

// aStatement is one statement as leniently read as can be.
type aStatement struct {
	place     string
	Sid       string
	Effect    string
	Principal any
	Action    any
	Condition map[string]map[string]any
}

// foreign are the statements that are not ours.
func foreign(document []byte) (list []aStatement) {
	var doc struct{ Statement json.RawMessage }
	if json.Unmarshal(document, &doc) != nil {
		return nil
	}
	var raw []json.RawMessage
	if json.Unmarshal(doc.Statement, &raw) != nil {
		raw = []json.RawMessage{doc.Statement}
	}
	for i, text := range raw {
		var s aStatement
		if json.Unmarshal(text, &s) != nil || policy.Owned(s.Sid) {
			continue
		}
		if s.place = s.Sid; s.Sid == "" {
			s.place = fmt.Sprintf("Statement[%d]", i)
		}
		list = append(list, s)
	}
	return list
}

// texts are the strings of a value that is one or a list of them.
func texts(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

// principals are those of one type, such as AWS or Service.
func (s *aStatement) principals(kind string) []string {
	if m, ok := s.Principal.(map[string]any); ok {
		return texts(m[kind])
	}
	return nil
}

func (s *aStatement) everybody() bool {
	return s.Principal == "*" || slices.Contains(s.principals("AWS"), "*")
}

// people are the accounts, roles and users that it names.
func (s *aStatement) people() []string {
	return slices.DeleteFunc(s.principals("AWS"), func(p string) bool { return p == "*" || isOriginIdentity(p) })
}

func (s *aStatement) acts(action string) bool {
	return slices.ContainsFunc(texts(s.Action), func(a string) bool { return strings.EqualFold(a, action) })
}

// noticeKeys looks for condition keys that tell of other ways in.
func (s *aStatement) noticeKeys(say sayer) {
	seen := map[string]bool{}
	for _, keys := range s.Condition {
		for key := range keys {
			seen[strings.ToLower(key)] = true
		}
	}
	if s.Effect == "Deny" && (seen["s3:authtype"] || seen["s3:signatureage"]) {
		say(false, "refuses presigned requests already: who is to be exempt has to be so in both")
	}
	if seen["s3:dataaccesspointarn"] || seen["s3:dataaccesspointaccount"] || seen["s3:accesspointnetworkorigin"] {
		say(true, "is for access points: presigned URLs through them stop too, and so do functions of S3 Object Lambda, "+
			"which read the object by a presigned URL of their caller, unless the caller is exempt")
	}
}

// noticeServices names AWS services that act for themselves.
func (s *aStatement) noticeServices(say sayer) {
	for _, name := range s.principals("Service") {
		switch {
		case strings.HasPrefix(name, "cloudfront."):
			say(false, "lets CloudFront in by origin access control, which signs in headers and goes on; "+
				"presigned URLs that are sent to S3 through CloudFront without it stop")
		default:
			say(false, "lets the service %s in, which signs in headers and is no outsider: it goes on", name)
		}
	}
}

func isOriginIdentity(principal string) bool {
	return strings.Contains(principal, ":iam::cloudfront:user/")
}

// noticeOriginIdentity tells of the older way in for CloudFront.
func (s *aStatement) noticeOriginIdentity(say sayer, opts policy.LockOptions, out outsiders) {
	if !slices.ContainsFunc(s.principals("AWS"), isOriginIdentity) && len(s.principals("CanonicalUser")) == 0 {
		return
	}
	const who = "lets in a canonical user or CloudFront's origin access identity"
	switch {
	case out.on:
		say(true, who+", which becomes an outsider and is refused%s: use origin access control", out.but)
	case opts.DenyOldSignatures:
		say(true, who+", of which AWS does not say with which version it signs: look into the access log for SigV2, or keep --allow-old-signatures")
	default:
		say(false, who+", which does not sign in URLs and goes on")
	}
}

// noticePublic tells what becomes of what is open to everybody.
func (s *aStatement) noticePublic(say sayer, opts policy.LockOptions, out outsiders) {
	if !s.everybody() || len(s.Condition) > 0 {
		return
	}
	switch {
	case out.on:
		say(true, "lets everybody in, who become outsiders and are refused%s", out.but)
	case opts.RequireTLS:
		say(true, "lets everybody in, who need no presigned URL and stay so; but plain HTTP stops, "+
			"and S3's website endpoints speak nothing else: use CloudFront, or keep --allow-plain-http")
	default:
		say(false, "lets everybody in, who need no presigned URL: a lock does not close what is public")
	}
}

// outsiders tells who is one under a lock.
type outsiders struct {
	on  bool
	doc *policy.Document
	// object is the ARN of one that is locked.
	object string
	but    string
}

func newOutsiders(opts policy.LockOptions) outsiders {
	statements, err := policy.LockStatements(opts)
	if err != nil {
		return outsiders{}
	}
	i := slices.IndexFunc(statements, func(s policy.Statement) bool { return s.Sid == policy.SidOutsider })
	if i < 0 {
		return outsiders{}
	}
	text, err := policy.Merge(nil, statements[i:i+1])
	if err != nil {
		return outsiders{}
	}
	doc, err := policy.Parse(text)
	if err != nil {
		return outsiders{}
	}
	resources := statements[i].Resource
	o := outsiders{on: true, doc: doc, object: strings.TrimSuffix(resources[len(resources)-1], "*") + "key"}
	if len(opts.OnlyEndpoints) > 0 {
		o.but = ", unless through " + strings.Join(opts.OnlyEndpoints, " or ")
	}
	return o
}

// include reports whether a principal of a statement, an account or an ARN, is
// an outsider.
func (o outsiders) include(principal string) bool {
	who := policy.Principal{ARN: principal}
	if !strings.Contains(principal, ":") {
		who = policy.Principal{Account: principal}
	}
	return o.doc.Evaluate(policy.Request{Action: "s3:GetObject", Resource: o.object, Principal: who}).Effect == policy.Deny
}
