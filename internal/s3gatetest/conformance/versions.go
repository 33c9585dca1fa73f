package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// versioned returns the suite with another bucket, in the given state.
func (s *suite) versioned(t *testing.T, name string, state types.BucketVersioningStatus) *suite {
	t.Helper()
	v := *s
	v.bucket = name
	if _, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.destroy(t) })
	if state != "" {
		v.setVersioning(t, state)
	}
	return &v
}

func (s *suite) setVersioning(t *testing.T, state types.BucketVersioningStatus) {
	t.Helper()
	_, err := s.s3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &s.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: state}})
	if err != nil {
		t.Fatalf("PutBucketVersioning: %v", err)
	}
}

// destroy deletes all versions in the suite's bucket, and the bucket.
func (s *suite) destroy(t *testing.T) {
	t.Helper()
	ctx := s.background(t)
	list, err := s.s3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &s.bucket})
	if err != nil {
		t.Errorf("ListObjectVersions: %v", err)
		return
	}
	var ids []types.ObjectIdentifier
	for _, v := range list.Versions {
		ids = append(ids, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
	}
	for _, m := range list.DeleteMarkers {
		ids = append(ids, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
	}
	if len(ids) > 0 {
		out, err := s.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: ids}})
		if err != nil || len(out.Deleted) != len(ids) {
			t.Errorf("deleting %d versions: %+v %v", len(ids), out, err)
		}
	}
	if _, err := s.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &s.bucket}); err != nil {
		t.Errorf("DeleteBucket: %v", err)
	}
}

// store puts an object and returns the ID of its version.
func (s *suite) store(t *testing.T, key, data string) string {
	t.Helper()
	return s.put(t, key, data).header.Get("X-Amz-Version-Id")
}

func (s *suite) versioningState(t *testing.T) {
	v := s.versioned(t, "versioning-state", "")
	state := func() types.BucketVersioningStatus {
		t.Helper()
		out, err := s.s3.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: &v.bucket})
		if err != nil {
			t.Fatal(err)
		}
		return out.Status
	}
	if got := state(); got != "" {
		t.Errorf("a new bucket is %q", got)
	}
	if id := v.store(t, "k", "x"); id != "" {
		t.Errorf("without versioning a PUT has version %q", id)
	}
	for _, want := range []types.BucketVersioningStatus{types.BucketVersioningStatusEnabled, types.BucketVersioningStatusSuspended, types.BucketVersioningStatusEnabled} {
		v.setVersioning(t, want)
		if got := state(); got != want {
			t.Errorf("the bucket is %q, want %q", got, want)
		}
	}
	if a := v.do(t, request{key: "k", query: "versionId=null"}); a.status != 200 || a.body != "x" || a.header.Get("X-Amz-Version-Id") != s.nullVersion() {
		t.Errorf("the version from before: got %v %v", a, a.header)
	}
}

