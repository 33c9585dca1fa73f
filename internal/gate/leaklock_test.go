package gate_test

import (
	"slices"
	"strings"
	"testing"

	"s3gate/client"
	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/policy"
)

// putLock gives the world's bucket the policy of a lock.
func (w *world) putLock(change func(*policy.LockOptions)) {
	w.t.Helper()
	o := policy.LockOptions{Bucket: bucketName}
	change(&o)
	plan, err := guard.Lock(w.t.Context(), w.bucket, o)
	if err == nil {
		err = plan.Apply(w.t.Context(), w.bucket)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) policyText() string {
	w.t.Helper()
	text, err := w.bucket.Policy(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// lockOnLeak has a gate verify its bucket, and lock it for whatever leaks.
func (w *world) lockOnLeak(change func(*config.Bucket)) func(*config.Config) {
	return func(c *config.Config) {
		w.watchLogs(map[string]config.LeakAction{"all": {Do: []string{"lock"}}})(c)
		b := c.Buckets["docs"]
		b.Verify = true
		if change != nil {
			change(&b)
		}
		c.Buckets["docs"] = b
	}
}

// taken waits until something was done about the only leak, and returns its error.
func (g *testGate) taken() (text string) {
	g.t.Helper()
	eventually(g.t, "the leak says what was done", func() bool {
		list, err := g.api.Leaks(g.t.Context(), client.LeakQuery{})
		if err != nil || len(list) != 1 || len(list[0].Taken) != 1 {
			return false
		}
		text = list[0].Taken[0].Error
		return true
	})
	return text
}

// The watch's lock is the full one. It makes nothing weaker, keeps whom somebody
// has exempted, and takes for a lock only what refuses as much.
func TestTheLockForALeak(t *testing.T) {
	admin := "arn:aws:iam::000000000000:user/admin"
	for _, tt := range []struct {
		name     string
		there    func(*policy.LockOptions)
		document string
		bucket   func(*config.Bucket)
		error    string
		has      []string // of the policy afterwards
	}{
		{name: "its name in somebody's statement",
			document: `{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::gate-test/x","Condition":{"StringEquals":{"aws:UserAgent":"S3GateDenyPresigned"}}}]}`,
			has:      []string{`"S3GateDenyPresigned"`, `"x"`}},
		{name: "a part, somebody exempt, outsiders and an age",
			there: func(o *policy.LockOptions) {
				o.Prefix, o.ExemptUsers, o.MaxURLAge, o.Accounts = "private/", []string{"legacy"}, 60e9, []string{"000000000000"}
			},
			has: []string{`"arn:aws:s3:::gate-test/*"`, `"legacy"`, "S3GateDenyStaleURL", "S3GateDenyOutsider", "S3GateDenyPresignedListing"}},
		{name: "some actions", there: func(o *policy.LockOptions) { o.Actions = []string{"s3:GetObject"} }, has: []string{`"s3:*"`}},
		{name: "a full lock but for some",
			there: func(o *policy.LockOptions) {
				o.ExemptUsers, o.ExemptRoles, o.ExemptNetworks, o.ExemptEndpoints = []string{"legacy"}, []string{"arn:aws:iam::000000000000:role/r"}, []string{"192.0.2.0/24"}, []string{"vpce-1a2b3c4d"}
			},
			error: "has a lock"},
		{name: "the part that the settings say", there: func(o *policy.LockOptions) { o.Prefix = "private/" },
			bucket: func(b *config.Bucket) { b.VerifyPrefix = "private/" }, error: "has a lock"},
		{name: "a gate that signs in the query",
			bucket: func(b *config.Bucket) { b.Signing, b.Principal = "query", admin },
			has:    []string{"S3GateDenyGateForm", "S3GateDenyGateStaleURL", `"ArnNotLike"`}},
		{name: "a gate that signs in the query and is nobody", bucket: func(b *config.Bucket) { b.Signing = "query" }, error: "principal: is required"},
		{name: "ours of another form",
			document: `{"Version":"2012-10-17","Statement":[{"Sid":"S3GateDenyPresigned","Effect":"Deny","Principal":"*","NotAction":"s3:PutObject","Resource":"arn:aws:s3:::gate-test/private/*"}]}`,
			error:    "would refuse less: S3GateDenyPresigned"},
		{name: "a bucket that is not verified", bucket: func(b *config.Bucket) { b.Verify = false },
			error: "was written, and was not tried: buckets.docs.verify is false", has: []string{"S3GateDenyPresigned"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newEmbedded(t)
			logs := w.withLogs()
			if tt.there != nil {
				w.putLock(tt.there)
			}
			if tt.document != "" {
				if err := w.bucket.PutPolicy(t.Context(), []byte(tt.document)); err != nil {
					t.Fatal(err)
				}
			}
			before := w.policyText()
			g := w.gate(w.lockOnLeak(tt.bucket))
			w.deliverLog(logs, "A", "a", 403)
			got, after := g.taken(), w.policyText()
			if (tt.error == "") != (got == "") || !strings.Contains(got, tt.error) {
				t.Errorf("done with %q, want %q", got, tt.error)
			}
			if len(tt.has) == 0 && after != before {
				t.Errorf("the policy was %s\nand is %s", before, after)
			}
			for _, want := range tt.has {
				if !strings.Contains(after, want) {
					t.Errorf("the policy lacks %s: %s", want, after)
				}
			}
			if locked := g.told("s3gate.bucket.locked.v1"); tt.error == "" && len(locked) != 1 || tt.error != "" && tt.error != "has a lock" && len(locked) > 0 {
				t.Errorf("told %v", locked)
			}
		})
	}
}

// A policy that was written and does not hold is not told as a lock, neither there
// nor by the rounds.
func TestALockForALeakThatDoesNotHold(t *testing.T) {
	w := newEmbedded(t)
	logs := w.withLogs()
	w.putLock(func(o *policy.LockOptions) {
		o.Prefix, o.ExemptRoles = "private/", []string{"arn:aws:iam::000000000000:user/admin"} // whose keys the gate has
	})
	g := w.gate(w.lockOnLeak(nil))
	w.deliverLog(logs, "A", "a", 403)
	if got := g.taken(); !strings.Contains(got, "the bucket is NOT locked") {
		t.Errorf("done with %q", got)
	}
	if locked := g.told("s3gate.bucket.locked.v1"); len(locked) > 0 {
		t.Errorf("told %v", locked)
	}
	if list, err := g.api.Buckets(t.Context()); err != nil || slices.ContainsFunc(list, func(b client.BucketStatus) bool { return b.State != "unlocked" }) {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestLockOptionsOfSettings(t *testing.T) {
	const arn = "arn:aws-cn:iam::111122223333:role/gate"
	for _, tt := range []struct {
		bucket config.Bucket
		region string
		secure bool
		want   policy.LockOptions
	}{
		{config.Bucket{Name: "b", Principal: arn}, "", true, policy.LockOptions{Bucket: "b", Partition: "aws", RequireTLS: true, DenyOldSignatures: true}},
		{config.Bucket{Name: "b", Principal: arn, Signing: "query"}, "cn-north-1", false,
			policy.LockOptions{Bucket: "b", Partition: "aws-cn", QuerySigner: arn, DenyOldSignatures: true}},
	} {
		got, err := gate.LockOptions(tt.bucket, tt.region, tt.secure)
		if err != nil || got.Partition != tt.want.Partition || got.QuerySigner != tt.want.QuerySigner || got.RequireTLS != tt.want.RequireTLS ||
			got.Bucket != tt.want.Bucket || got.DenyOldSignatures != tt.want.DenyOldSignatures || got.Exemptions() == nil != (tt.want.QuerySigner == "") {
			t.Errorf("%+v, %v\nwant %+v", got, err, tt.want)
		}
	}
}
