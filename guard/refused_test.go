package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/guard/accesslog"
	"s3gate/policy"
)

// logged is a line of an access log; what is not set is as in a download that
// went through, signed in its headers.
type logged struct {
	bucket, at, ip, requester, operation, key, status, version, auth, tls string
}

func (l logged) line() string {
	or := func(text, usual string) string {
		if text == "" {
			return usual
		}
		return text
	}
	return fmt.Sprintf("79a5 %s [%s] %s %s R1 %s %s \"GET /vault/x HTTP/1.1\" %s - 1 1 1 1 \"-\" \"curl/8\" - h= %s - %s s3.amazonaws.com %s - -\n",
		or(l.bucket, bucketName), or(l.at, "02/Jan/2026:10:00:00 +0000"), or(l.ip, "192.0.2.7"), or(l.requester, "arn:aws:iam::000000000000:user/path/alice"),
		or(l.operation, "REST.GET.OBJECT"), or(l.key, "a%2520b"), or(l.status, "200"), or(l.version, "SigV4"), or(l.auth, "AuthHeader"), or(l.tls, "TLSv1.3"))
}

func refusals(t *testing.T, o policy.LockOptions, since time.Time, lines ...logged) []guard.Refusal {
	t.Helper()
	r, err := guard.NewRefusals(o, since)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.line())
	}
	s := accesslog.NewScanner(strings.NewReader(text.String()))
	for s.Scan() {
		r.Add(s.Record())
	}
	if s.Err() != nil || s.Stats().Malformed > 0 {
		t.Fatalf("%v, %+v", s.Err(), s.Stats())
	}
	return r.List()
}