func (s *suite) versions(t *testing.T) {
	v := s.versioned(t, "versions", types.BucketVersioningStatusEnabled)
	one, two := v.store(t, "k", "one"), v.store(t, "k", "two")
	if one == "" || two == "" || one == two {
		t.Fatalf("two PUTs have the versions %q and %q", one, two)
	}
	v.wantVersion(t, "k", "", two, "two")
	v.wantVersion(t, "k", one, one, "one")
	v.wantVersion(t, "k", two, two, "two")
	if a := v.do(t, request{method: "HEAD", key: "k", query: "versionId=" + one}); a.status != 200 || a.header.Get("Content-Length") != "3" || a.header.Get("X-Amz-Version-Id") != one {
		t.Errorf("HEAD of a version: got %v %v", a, a.header)
	}
	want(t, "a range of a version", v.do(t, request{key: "k", query: "versionId=" + one, header: map[string]string{"Range": "bytes=1-"}}), 206)
	want(t, "If-Match of another version", v.do(t, request{key: "k", query: "versionId=" + one, header: map[string]string{"If-Match": v.do(t, request{method: "HEAD", key: "k"}).header.Get("ETag")}}), 412)
	want(t, "If-None-Match: * of what is there", v.do(t, request{method: "PUT", key: "k", body: strings.NewReader("x"), header: map[string]string{"If-None-Match": "*"}}), 412)
	want(t, "the null version of a key without", v.do(t, request{key: "k", query: "versionId=null"}), 404, "NoSuchVersion")
	want(t, "no ID", v.do(t, request{key: "k", query: "versionId=abc"}), 400, "InvalidArgument")
	if s.caps.VersionDetails {
		want(t, "a PUT to a version", v.do(t, request{method: "PUT", key: "k", query: "versionId=" + one, body: strings.NewReader("x")}), 400, "InvalidArgument")
	}

	deleted := v.do(t, request{method: "DELETE", key: "k"})
	marker := deleted.header.Get("X-Amz-Version-Id")
	if deleted.status != 204 || deleted.header.Get("X-Amz-Delete-Marker") != "true" || marker == "" {
		t.Fatalf("DELETE: got %v %v", deleted, deleted.header)
	}
	for _, method := range []string{"GET", "HEAD"} {
		a := v.do(t, request{method: method, key: "k"})
		if a.status != 404 || a.header.Get("X-Amz-Delete-Marker") != "true" || a.header.Get("X-Amz-Version-Id") != marker {
			t.Errorf("%s of a deleted object: got %v %v", method, a, a.header)
		}
		a = v.do(t, request{method: method, key: "k", query: "versionId=" + marker})
		if a.status != 405 || a.header.Get("X-Amz-Delete-Marker") != "true" {
			t.Errorf("%s of a delete marker: got %v %v", method, a, a.header)
		}
	}
	v.wantVersion(t, "k", one, one, "one")
	want(t, "If-None-Match: * of a deleted object", v.do(t, request{method: "PUT", key: "k", body: strings.NewReader("three"), header: map[string]string{"If-None-Match": "*"}}), 200)
	want(t, "deleting a version", v.do(t, request{method: "DELETE", key: "k", query: "versionId=" + one}), 204)
	want(t, "a deleted version", v.do(t, request{key: "k", query: "versionId=" + one}), 404, "NoSuchVersion")
	want(t, "deleting it again", v.do(t, request{method: "DELETE", key: "k", query: "versionId=" + one}), 204)
	v.wantVersion(t, "k", two, two, "two")

	again := v.do(t, request{method: "DELETE", key: "k"}).header.Get("X-Amz-Version-Id")
	a := v.do(t, request{method: "DELETE", key: "k", query: "versionId=" + again})
	if a.status != 204 || a.header.Get("X-Amz-Delete-Marker") != "true" || a.header.Get("X-Amz-Version-Id") != again {
		t.Errorf("deleting a delete marker: got %v %v", a, a.header)
	}
	v.wantData(t, "k", "three")
	if never := v.do(t, request{method: "DELETE", key: "never"}); never.status != 204 || s.caps.VersionDetails && never.header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("deleting what never was: got %v %v", never, never.header)
	}
	want(t, "a bucket with versions", v.do(t, request{method: "DELETE"}), 409, "BucketNotEmpty")
}

// nullVersion is how answers name the version that has no ID.
func (s *suite) nullVersion() string {
	if s.caps.VersionDetails {
		return "null"
	}
	return ""
}

// wantVersion fails unless naming a version, or none, gives this one.
func (s *suite) wantVersion(t *testing.T, key, named, id, data string) {
	t.Helper()
	r := request{key: key}
	if named != "" {
		r.query = "versionId=" + named
	}
	if a := s.do(t, r); a.status != http.StatusOK || a.body != data || a.header.Get("X-Amz-Version-Id") != id {
		t.Errorf("version %q of %q: got %v of version %q, want %q of %q", named, key, a, a.header.Get("X-Amz-Version-Id"), data, id)
	}
}

