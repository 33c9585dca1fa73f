package s3gatetest

import (
	"testing"

	"s3gate/internal/devs3"
)

// Endpoint is an S3 to test against. It is path-style and speaks plain HTTP.
type Endpoint struct {
	URL    string // such as http://127.0.0.1:40123
	Region string
	// AccessKey and Secret are an administrator's: they may create buckets.
	AccessKey, Secret string
	// User and Gate are others whom bucket policies can tell apart: somebody,
	// and the gate itself. Only devs3 has them.
	User, Gate Identity
}

// Identity is a user of an endpoint. The zero Identity is none.
type Identity struct {
	AccessKey, Secret string
	Name              string // aws:username
}

// ARN is the name that policies know the identity by.
func (i Identity) ARN() string { return "arn:aws:iam::" + devs3.Account + ":user/" + i.Name }

// Admin is the identity of AccessKey and Secret.
func (e *Endpoint) Admin() Identity {
	return Identity{AccessKey: e.AccessKey, Secret: e.Secret, Name: "admin"}
}

// DevS3 starts the project's own S3 for the test, with an empty directory.
func DevS3(t testing.TB) *Endpoint {
	t.Helper()
	e := &Endpoint{
		Region:    "us-east-1",
		AccessKey: "DEVS3ADMIN0000000001",
		Secret:    "devs3-admin-secret",
		User:      Identity{"DEVS3USER00000000001", "devs3-user-secret", "alice"},
		Gate:      Identity{"DEVS3GATE00000000001", "devs3-gate-secret", "s3gate"},
	}
	s, err := devs3.Start(devs3.Config{Dir: t.TempDir(), Region: e.Region, Users: e.DevUsers()}, "127.0.0.1:0")
	if err != nil {
		t.Fatalf("starting devs3: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing devs3: %v", err)
		}
	})
	e.URL = s.URL
	return e
}

// DevUsers are the endpoint's identities as devs3 is configured with them.
func (e *Endpoint) DevUsers() map[string]devs3.User {
	return map[string]devs3.User{
		e.AccessKey:      {Secret: e.Secret, Name: e.Admin().Name, Admin: true},
		e.User.AccessKey: {Secret: e.User.Secret, Name: e.User.Name},
		e.Gate.AccessKey: {Secret: e.Gate.Secret, Name: e.Gate.Name},
	}
}