func TestRefusals(t *testing.T) {
	const role, query = "arn:aws:sts::000000000000:assumed-role/batch/i-1", "QueryString"
	with := func(set func(*policy.LockOptions)) policy.LockOptions {
		o := options()
		set(&o)
		return o
	}
	full := with(func(o *policy.LockOptions) { o.RequireTLS = true })
	exempt := with(func(o *policy.LockOptions) {
		o.ExemptUsers, o.ExemptRoles = []string{"alice"}, []string{"arn:aws:iam::000000000000:role/batch"}
		o.ExemptNetworks = []string{"198.51.100.0/24", "10.0.0.0/8"}
	})
	only := with(func(o *policy.LockOptions) { o.OnlyPrincipals = []string{"arn:aws:iam::000000000000:role/batch"} })
	reads := with(func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject"} })
	part := with(func(o *policy.LockOptions) { o.Prefix = "a b" })
	china := with(func(o *policy.LockOptions) { o.Partition = "aws-cn" })
	for _, tt := range []struct {
		name    string
		options policy.LockOptions
		line    logged
		want    string // the Sid; empty for not refused
	}{
		{"signed in headers", full, logged{}, ""},
		{"signed in the URL", full, logged{auth: query}, policy.SidPresigned},
		{"signed in the URL, not modified", full, logged{auth: query, status: "304"}, policy.SidPresigned},
		{"refused already", full, logged{auth: query, status: "403"}, ""},
		{"failed", full, logged{auth: query, status: "500"}, ""},
		{"not answered", full, logged{auth: query, status: "-"}, ""},
		{"of another bucket", full, logged{auth: query, bucket: "other"}, ""},
		{"a form", full, logged{auth: "-", version: "-", operation: "REST.POST.OBJECT"}, policy.SidPresigned},
		{"nobody's", full, logged{auth: "-", version: "-", requester: "-"}, ""},
		{"a listing by URL", full, logged{auth: query, operation: "REST.GET.BUCKET", key: "-"}, policy.SidPresignedList},
		{"versions by URL", full, logged{auth: query, operation: "REST.GET.BUCKETVERSIONS", key: "-"}, policy.SidPresignedList},
		{"uploads by URL", full, logged{auth: query, operation: "REST.GET.UPLOADS", key: "-"}, policy.SidPresignedList},
		{"a setting by URL", full, logged{auth: query, operation: "REST.GET.LOCATION", key: "-"}, ""},
		{"many deleted by URL", full, logged{auth: query, operation: "REST.POST.MULTI_OBJECT_DELETE", key: "-"}, policy.SidPresigned},
		{"the policy over plain HTTP", full, logged{operation: "REST.GET.BUCKETPOLICY", key: "-", tls: "-"}, ""},
		{"the policy written with an old signature", full, logged{operation: "REST.PUT.BUCKETPOLICY", key: "-", version: "SigV2"}, ""},
		{"the policy deleted with an old signature", full, logged{operation: "REST.DELETE.BUCKETPOLICY", key: "-", version: "SigV2"}, ""},
		{"plain HTTP", full, logged{tls: "-"}, policy.SidPlainHTTP},
		{"an old signature", full, logged{version: "SigV2"}, policy.SidOldSignature},
		{"S3 itself", full, logged{operation: "S3.EXPIRE.OBJECT", requester: "AmazonS3", version: "-", auth: "-", tls: "-"}, ""},
		{"an exempt user", exempt, logged{auth: query}, ""},
		{"an exempt role", exempt, logged{auth: query, requester: role}, ""},
		{"somebody not exempt", exempt, logged{auth: query, requester: "arn:aws:iam::000000000000:user/bob"}, policy.SidPresigned},
		{"an exempt network", exempt, logged{auth: query, ip: "198.51.100.1", requester: "79a5"}, ""},
		{"a private address, as of a VPC endpoint", exempt, logged{auth: query, ip: "10.0.0.1", requester: "79a5"}, policy.SidPresigned},
		{"an insider", only, logged{requester: role}, ""},
		{"an outsider", only, logged{}, policy.SidOutsider},
		{"nobody is an outsider", only, logged{requester: "-", version: "-", auth: "-"}, policy.SidOutsider},
		{"a service is none", only, logged{requester: "svc:s3.amazonaws.com"}, ""},
		{"reads are locked", reads, logged{auth: query, operation: "REST.HEAD.OBJECT"}, policy.SidPresigned},
		{"writes are not", reads, logged{auth: query, operation: "REST.PUT.OBJECT"}, ""},
		{"a copy is read", reads, logged{auth: query, operation: "REST.COPY.OBJECT_GET"}, policy.SidPresigned},
		{"deleting is not reading", reads, logged{auth: query, operation: "REST.DELETE.OBJECT"}, ""},
		{"under the prefix", part, logged{auth: query}, policy.SidPresigned},
		{"beside the prefix", part, logged{auth: query, key: "b"}, ""},
		{"in another partition", china, logged{auth: query}, policy.SidPresigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := refusals(t, tt.options, time.Time{}, tt.line)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || got[0].Sid != tt.want) {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	url := func(requester, at, key string) logged {
		return logged{requester: requester, at: at, key: key, auth: "QueryString"}
	}
	got := refusals(t, options(), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		url("arn:a", "01/Jan/2026:23:59:59 +0000", "long-ago"),
		url("arn:a", "02/Jan/2026:10:00:00 +0000", "a1"),
		url("arn:b", "02/Jan/2026:12:00:00 +0000", "b2"),
		url("arn:b", "02/Jan/2026:11:00:00 +0000", "b1"),
		url("-", "02/Jan/2026:11:00:00 +0000", "c"),
	)
	if len(got) != 3 {
		t.Fatalf("%d callers, want 3: %+v", len(got), got)
	}
	b := got[0]
	if b.Who != "arn:b" || b.Requests != 2 || b.Key != "b2" || b.First.Hour() != 11 || b.Last.Hour() != 12 || b.How != "query" || b.From != "192.0.2.7" || b.Operation != "REST.GET.OBJECT" {
		t.Errorf("got %+v", b)
	}
	if got[1].Who != "anonymous" || got[2].Who != "arn:a" || got[2].Requests != 1 || got[2].Key != "a1" {
		t.Errorf("got %+v", got[1:])
	}
}

// However many callers a log has, memory is bounded and none is left out.
func TestRefusalsOfManyCallers(t *testing.T) {
	const callers = 10_050
	lines := make([]logged, callers)
	for i := range lines {
		lines[i] = logged{requester: fmt.Sprintf("arn:%d", i), auth: "QueryString"}
	}
	got := refusals(t, options(), time.Time{}, lines...)
	var requests int64
	for _, r := range got {
		requests += r.Requests
	}
	if len(got) > 10_001 || requests != callers || got[0].Who != "others" {
		t.Errorf("%d callers, %d requests, the first %+v", len(got), requests, got[0])
	}
}

func TestRefusalsNeedALock(t *testing.T) {
	if r, err := guard.NewRefusals(policy.LockOptions{}, time.Time{}); err == nil {
		t.Errorf("got %v", r)
	}
}
