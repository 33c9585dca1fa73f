package conformance

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func (s *suite) copies(t *testing.T) {
	s.put(t, "copy/from +é", "data", "Content-Type", "text/x", "X-Amz-Meta-A", "b")
	source := s.bucket + "/" + url.PathEscape("copy/from ") + "%2B" + url.PathEscape("é")
	etag := s.do(t, request{method: "HEAD", key: "copy/from +é"}).header.Get("ETag")
	copyTo := func(key string, header ...string) answer {
		r := request{method: "PUT", key: key, header: map[string]string{"X-Amz-Copy-Source": source}}
		for i := 0; i < len(header); i += 2 {
			r.header[header[i]] = header[i+1]
		}
		return s.do(t, r)
	}
	if a := copyTo("copy/to"); a.status != 200 || !strings.Contains(a.body, "<CopyObjectResult") {
		t.Errorf("CopyObject: got %v", a)
	}
	s.wantData(t, "copy/to", "data")
	h := s.do(t, request{method: "HEAD", key: "copy/to"}).header
	if h.Get("Content-Type") != "text/x" || h.Get("X-Amz-Meta-A") != "b" || h.Get("ETag") != etag {
		t.Errorf("the copy has %v", h)
	}
	want(t, "replacing metadata", copyTo("copy/to", "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Meta-A", "c", "Content-Type", "text/y"), 200)
	if h := s.do(t, request{method: "HEAD", key: "copy/to"}).header; h.Get("Content-Type") != "text/y" || h.Get("X-Amz-Meta-A") != "c" {
		t.Errorf("the copy with replaced metadata has %v", h)
	}
	want(t, "a leading slash", s.do(t, request{method: "PUT", key: "copy/to2", header: map[string]string{"X-Amz-Copy-Source": "/" + source}}), 200)
	want(t, "if-match", copyTo("copy/if", "X-Amz-Copy-Source-If-Match", etag), 200)
	want(t, "if-match another", copyTo("copy/no", "X-Amz-Copy-Source-If-Match", `"00000000000000000000000000000000"`), 412, "PreconditionFailed")
	want(t, "if-none-match", copyTo("copy/no", "X-Amz-Copy-Source-If-None-Match", etag), 412, "PreconditionFailed")
	want(t, "no such source", s.do(t, request{method: "PUT", key: "copy/no", header: map[string]string{"X-Amz-Copy-Source": s.bucket + "/none"}}), 404, "NoSuchKey")
	want(t, "no such bucket", s.do(t, request{method: "PUT", key: "copy/no", header: map[string]string{"X-Amz-Copy-Source": "none-such/none"}}), 404, "NoSuchBucket")
	s.wantNone(t, "copy/no")

	id := s.begin(t, "copy/part")
	a := s.do(t, request{method: "PUT", key: "copy/part", query: "partNumber=1&uploadId=" + id, header: map[string]string{"X-Amz-Copy-Source": source, "X-Amz-Copy-Source-Range": "bytes=1-2"}})
	if a.status != 200 {
		t.Fatalf("UploadPartCopy: %v", a)
	}
	_, part, _ := strings.Cut(a.body, "<ETag>")
	part, _, _ = strings.Cut(part, "</ETag>")
	part = strings.NewReplacer("&#34;", "", "&quot;", "", `"`, "").Replace(part)
	want(t, "completing a copied part", s.complete(t, "copy/part", id, nil, types.CompletedPart{PartNumber: aws.Int32(1), ETag: &part}), 200)
	s.wantData(t, "copy/part", "at")
}

