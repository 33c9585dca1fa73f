package s3client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"s3gate/s3client"
)

var update = flag.Bool("update", false, "write the golden requests anew")

// wrote remembers what a request that writes a setting is made of.
type wrote struct{ t *testing.T }

func (s wrote) handler(into *string, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := verify(r, secretKey); err != nil {
			s.t.Error(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.t.Error(err)
		}
		// Which checksum is the SDK's choice; that there is one, S3 demands.
		sum := r.Header.Get("Content-Md5") + r.Header.Get("X-Amz-Checksum-Crc32")
		if r.Method == http.MethodPut && sum == "" {
			s.t.Error("the body has no checksum")
		}
		*into = fmt.Sprintf("%s %s\n\n%s\n", r.Method, r.URL.RequestURI(), strings.ReplaceAll(string(body), "><", ">\n<"))
		if min := r.Header.Get("X-Amz-Transition-Default-Minimum-Object-Size"); min != "" {
			*into = strings.Replace(*into, "\n\n", "\nX-Amz-Transition-Default-Minimum-Object-Size: "+min+"\n\n", 1)
		}
		io.WriteString(w, answer)
	}
}

// Each setting is written in the form that the Amazon S3 API Reference gives for
// it.
func TestSettingsAreWrittenAsDocumented(t *testing.T) {
	for _, tt := range []struct {
		name string
		put  func(context.Context, *s3client.Bucket) error
	}{
		{"public-access-block", func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutPublicAccessBlock(ctx, s3client.PublicAccessBlock{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true})
		}},
		{"ownership", func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutOwnership(ctx, s3client.OwnerEnforced)
		}},
		{"encryption-s3", func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutEncryption(ctx, s3client.Encryption{Algorithm: "AES256"})
		}},
		{"encryption-kms", func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutEncryption(ctx, s3client.Encryption{Algorithm: "aws:kms", KMSKey: "arn:aws:kms:eu-central-1:111122223333:key/k", BucketKey: true, Blocked: []string{"SSE-C"}})
		}},
		{"versioning", func(ctx context.Context, b *s3client.Bucket) error { return b.EnableVersioning(ctx) }},
		{"logging", func(ctx context.Context, b *s3client.Bucket) error {
			return b.PutLogging(ctx, s3client.Logging{Bucket: "logs", Prefix: "vault/"})
		}},
		{"lifecycle", func(ctx context.Context, b *s3client.Bucket) error {
			l := (&s3client.Lifecycle{}).With(s3client.LifecycleRule{ID: "parts <7>", Enabled: true, AbortDays: 7})
			return b.PutLifecycle(ctx, l.With(s3client.LifecycleRule{ID: "old", Enabled: true, NoncurrentDays: 30}))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			b := newStub(t, wrote{t}.handler(&got, "")).open(t, nil)
			if err := tt.put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "settings", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

// reading are the calls that read a setting.
var reading = map[string]func(context.Context, *s3client.Bucket) (any, error){
	"publicAccessBlock": func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.PublicAccessBlock(ctx) },
	"policyStatus":      func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.PolicyIsPublic(ctx) },
	"ownershipControls": func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.Ownership(ctx) },
	"acl":               func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.Grants(ctx) },
	"encryption":        func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.Encryption(ctx) },
	"versioning":        func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.Versioning(ctx) },
	"object-lock":       func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.ObjectLock(ctx) },
	"logging":           func(ctx context.Context, b *s3client.Bucket) (any, error) { return b.Logging(ctx) },
	"lifecycle": func(ctx context.Context, b *s3client.Bucket) (any, error) {
		l, err := b.Lifecycle(ctx)
		if err != nil {
			return nil, err
		}
		return l.Rules(), nil
	},
}

// answering answers every request for one subresource with the same.
func answering(t *testing.T, subresource string, status int, body string) *s3client.Bucket {
	t.Helper()
	return newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !r.URL.Query().Has(subresource) {
			t.Errorf("asked for %s %s, not for ?%s", r.Method, r.URL.RequestURI(), subresource)
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}).open(t, nil)
}

func failed(code string) string {
	return "<Error><Code>" + code + "</Code><Message>m</Message></Error>"
}

const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