// versionWriters: every way to write an object makes a version.
func (s *suite) versionWriters(t *testing.T) {
	v := s.versioned(t, "version-writers", types.BucketVersioningStatusEnabled)
	one := v.store(t, "k", "one")
	v.put(t, "k", "two")

	restored := v.do(t, request{method: "PUT", key: "k", header: map[string]string{"X-Amz-Copy-Source": v.bucket + "/k?versionId=" + one}})
	if restored.status != 200 || restored.header.Get("X-Amz-Copy-Source-Version-Id") != one || restored.header.Get("X-Amz-Version-Id") == "" {
		t.Errorf("restoring a version: got %v %v", restored, restored.header)
	}
	v.wantVersion(t, "k", "", restored.header.Get("X-Amz-Version-Id"), "one")
	want(t, "a copy of no version", v.do(t, request{method: "PUT", key: "k2", header: map[string]string{"X-Amz-Copy-Source": v.bucket + "/k?versionId=null"}}), 404, "NoSuchVersion")

	id := v.begin(t, "k")
	part := v.do(t, request{method: "PUT", key: "k", query: "partNumber=1&uploadId=" + id, body: strings.NewReader("parts")})
	done := v.complete(t, "k", id, nil, types.CompletedPart{PartNumber: aws.Int32(1), ETag: aws.String(part.header.Get("ETag"))})
	if done.status != 200 || done.header.Get("X-Amz-Version-Id") == "" {
		t.Errorf("CompleteMultipartUpload: got %v %v", done, done.header)
	}
	v.wantVersion(t, "k", "", done.header.Get("X-Amz-Version-Id"), "parts")

	posted := v.postForm(t, form{key: "k", file: "posted"})
	if posted.status != 204 || posted.header.Get("X-Amz-Version-Id") == "" {
		t.Errorf("a form: got %v %v", posted, posted.header)
	}
	v.wantVersion(t, "k", "", posted.header.Get("X-Amz-Version-Id"), "posted")
	if n := strings.Count(v.listing(t, ""), "k="); n != 5 {
		t.Errorf("%d versions, want 5", n)
	}
}

func (s *suite) versionTags(t *testing.T) {
	v := s.versioned(t, "version-tags", types.BucketVersioningStatusEnabled)
	one := v.put(t, "k", "one", "X-Amz-Tagging", "n=1").header.Get("X-Amz-Version-Id")
	two := v.put(t, "k", "two", "X-Amz-Tagging", "n=2").header.Get("X-Amz-Version-Id")
	_, err := s.s3.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &v.bucket, Key: aws.String("k"), VersionId: &one, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("n"), Value: aws.String("changed")}}}})
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{one: "changed", two: "2"} {
		out, err := s.s3.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &v.bucket, Key: aws.String("k"), VersionId: &version})
		if err != nil || len(out.TagSet) != 1 || *out.TagSet[0].Value != want || aws.ToString(out.VersionId) != version {
			t.Errorf("tags: got %+v %v, want %s of %s", out, err, want, version)
		}
	}
	v.wantVersion(t, "k", "", two, "two")
}

// suspended: what is written has the version "null", in the place of the one
// before; what has an ID stays.
func (s *suite) suspended(t *testing.T) {
	v := s.versioned(t, "suspended", "")
	v.put(t, "k", "before")
	v.setVersioning(t, types.BucketVersioningStatusEnabled)
	one := v.store(t, "k", "one")
	v.setVersioning(t, types.BucketVersioningStatusSuspended)
	if got := v.listing(t, ""); got != "k=one k=before" {
		t.Errorf("suspended: versions are %s", got)
	}
	v.put(t, "k", "two")
	v.put(t, "k", "three")
	if got := v.listing(t, ""); got != "k=three k=one" {
		t.Errorf("after two PUTs: versions are %s", got)
	}
	v.wantVersion(t, "k", "null", s.nullVersion(), "three")
	a := v.do(t, request{method: "DELETE", key: "k"})
	if a.status != 204 || a.header.Get("X-Amz-Version-Id") != s.nullVersion() || s.caps.VersionDetails && a.header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("DELETE: got %v %v", a, a.header)
	}
	if got := v.listing(t, ""); got != "k=deleted k=one" {
		t.Errorf("after a DELETE: versions are %s", got)
	}
	want(t, "GET", v.do(t, request{key: "k"}), 404, "NoSuchKey")
	v.wantVersion(t, "k", one, one, "one")
	want(t, "deleting the null marker", v.do(t, request{method: "DELETE", key: "k", query: "versionId=null"}), 204)
	v.wantVersion(t, "k", "", one, "one")
}

// listing is what ?versions lists, in its order: key=data or key=deleted.
func (s *suite) listing(t *testing.T, query string) string {
	t.Helper()
	var all []string
	for _, v := range s.versionList(t, query) {
		data := "deleted"
		if !v.marker {
			data = s.do(t, request{key: v.key, query: "versionId=" + v.id}).body
		}
		all = append(all, v.key+"="+data)
	}
	return strings.Join(all, " ")
}

