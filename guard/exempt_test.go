package guard_test

import (
	"net/http"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

// Under a lock the exempt go on using presigned URLs and nobody else does, in
// real requests.
func TestTheExemptGoOn(t *testing.T) {
	e := s3gatetest.DevS3(t)
	admin, gate, user := open(t, e, e.Admin()), open(t, e, e.Gate), open(t, e, e.User)
	if err := admin.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	store(t, gate, "file", "hello")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(b *s3client.Bucket) int {
		t.Helper()
		presigned, err := b.PresignGet(t.Context(), "file", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(presigned.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	const ok, no = http.StatusOK, http.StatusForbidden
	for _, tt := range []struct {
		name             string
		set              func(*policy.LockOptions)
		admin, user, its int // the statuses of URLs of the admin, the user and the gate
	}{
		{"nobody", func(*policy.LockOptions) {}, no, no, no},
		{"a user", func(o *policy.LockOptions) { o.ExemptUsers = []string{e.User.Name} }, no, ok, no},
		{"a user by ARN", func(o *policy.LockOptions) { o.ExemptRoles = []string{e.User.ARN()} }, no, ok, no},
		{"a network", func(o *policy.LockOptions) { o.ExemptNetworks = []string{"127.0.0.0/8"} }, ok, ok, ok},
		{"another network", func(o *policy.LockOptions) { o.ExemptNetworks = []string{"192.0.2.0/24"} }, no, no, no},
		{"an endpoint", func(o *policy.LockOptions) { o.ExemptEndpoints = []string{"vpce-1a2b3c4d"} }, no, no, no},
		{"the gate, which signs so", func(o *policy.LockOptions) { o.QuerySigner = e.Gate.ARN() }, no, no, ok},
		{"insiders", func(o *policy.LockOptions) {
			o.Actions, o.OnlyPrincipals = []string{"s3:PutObject"}, []string{e.Gate.ARN()}
		}, no, no, ok},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			tt.set(&o)
			plan, err := guard.Lock(t.Context(), admin, o)
			apply(t, admin, plan, err)
			if a, u, g := get(admin), get(user), get(gate); a != tt.admin || u != tt.user || g != tt.its {
				t.Errorf("admin %d, user %d, gate %d, want %d, %d, %d", a, u, g, tt.admin, tt.user, tt.its)
			}
			// The gate signs in headers whatever the lock.
			store(t, gate, "file", "hello")
		})
	}
}