func TestSettingsAreRead(t *testing.T) {
	for _, tt := range []struct {
		name, subresource string
		status            int
		body              string
		want              any
	}{
		{"no block", "publicAccessBlock", 404, failed("NoSuchPublicAccessBlockConfiguration"), (*s3client.PublicAccessBlock)(nil)},
		{"half a block", "publicAccessBlock", 200, `<PublicAccessBlockConfiguration` + ns + `><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
			&s3client.PublicAccessBlock{BlockACLs: true, BlockPolicy: true}},
		{"the other half", "publicAccessBlock", 200, `<PublicAccessBlockConfiguration` + ns + `><IgnorePublicAcls>true</IgnorePublicAcls><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
			&s3client.PublicAccessBlock{IgnoreACLs: true, RestrictPolicy: true}},
		{"a public policy", "policyStatus", 200, `<PolicyStatus` + ns + `><IsPublic>true</IsPublic></PolicyStatus>`, true},
		{"a policy that is not", "policyStatus", 200, `<PolicyStatus` + ns + `><IsPublic>false</IsPublic></PolicyStatus>`, false},
		{"no policy", "policyStatus", 404, failed("NoSuchBucketPolicy"), false},
		{"no ownership", "ownershipControls", 404, failed("OwnershipControlsNotFoundError"), ""},
		{"owner enforced", "ownershipControls", 200, `<OwnershipControls` + ns + `><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`, s3client.OwnerEnforced},
		{"only the owner", "acl", 200, acl(`<Grantee xmlns:xsi="x" xsi:type="CanonicalUser"><ID>me</ID></Grantee><Permission>FULL_CONTROL</Permission>`), []s3client.Grant(nil)},
		{"grants", "acl", 200, acl(`<Grantee xmlns:xsi="x" xsi:type="CanonicalUser"><ID>you</ID></Grantee><Permission>READ</Permission>`,
			`<Grantee xmlns:xsi="x" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>WRITE</Permission>`),
			[]s3client.Grant{{Grantee: "you", Permission: "READ"}, {Grantee: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "WRITE"}}},
		{"no encryption", "encryption", 404, failed("ServerSideEncryptionConfigurationNotFoundError"), (*s3client.Encryption)(nil)},
		{"SSE-S3", "encryption", 200, sse(`<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled>`),
			&s3client.Encryption{Algorithm: "AES256"}},
		{"SSE-KMS", "encryption", 200, sse(`<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>`),
			&s3client.Encryption{Algorithm: "aws:kms", KMSKey: "k", BucketKey: true, Blocked: []string{"SSE-C"}}},
		{"never versioned", "versioning", 200, `<VersioningConfiguration` + ns + `/>`, ""},
		{"versioned", "versioning", 200, `<VersioningConfiguration` + ns + `><Status>Enabled</Status></VersioningConfiguration>`, s3client.VersioningEnabled},
		{"suspended", "versioning", 200, `<VersioningConfiguration` + ns + `><Status>Suspended</Status></VersioningConfiguration>`, s3client.VersioningSuspended},
		{"no object lock", "object-lock", 404, failed("ObjectLockConfigurationNotFoundError"), (*s3client.ObjectLock)(nil)},
		{"an object lock", "object-lock", 200, `<ObjectLockConfiguration` + ns + `><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>`,
			&s3client.ObjectLock{Mode: "GOVERNANCE", Days: 3}},
		{"no log", "logging", 200, `<BucketLoggingStatus` + ns + `/>`, (*s3client.Logging)(nil)},
		{"a log", "logging", 200, `<BucketLoggingStatus` + ns + `><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>v/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>`,
			&s3client.Logging{Bucket: "logs", Prefix: "v/"}},
		{"no rules", "lifecycle", 404, failed("NoSuchLifecycleConfiguration"), []s3client.LifecycleRule{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := answering(t, tt.subresource, tt.status, tt.body)
			got, err := reading[tt.subresource](t.Context(), b)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, %v, want %#v", got, err, tt.want)
			}
		})
	}
}

func acl(grants ...string) string {
	return `<AccessControlPolicy` + ns + `><Owner><ID>me</ID></Owner><AccessControlList><Grant>` +
		strings.Join(grants, "</Grant><Grant>") + `</Grant></AccessControlList></AccessControlPolicy>`
}

func sse(rule string) string {
	return `<ServerSideEncryptionConfiguration` + ns + `><Rule>` + rule + `</Rule></ServerSideEncryptionConfiguration>`
}

// Not set, not permitted and not supported are told apart, for each setting.
func TestRefusedSettingsSayWhy(t *testing.T) {
	listing := `<ListBucketResult` + ns + `><Name>bucket</Name><MaxKeys>1000</MaxKeys></ListBucketResult>`
	for subresource, read := range reading {
		for _, tt := range []struct {
			name   string
			status int
			body   string
			want   error // nil: an error of neither kind
		}{
			{"forbidden", 403, failed("AccessDenied"), s3client.ErrForbidden},
			{"forbidden by a proxy", 403, "<html>", s3client.ErrForbidden},
			{"not implemented", 501, failed("NotImplemented"), s3client.ErrUnsupported},
			{"not implemented, oddly", 400, failed("NotImplemented"), s3client.ErrUnsupported},
			{"no such method", 405, failed("MethodNotAllowed"), s3client.ErrUnsupported},
			{"no bucket", 404, failed("NoSuchBucket"), nil},
			{"broken", 400, failed("InvalidRequest"), nil},
			{"another document", 200, listing, s3client.ErrUnsupported},
		} {
			if tt.status == 200 && (subresource == "versioning" || subresource == "logging" || subresource == "acl") {
				continue // an empty answer is a good one: nothing is set
			}
			t.Run(subresource+" "+tt.name, func(t *testing.T) {
				_, err := read(t.Context(), answering(t, subresource, tt.status, tt.body))
				if err == nil {
					t.Fatal("no error")
				}
				for _, kind := range []error{s3client.ErrForbidden, s3client.ErrUnsupported} {
					if errors.Is(err, kind) != (kind == tt.want) {
						t.Errorf("%v: is %q: %v", err, kind, errors.Is(err, kind))
					}
				}
			})
		}
	}
}

// What S3 says when grants are in the way is recognized.
func TestOwnershipIsRefusedBecauseOfGrants(t *testing.T) {
	for code, want := range map[string]bool{"InvalidBucketAclWithObjectOwnership": true, "InvalidRequest": false} {
		b := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, failed(code))
		}).open(t, nil)
		if err := b.PutOwnership(t.Context(), s3client.OwnerEnforced); err == nil || s3client.IsGrantsConflict(err) != want {
			t.Errorf("%s: %v", code, err)
		}
	}
}