func (s *suite) versionListing(t *testing.T) {
	v := s.versioned(t, "version-listing", types.BucketVersioningStatusEnabled)
	for _, key := range []string{"a", "a", "b/1", "b/2", "b/2", "b/2", "c é+", "d"} {
		v.put(t, key, "x")
	}
	want(t, "deleting", v.do(t, request{method: "DELETE", key: "b/1"}), 204)
	whole := v.versionList(t, "")
	if len(whole) != 9 {
		t.Fatalf("%d versions, want 9: %v", len(whole), whole)
	}
	latest := map[string]int{}
	for _, e := range whole {
		if e.latest {
			latest[e.key]++
		}
		if e.marker != (e.key == "b/1" && e.latest) {
			t.Errorf("version %+v", e)
		}
	}
	for _, key := range []string{"a", "b/1", "b/2", "c é+", "d"} {
		if latest[key] != 1 {
			t.Errorf("%s has %d latest versions", key, latest[key])
		}
	}
	if got := v.versionList(t, "encoding-type=url&prefix=c"); len(got) != 1 || got[0].key != "c+%C3%A9%2B" && got[0].key != "c%20%C3%A9%2B" {
		t.Errorf("URL-encoded keys: %v", got)
	}
	for _, limit := range []int32{1, 2, 3, 9, 10} {
		if got := v.pages(t, &s3.ListObjectVersionsInput{MaxKeys: &limit}); len(got) != len(whole) || !slices.Equal(got, v.pages(t, &s3.ListObjectVersionsInput{})) {
			t.Errorf("in pages of %d: %v", limit, got)
		}
	}
	got := v.pages(t, &s3.ListObjectVersionsInput{Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)})
	if len(got) != 5 || !slices.Contains(got, "b/ ") {
		t.Errorf("rolled up: %v", got)
	}
	if got := v.pages(t, &s3.ListObjectVersionsInput{Prefix: aws.String("b/2"), MaxKeys: aws.Int32(2)}); len(got) != 3 {
		t.Errorf("with a prefix: %v", got)
	}
	want(t, "a version without its key", v.do(t, request{query: "versions=&version-id-marker=x"}), s.badMarker())
	objects, err := s.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &v.bucket})
	if err != nil || len(objects.Contents) != 4 {
		t.Errorf("ListObjectsV2: %+v %v", objects, err)
	}
}

// badMarker is what a version-id-marker without key-marker is answered: MinIO
// says NotImplemented.
func (s *suite) badMarker() int {
	if s.caps.NotImplemented {
		return http.StatusBadRequest
	}
	return http.StatusNotImplemented
}

// pages lists all versions in pages, as key and ID.
func (s *suite) pages(t *testing.T, in *s3.ListObjectVersionsInput) []string {
	t.Helper()
	in.Bucket = &s.bucket
	var all []string
	for range 100 {
		page, err := s.s3.ListObjectVersions(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var some []string
		for _, v := range page.Versions {
			some = append(some, *v.Key+" "+*v.VersionId)
		}
		for _, m := range page.DeleteMarkers {
			some = append(some, *m.Key+" "+*m.VersionId)
		}
		for _, p := range page.CommonPrefixes {
			some = append(some, *p.Prefix+" ")
		}
		all = append(all, some...)
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
	slices.Sort(all)
	return all
}

func (s *suite) deleteVersions(t *testing.T) {
	v := s.versioned(t, "delete-versions", types.BucketVersioningStatusEnabled)
	one, two := v.store(t, "k", "one"), v.store(t, "k", "two")
	v.put(t, "l", "x")
	out, err := s.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &v.bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("k"), VersionId: &two}, {Key: aws.String("l")},
	}}})
	if err != nil || len(out.Deleted) != 2 || len(out.Errors) != 0 {
		t.Fatalf("DeleteObjects: %+v %v", out, err)
	}
	for _, d := range out.Deleted {
		switch aws.ToString(d.Key) {
		case "k":
			if aws.ToString(d.VersionId) != two || aws.ToBool(d.DeleteMarker) {
				t.Errorf("deleting a version: %+v", d)
			}
		case "l":
			if !aws.ToBool(d.DeleteMarker) || aws.ToString(d.DeleteMarkerVersionId) == "" {
				t.Errorf("deleting an object: %+v", d)
			}
		}
	}
	v.wantVersion(t, "k", "", one, "one")
	if got := v.listing(t, ""); got != "k=one l=deleted l=x" {
		t.Errorf("versions left: %s", got)
	}
}

// versionEntry is a line of ?versions.
type versionEntry struct {
	key, id        string
	latest, marker bool
}

func (e versionEntry) String() string {
	return fmt.Sprintf("%s@%s latest=%v marker=%v", e.key, e.id, e.latest, e.marker)
}