func (s *suite) list(t *testing.T) {
	for _, key := range []string{"l/", "l/a", "l/b/1", "l/b/2", "l/c", "l/d/e/f", "l/é +", "l~"} {
		s.put(t, key, key)
	}
	for _, tt := range []struct {
		query    string
		keys     string
		prefixes string
	}{
		{"prefix=l/", "l/ l/a l/b/1 l/b/2 l/c l/d/e/f l/é_+", ""},
		{"prefix=l/&delimiter=/", "l/ l/a l/c l/é_+", "l/b/ l/d/"},
		{"prefix=l&delimiter=/", "l~", "l/"},
		{"prefix=l/b/&delimiter=/", "l/b/1 l/b/2", ""},
		{"prefix=l/d/&delimiter=/", "", "l/d/e/"},
		{"prefix=none", "", ""},
		{"prefix=l/&delimiter=b/", "l/ l/a l/c l/d/e/f l/é_+", "l/b/"},
		{"prefix=l/&start-after=l/b/1", "l/b/2 l/c l/d/e/f l/é_+", ""},
		{"prefix=l/&start-after=l/zzz", "l/é_+", ""},
	} {
		t.Run(tt.query, func(t *testing.T) {
			keys, prefixes := s.listed(t, "list-type=2&"+tt.query)
			if keys != tt.keys || prefixes != tt.prefixes {
				t.Errorf("got %q, prefixes %q", keys, prefixes)
			}
			v1 := strings.Replace(tt.query, "start-after", "marker", 1)
			if keys, prefixes := s.listed(t, v1); keys != tt.keys || prefixes != tt.prefixes {
				t.Errorf("V1: got %q, prefixes %q", keys, prefixes)
			}
		})
	}
	if a := s.do(t, request{query: "list-type=2&prefix=l/%C3%A9&encoding-type=url"}); !strings.Contains(a.body, "<Key>l/%C3%A9") || !strings.Contains(a.body, "%2B</Key>") {
		t.Errorf("encoding-type=url: got %v", a)
	}
	if keys, _ := s.listed(t, "list-type=2&prefix=l/b/&marker=l/b/1"); keys != "l/b/1 l/b/2" {
		t.Errorf("V2 with the marker of V1: got %q", keys)
	}
	want(t, "max-keys=-1", s.do(t, request{query: "list-type=2&max-keys=-1"}), 400, "InvalidArgument")
	want(t, "a token we never gave", s.do(t, request{query: "list-type=2&continuation-token=%21%21"}), 400, "InvalidArgument")
	want(t, "no such bucket", s.do(t, request{bucket: "none-such", query: "list-type=2"}), 404, "NoSuchBucket")
}

// listed returns the keys and common prefixes of a listing, spaces replaced.
func (s *suite) listed(t *testing.T, query string) (keys, prefixes string) {
	t.Helper()
	a := s.do(t, request{query: query})
	if a.status != 200 {
		t.Fatalf("listing %s: %v", query, a)
	}
	_, contents, _ := strings.Cut(a.body, "<ListBucketResult")
	groups := ""
	for strings.Contains(contents, "<CommonPrefixes>") {
		before, rest, _ := strings.Cut(contents, "<CommonPrefixes>")
		group, after, _ := strings.Cut(rest, "</CommonPrefixes>")
		contents, groups = before+after, groups+group
	}
	return elements(contents, "Key"), elements(groups, "Prefix")
}

func elements(doc, name string) string {
	var all []string
	for _, rest := range strings.Split(doc, "<"+name+">")[1:] {
		value, _, _ := strings.Cut(rest, "<")
		all = append(all, strings.ReplaceAll(value, " ", "_"))
	}
	return strings.Join(all, " ")
}

func (s *suite) listPaging(t *testing.T) {
	var all []string
	for i := range 23 {
		key := fmt.Sprintf("page/%02d", i)
		if i%5 == 0 {
			key += "/x"
			s.put(t, key+"2", "x")
		}
		s.put(t, key, "x")
		all = append(all, strings.TrimSuffix(key, "x"))
	}
	var got []string
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String("page/"), Delimiter: aws.String("/"), MaxKeys: aws.Int32(4)}
	pages := s3.NewListObjectsV2Paginator(s.s3, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(page.Contents) + len(page.CommonPrefixes); n > 4 || n == 0 {
			t.Errorf("a page of %d", n)
		}
		got = append(got, names(page.Contents, page.CommonPrefixes)...)
	}
	if !sameSet(got, all) {
		t.Errorf("V2: got %v, want %v", got, all)
	}
	got = nil
	for marker := (*string)(nil); ; {
		page, err := s.s3.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: &s.bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, MaxKeys: in.MaxKeys, Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, names(page.Contents, page.CommonPrefixes)...)
		if !aws.ToBool(page.IsTruncated) || len(got) > 100 {
			break
		}
		marker = page.NextMarker
	}
	if !sameSet(got, all) {
		t.Errorf("V1: got %v, want %v", got, all)
	}
}

func names(objects []types.Object, prefixes []types.CommonPrefix) []string {
	var all []string
	for _, o := range objects {
		all = append(all, aws.ToString(o.Key))
	}
	for _, p := range prefixes {
		all = append(all, aws.ToString(p.Prefix))
	}
	return all
}

