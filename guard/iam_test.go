package guard_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"s3gate/guard"
	"s3gate/policy"
)

const kmsKey = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// goldenFile compares with a file of testdata, or writes it.
func goldenFile(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

// The policies that are printed; that they are enough, and the least, a test of
// the gate proves.
func TestGatePolicies(t *testing.T) {
	all := guard.Access{Bucket: "vault", TempPrefix: ".s3gate/", Read: true, Write: true, Verify: true}
	with := func(change func(*guard.Access)) []guard.Access {
		a := all
		change(&a)
		return []guard.Access{a}
	}
	for _, tt := range []struct {
		name    string
		buckets []guard.Access
		logs    []guard.LogAccess
	}{
		{"all", []guard.Access{all}, nil},
		{"prefix", with(func(a *guard.Access) { a.Prefix = "team/" }), nil},
		{"own-below-prefix", with(func(a *guard.Access) { a.Prefix, a.TempPrefix, a.VerifyPrefix = "team/", "team/.s3gate/", "team/" }), nil},
		{"verify-key", with(func(a *guard.Access) { a.Prefix, a.VerifyKey, a.VerifyPolicy = "team/", "canary.txt", true }), nil},
		{"verify-key-of-links", with(func(a *guard.Access) { a.VerifyKey = "canary.txt" }), nil},
		{"read-only-prefix", with(func(a *guard.Access) { a.Prefix, a.Write, a.Verify = "team/", false, false }), nil},
		{"write-only", with(func(a *guard.Access) { a.Read, a.Verify = false, false }), nil},
		{"verify-only", with(func(a *guard.Access) { a.Read, a.Write = false, false }), nil},
		{"kms", with(func(a *guard.Access) { a.KMSKey, a.Region = kmsKey, "eu-central-1" }), nil},
		{"kms-read-only-anywhere", with(func(a *guard.Access) { a.KMSKey, a.Write, a.Verify = kmsKey, false, false }), nil},
		{"two-in-china", []guard.Access{{Bucket: "a", Partition: "aws-cn", Read: true}, {Bucket: "b", Partition: "aws-cn", Read: true}}, nil},
		{"logs", nil, []guard.LogAccess{{Bucket: "logs", Prefix: "vault/", Queue: "arn:aws:sqs:eu-central-1:111122223333:trail"}, {Bucket: "more"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := guard.GatePolicy(tt.buckets, tt.logs)
			if err != nil {
				t.Fatal(err)
			}
			text, err := policy.IdentityPolicy(list)
			if err != nil {
				t.Fatal(err)
			}
			goldenFile(t, "iam-"+tt.name+".golden.json", text)
			var compact bytes.Buffer
			if err := json.Compact(&compact, text); err != nil || compact.Len() != guard.PolicySize(list) {
				t.Errorf("%d characters, counted %d, %v", compact.Len(), guard.PolicySize(list), err)
			}
			var sids []string
			for _, s := range list {
				if len(s.Action) == 0 || slices.Contains(sids, s.Sid) {
					t.Errorf("%+v", s)
				}
				sids = append(sids, s.Sid)
			}
		})
	}
}

func TestGatePolicyRefusesWhatNobodyMeans(t *testing.T) {
	for _, tt := range []struct {
		name   string
		access guard.Access
		want   string
	}{
		{"no bucket", guard.Access{Read: true}, "bucket: is required"},
		{"nothing to do", guard.Access{Bucket: "b"}, "neither reading nor writing"},
		{"wildcard", guard.Access{Bucket: "b", Read: true, Prefix: "a*"}, `prefix: "a*" holds a wildcard`},
		{"variable", guard.Access{Bucket: "b", Write: true, TempPrefix: "${aws:username}/"}, "holds a wildcard or a variable"},
		{"own objects anywhere", guard.Access{Bucket: "b", Write: true}, "is required for uploads"},
		{"an alias of a key", guard.Access{Bucket: "b", Read: true, KMSKey: "arn:aws:kms:eu-central-1:111122223333:alias/x"}, "is not the ARN of a key"},
		{"every key", guard.Access{Bucket: "b", Read: true, KMSKey: "arn:aws:kms:eu-central-1:111122223333:key/*"}, "is not the ARN of a key"},
	} {
		_, err := guard.GatePolicy([]guard.Access{tt.access}, nil)
		if !errors.Is(err, guard.ErrOptions) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, err := guard.KeyPolicy("arn:aws:iam::111122223333:role/s3gate", []guard.Access{tt.access}); !errors.Is(err, guard.ErrOptions) {
			t.Errorf("%s, of the key: %v", tt.name, err)
		}
	}
	if _, err := guard.GatePolicy(nil, nil); !errors.Is(err, guard.ErrOptions) {
		t.Errorf("for nothing: %v", err)
	}
	if _, err := guard.KeyPolicy("s3gate", nil); !errors.Is(err, guard.ErrOptions) {
		t.Errorf("for a name: %v", err)
	}
}

// A key has one statement for all buckets of which the gate does the same.
func TestKeyPolicies(t *testing.T) {
	other := strings.Replace(kmsKey, "1234", "5678", 1)
	var buckets []guard.Access
	for i, key := range []string{kmsKey, kmsKey, other, ""} {
		buckets = append(buckets, guard.Access{Bucket: fmt.Sprint("bucket-", i), Region: "eu-central-1", Read: true, KMSKey: key})
	}
	buckets = append(buckets, guard.Access{Bucket: "in", Region: "eu-central-1", Write: true, TempPrefix: "t/", KMSKey: kmsKey})
	keys, err := guard.KeyPolicy("arn:aws:iam::111122223333:role/s3gate", buckets)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	goldenFile(t, "iam-keys.golden.json", text)
}
