package s3client_test

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"s3gate/s3client"
)

// theirRules are as S3, its older API, and MinIO write them.
const (
	theirRule  = "<Rule>\n  <ID>archive</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status>\n  <Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>"
	theirAbort = `<Rule><ID>clean &amp; tidy</ID><Filter></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`
	oldRule    = `<Rule><ID>old</ID><Prefix>logs/</Prefix><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>`
	minioRule  = `<Rule><ID>m</ID><Filter/><Status>Enabled</Status><DelMarkerExpiration><Days>5</Days></DelMarkerExpiration><NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration></Rule>`
	ourRule    = `<Rule><ID>ours</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`
	ourOldRule = `<Rule><ID>ours</ID><Prefix></Prefix><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`
	ourStale   = `<Rule><ID>ours</ID><Status>Disabled</Status><Filter><Prefix>x</Prefix></Filter></Rule>`
	head       = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	tail       = `</LifecycleConfiguration>`
)

// A rule is merged by its ID, and every byte of others stays as it was, what no
// program knows included.
func TestLifecycleRulesAreMergedByID(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"beside others", head + theirRule + "\n" + theirAbort + tail, head + theirRule + "\n" + theirAbort + ourRule + tail},
		{"in its place", head + theirRule + ourStale + theirAbort + tail, head + theirRule + ourRule + theirAbort + tail},
		{"the same again", head + ourRule + theirRule + tail, head + ourRule + theirRule + tail},
		{"of the older form", head + oldRule + tail, head + oldRule + ourOldRule + tail},
		{"of another store", head + minioRule + "<ExpiryUpdatedAt>2026-01-01T00:00:00Z</ExpiryUpdatedAt>" + tail, head + minioRule + ourRule + "<ExpiryUpdatedAt>2026-01-01T00:00:00Z</ExpiryUpdatedAt>" + tail},
		{"without rules", head + tail, `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + ourRule + tail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent, minimum string
			b := newStub(t, func(w http.ResponseWriter, r *http.Request) {
				const header = "X-Amz-Transition-Default-Minimum-Object-Size"
				if r.Method == http.MethodPut {
					raw, _ := io.ReadAll(r.Body)
					sent, minimum = string(raw), r.Header.Get(header)
					return
				}
				w.Header().Set(header, "varies_by_storage_class")
				io.WriteString(w, tt.before)
			}).open(t, nil)
			l, err := b.Lifecycle(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = b.PutLifecycle(t.Context(), l.With(s3client.LifecycleRule{ID: "ours", Enabled: true, Everything: true, AbortDays: 7}))
			if err != nil {
				t.Fatal(err)
			}
			if sent != tt.after {
				t.Errorf("sent\n%s\nwant\n%s", sent, tt.after)
			}
			if minimum != "varies_by_storage_class" {
				t.Errorf("small objects: %q is not what it was", minimum)
			}
		})
	}
}

func TestLifecycleRulesAreUnderstood(t *testing.T) {
	b := answering(t, "lifecycle", 200, head+theirRule+theirAbort+oldRule+minioRule+
		`<Rule><ID>sized</ID><Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter><Status>Enabled</Status></Rule>`+
		`<Rule><ID>tagged</ID><Filter><Tag><Key>k</Key></Tag></Filter><Status>Enabled</Status></Rule>`+
		`<Rule><ID>some stay</ID><Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>`+tail)
	l, err := b.Lifecycle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []s3client.LifecycleRule{
		{ID: "archive", Enabled: true},
		{ID: "clean & tidy", Enabled: true, Everything: true, AbortDays: 3},
		{ID: "old"},
		{ID: "m", Enabled: true, Everything: true, NoncurrentDays: 9},
		{ID: "sized", Enabled: true},
		{ID: "tagged", Enabled: true},
		{ID: "some stay", Enabled: true, Everything: true},
	}
	if got := l.Rules(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func FuzzLifecycle(f *testing.F) {
	for _, s := range []string{head + theirRule + oldRule + tail, head + minioRule + tail, head + tail, "<LifecycleConfiguration/>", "<Rule/>", head + "<Rule><Rule/></Rule>" + tail} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := open(t, s3client.Config{Name: "bucket", Endpoint: "http://s3.example", Credentials: static, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return respond(r, 200, text), nil
		})})
		l, err := b.Lifecycle(t.Context())
		if err != nil {
			return
		}
		rule := s3client.LifecycleRule{ID: "ours", Enabled: true, Everything: true, AbortDays: 7}
		for _, r := range l.With(rule).Rules() {
			if r == rule {
				return
			}
		}
		t.Errorf("the rule is not in\n%s", strings.ToValidUTF8(text, "?"))
	})
}