// sameSet also finds what is listed twice.
func sameSet(a, b []string) bool {
	count := map[string]int{}
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func (s *suite) deleteObjects(t *testing.T) {
	var ids []types.ObjectIdentifier
	for _, key := range []string{"del/1", "del/2 +é", "del/<&>"} {
		s.put(t, key, "x")
		ids = append(ids, types.ObjectIdentifier{Key: aws.String(key)})
	}
	ids = append(ids, types.ObjectIdentifier{Key: aws.String("del/never")})
	out, err := s.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: ids}})
	if err != nil || len(out.Deleted) != 4 || len(out.Errors) != 0 {
		t.Fatalf("DeleteObjects: %+v %v", out, err)
	}
	for _, id := range ids {
		s.wantNone(t, *id.Key)
	}
	s.put(t, "del/quiet", "x")
	out, err = s.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Quiet: aws.Bool(true), Objects: []types.ObjectIdentifier{{Key: aws.String("del/quiet")}}}})
	if err != nil || len(out.Deleted) != 0 || len(out.Errors) != 0 {
		t.Errorf("quiet DeleteObjects: %+v %v", out, err)
	}
	s.wantNone(t, "del/quiet")
	many := make([]types.ObjectIdentifier, 1001)
	for i := range many {
		many[i] = types.ObjectIdentifier{Key: aws.String(fmt.Sprint("many/", i))}
	}
	if _, err = s.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: many}}); err == nil {
		t.Error("1001 keys were accepted")
	}
	want(t, "no digest", s.do(t, request{method: "POST", query: "delete=", body: strings.NewReader("<Delete><Object><Key>x</Key></Object></Delete>")}), 400)
}

func (s *suite) tagging(t *testing.T) {
	s.put(t, "tagged", "x", "X-Amz-Tagging", "a=1&b=2")
	in := &s3.GetObjectTaggingInput{Bucket: &s.bucket, Key: aws.String("tagged")}
	out, err := s.s3.GetObjectTagging(t.Context(), in)
	if err != nil || len(out.TagSet) != 2 {
		t.Fatalf("GetObjectTagging: %+v %v", out, err)
	}
	_, err = s.s3.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &s.bucket, Key: in.Key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("c"), Value: aws.String("3")}}}})
	if err != nil {
		t.Fatalf("PutObjectTagging: %v", err)
	}
	out, err = s.s3.GetObjectTagging(t.Context(), in)
	if err != nil || len(out.TagSet) != 1 || aws.ToString(out.TagSet[0].Key) != "c" {
		t.Errorf("GetObjectTagging: %+v %v", out, err)
	}
	if _, err := s.s3.DeleteObjectTagging(t.Context(), &s3.DeleteObjectTaggingInput{Bucket: &s.bucket, Key: in.Key}); err != nil {
		t.Errorf("DeleteObjectTagging: %v", err)
	}
	s.wantData(t, "tagged", "x")
}

func (s *suite) unsupported(t *testing.T) {
	s.put(t, "plain", "x")
	for _, r := range []request{
		{query: "cors="}, {query: "website="}, {query: "no-such-thing"},
		{key: "plain", query: "torrent"}, {key: "plain", query: "no-such-thing="}, {key: "plain", query: "attributes"},
		{method: "PUT", key: "plain", query: "retention="},
		{method: "DELETE", query: "cors="}, {method: "DELETE", key: "plain", query: "policy"},
		{method: "PUT", key: "plain", query: "append="}, {method: "POST", key: "plain", query: "select=&select-type=2"},
	} {
		want(t, r.method+" "+r.key+"?"+r.query, s.do(t, r), 501, "NotImplemented")
	}
	want(t, "a method of nothing", s.do(t, request{method: "PATCH", key: "plain"}), 405, "MethodNotAllowed")
	want(t, "two subresources", s.do(t, request{query: "policy=&uploads="}), 400, "InvalidArgument")
	want(t, "a version", s.do(t, request{key: "plain", query: "versionId=abc"}), 400, "InvalidArgument")
	want(t, "the null version", s.do(t, request{key: "plain", query: "versionId=null"}), 200)
	want(t, "an unknown parameter with a value", s.do(t, request{key: "plain", query: "x-id=GetObject&utm=1"}), 200)
	want(t, "a public ACL", s.do(t, request{method: "PUT", key: "plain", body: strings.NewReader("y"), header: map[string]string{"X-Amz-Acl": "public-read"}}), 400, "AccessControlListNotSupported")
	s.wantData(t, "plain", "x")
}
