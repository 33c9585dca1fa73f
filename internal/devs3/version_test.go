package devs3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestVersionsHaveTheirOwnActions: a policy about versions does not bind who
// names none, nor the other way round.
func TestVersionsHaveTheirOwnActions(t *testing.T) {
	s := start(t, t.TempDir())
	byAdmin, byAlice := client(t, s.URL, "ADMINKEY"), client(t, s.URL, "ALICEKEY")
	createBucket(t, byAdmin)
	setVersioning(t, byAdmin, types.BucketVersioningStatusEnabled)
	out, err := byAdmin.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	b, key, version := aws.String(bucket), aws.String("k"), out.VersionId
	calls := []struct {
		name, action, resource string
		named, unnamed         func() error
	}{
		{"get", "s3:GetObjectVersion", "/*",
			func() error {
				_, err := byAlice.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: key, VersionId: version})
				return err
			},
			func() error {
				_, err := byAlice.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: key})
				return err
			}},
		{"copy", "s3:GetObjectVersion", "/*",
			func() error {
				_, err := byAlice.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String(bucket + "/k?versionId=" + *version)})
				return err
			},
			func() error {
				_, err := byAlice.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String(bucket + "/k")})
				return err
			}},
		{"tags", "s3:GetObjectVersionTagging", "/*",
			func() error {
				_, err := byAlice.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: b, Key: key, VersionId: version})
				return err
			},
			func() error {
				_, err := byAlice.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: b, Key: key})
				return err
			}},
		{"list", "s3:ListBucketVersions", "",
			func() error {
				_, err := byAlice.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: b})
				return err
			},
			func() error {
				_, err := byAlice.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b})
				return err
			}},
		{"delete many", "s3:DeleteObjectVersion", "/*",
			func() error {
				out, err := byAlice.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key, VersionId: version}}}})
				if err == nil && len(out.Errors) == 1 {
					err = errors.New(*out.Errors[0].Code)
				}
				return err
			},
			func() error {
				out, err := byAlice.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("another")}}}})
				if err == nil && len(out.Errors) > 0 {
					err = errors.New(*out.Errors[0].Code)
				}
				return err
			}},
		{"delete", "s3:DeleteObjectVersion", "/*",
			func() error {
				_, err := byAlice.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key, VersionId: version})
				return err
			},
			func() error {
				_, err := byAlice.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key})
				return err
			}},
	}
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"` + call.action + `","Resource":"arn:aws:s3:::the-bucket` + call.resource + `"}]}`
			if _, err := byAdmin.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: b, Policy: &policy}); err != nil {
				t.Fatal(err)
			}
			if err := call.named(); err == nil {
				t.Error("the version named was not denied")
			}
			if err := call.unnamed(); err != nil {
				t.Errorf("without a version: %v", err)
			}
		})
	}
}

// TestMarkersSayWhatCanBeDone: a delete marker that is named has no content, but
// can be deleted.
func TestMarkersSayWhatCanBeDone(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	setVersioning(t, c, types.BucketVersioningStatusEnabled)
	marker, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(signed(t, "ADMINKEY", "GET", s.URL+"/"+bucket+"/k?versionId="+*marker.VersionId, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "DELETE" || res.Header.Get("Last-Modified") == "" {
		t.Errorf("got %s %v", res.Status, res.Header)
	}
}

// TestConcurrentVersions has writers and deleters of one key race: every write
// that was answered is a version of its own, with its own data.
func TestConcurrentVersions(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	setVersioning(t, c, types.BucketVersioningStatusEnabled)
	written := make([]map[string]string, 4) // version → data, of each writer
	var writers sync.WaitGroup
	for w := range written {
		written[w] = map[string]string{}
		writers.Go(func() {
			for i := range 15 {
				data := fmt.Sprint("writer ", w, " write ", i)
				out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader(data)})
				if err != nil {
					t.Error(err)
					return
				}
				written[w][*out.VersionId] = data
				if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")}); err != nil {
					t.Error(err)
				}
				if _, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String(bucket)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	n := 0
	for _, versions := range written {
		n += len(versions)
		for version, data := range versions {
			out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), VersionId: &version})
			if err != nil {
				t.Errorf("version %s: %v", version, err)
				continue
			}
			got, err := io.ReadAll(out.Body)
			out.Body.Close()
			if err != nil || string(got) != data {
				t.Errorf("version %s: got %q %v, want %q", version, got, err, data)
			}
		}
	}
	list, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String(bucket)})
	if err != nil || len(list.Versions) != n || len(list.DeleteMarkers) != n || n != 60 {
		t.Errorf("%d versions and %d markers are listed, %v, %d were written", len(list.Versions), len(list.DeleteMarkers), err, n)
	}
}
