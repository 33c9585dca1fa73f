package conformance

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const partSize = 5 << 20

// begin starts a multipart upload and returns its ID.
func (s *suite) begin(t *testing.T, key string) string {
	t.Helper()
	out, err := s.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key, ContentType: aws.String("text/x"), Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatalf("CreateMultipartUpload: %v", err)
	}
	return aws.ToString(out.UploadId)
}

func (s *suite) part(t *testing.T, key, id string, n int, data []byte) types.CompletedPart {
	t.Helper()
	a := s.do(t, request{method: "PUT", key: key, query: fmt.Sprintf("partNumber=%d&uploadId=%s", n, id), body: bytes.NewReader(data)})
	if a.status != 200 {
		t.Fatalf("UploadPart %d: %v", n, a)
	}
	return types.CompletedPart{PartNumber: aws.Int32(int32(n)), ETag: aws.String(a.header.Get("ETag"))}
}

func (s *suite) complete(t *testing.T, key, id string, header map[string]string, parts ...types.CompletedPart) answer {
	t.Helper()
	var doc strings.Builder
	doc.WriteString("<CompleteMultipartUpload>")
	for _, p := range parts {
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", aws.ToInt32(p.PartNumber), aws.ToString(p.ETag))
	}
	doc.WriteString("</CompleteMultipartUpload>")
	return s.do(t, request{method: "POST", key: key, query: "uploadId=" + id, body: strings.NewReader(doc.String()), header: header})
}

func (s *suite) multipart(t *testing.T) {
	pieces := [][]byte{bytes.Repeat([]byte("a"), partSize), bytes.Repeat([]byte("b"), partSize+1), bytes.Repeat([]byte("c"), 6<<20), []byte("tail")}
	key := "multi/part"
	id := s.begin(t, key)
	var parts []types.CompletedPart
	digests := md5.New()
	for i, data := range pieces {
		parts = append(parts, s.part(t, key, id, i*3+1, data))
		sum := md5.Sum(data)
		digests.Write(sum[:])
	}
	s.wantNone(t, key)
	want(t, "CompleteMultipartUpload", s.complete(t, key, id, nil, parts...), 200)
	s.wantData(t, key, string(bytes.Join(pieces, nil)))

	etag := fmt.Sprintf(`"%s-4"`, hex.EncodeToString(digests.Sum(nil)))
	h := s.do(t, request{method: "HEAD", key: key})
	if h.header.Get("ETag") != etag || h.header.Get("Content-Type") != "text/x" || h.header.Get("X-Amz-Meta-A") != "b" {
		t.Errorf("HEAD: got %v, want ETag %s", h.header, etag)
	}
	a := s.do(t, request{key: key, header: map[string]string{"If-Match": etag, "Range": fmt.Sprintf("bytes=%d-%d", partSize-2, partSize+1)}})
	if a.status != 206 || a.body != "aabb" {
		t.Errorf("a range over parts, If-Match: got %v", a)
	}
	want(t, "If-None-Match", s.do(t, request{key: key, header: map[string]string{"If-None-Match": etag}}), 304)
	want(t, "If-Match without -N", s.do(t, request{key: key, header: map[string]string{"If-Match": strings.Replace(etag, "-4", "", 1)}}), 412)
	copyIf := func(tag string) answer {
		return s.do(t, request{method: "PUT", key: "multi/copy", header: map[string]string{"X-Amz-Copy-Source": s.bucket + "/" + key, "X-Amz-Copy-Source-If-Match": tag}})
	}
	want(t, "copying If-Match", copyIf(etag), 200)
	want(t, "copying If-Match without -N", copyIf(strings.Replace(etag, "-4", "", 1)), 412)
	want(t, "PUT If-Match", s.do(t, request{method: "PUT", key: key, body: strings.NewReader("x"), header: map[string]string{"If-Match": etag}}), 200)

	id = s.begin(t, key)
	one := s.part(t, key, id, 1, []byte("only"))
	want(t, "Complete If-None-Match on a key that is there", s.complete(t, key, id, map[string]string{"If-None-Match": "*"}, one), 412, "PreconditionFailed")
	s.wantData(t, key, "x")
	want(t, "Complete without condition", s.complete(t, key, id, nil, one), 200)
	s.wantData(t, key, "only")
}

func (s *suite) multipartMistakes(t *testing.T) {
	key := "mistakes"
	id := s.begin(t, key)
	small1 := s.part(t, key, id, 1, []byte("small"))
	small2 := s.part(t, key, id, 2, []byte("small too"))
	want(t, "a small part in the middle", s.complete(t, key, id, nil, small1, small2), 400, "EntityTooSmall")
	want(t, "parts out of order", s.complete(t, key, id, nil, small2, small1), 400, "InvalidPartOrder")
	want(t, "a part that never came", s.complete(t, key, id, nil, types.CompletedPart{PartNumber: aws.Int32(9), ETag: small1.ETag}), 400, "InvalidPart")
	want(t, "a part with another ETag", s.complete(t, key, id, nil, types.CompletedPart{PartNumber: aws.Int32(1), ETag: small2.ETag}), 400, "InvalidPart")
	want(t, "no parts", s.complete(t, key, id, nil), 400, "MalformedXML", "InvalidRequest")
	want(t, "no XML", s.do(t, request{method: "POST", key: key, query: "uploadId=" + id, body: strings.NewReader("rubbish")}), 400, "MalformedXML")
	put := func(query string) answer {
		return s.do(t, request{method: "PUT", key: key, query: query, body: strings.NewReader("x")})
	}
	want(t, "part 0", put("partNumber=0&uploadId="+id), 400)
	want(t, "part 10001", put("partNumber=10001&uploadId="+id), 400)
	want(t, "no such upload", put("partNumber=1&uploadId=none"), 404, "NoSuchUpload")
	want(t, "the upload of another key", s.do(t, request{method: "PUT", key: "other", query: "partNumber=1&uploadId=" + id, body: strings.NewReader("x")}), 404, "NoSuchUpload")
	s.wantNone(t, key)

	replaced := s.part(t, key, id, 1, []byte("replaced"))
	want(t, "a part that was replaced", s.complete(t, key, id, nil, small1), 400, "InvalidPart")
	want(t, "the part in its place", s.complete(t, key, id, nil, replaced), 200)
	s.wantData(t, key, "replaced")

	id = s.begin(t, key)
	part := s.part(t, key, id, 1, []byte("aborted"))
	want(t, "AbortMultipartUpload", s.do(t, request{method: "DELETE", key: key, query: "uploadId=" + id}), 204)
	want(t, "a part after that", put("partNumber=2&uploadId="+id), 404, "NoSuchUpload")
	want(t, "completing after that", s.complete(t, key, id, nil, part), 404, "NoSuchUpload")
	s.wantData(t, key, "replaced")
}

func (s *suite) multipartListing(t *testing.T) {
	key := "listed/upload"
	id := s.begin(t, key)
	var sent []string
	for n := 1; n <= 5; n++ {
		sent = append(sent, aws.ToString(s.part(t, key, id, n*10, []byte{byte(n)}).ETag))
	}
	var listed []string
	pages := s3.NewListPartsPaginator(s.s3, &s3.ListPartsInput{Bucket: &s.bucket, Key: &key, UploadId: &id, MaxParts: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parts {
			listed = append(listed, aws.ToString(p.ETag))
		}
	}
	if fmt.Sprint(listed) != fmt.Sprint(sent) {
		t.Errorf("ListParts: got %v, want %v", listed, sent)
	}
	want(t, "ListParts of no upload", s.do(t, request{key: key, query: "uploadId=none"}), 404, "NoSuchUpload")
	out, err := s.s3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &key})
	if err != nil || len(out.Uploads) != 1 || aws.ToString(out.Uploads[0].UploadId) != id {
		t.Errorf("ListMultipartUploads: got %+v, %v", out, err)
	}
	want(t, "AbortMultipartUpload", s.do(t, request{method: "DELETE", key: key, query: "uploadId=" + id}), 204)
	out, err = s.s3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &key})
	if err != nil || len(out.Uploads) != 0 {
		t.Errorf("ListMultipartUploads of none: got %+v, %v", out, err)
	}
}

// multipartChecksums goes through the SDK, which adds and compares them.
func (s *suite) multipartChecksums(t *testing.T) {
	for _, tt := range []struct {
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
	}{
		{types.ChecksumAlgorithmCrc32, types.ChecksumTypeComposite},
		{types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite},
		{types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject},
	} {
		t.Run(fmt.Sprint(tt.algorithm, tt.kind), func(t *testing.T) {
			key := "checksums"
			up, err := s.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key, ChecksumAlgorithm: tt.algorithm, ChecksumType: tt.kind})
			if err != nil {
				t.Fatal(err)
			}
			var parts []types.CompletedPart
			for n, size := range []int{partSize, 10} {
				p, err := s.s3.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &s.bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(n + 1)), Body: bytes.NewReader(make([]byte, size)), ChecksumAlgorithm: tt.algorithm})
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(n + 1)), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32, ChecksumSHA256: p.ChecksumSHA256, ChecksumCRC64NVME: p.ChecksumCRC64NVME})
			}
			wrong := slices.Clone(parts)
			wrong[0].ChecksumCRC32, wrong[0].ChecksumSHA256, wrong[0].ChecksumCRC64NVME = parts[1].ChecksumCRC32, parts[1].ChecksumSHA256, parts[1].ChecksumCRC64NVME
			_, err = s.s3.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: wrong}, ChecksumType: tt.kind})
			if err == nil || !strings.Contains(err.Error(), "InvalidPart") {
				t.Errorf("with another part's checksum: got %v, want InvalidPart", err)
			}
			done, err := s.s3.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, ChecksumType: tt.kind})
			if err != nil {
				t.Fatal(err)
			}
			got := aws.ToString(done.ChecksumCRC32) + aws.ToString(done.ChecksumSHA256) + aws.ToString(done.ChecksumCRC64NVME)
			if got == "" || strings.HasSuffix(got, "-2") != (tt.kind == types.ChecksumTypeComposite) {
				t.Errorf("the object's checksum is %q", got)
			}
			h, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			if again := aws.ToString(h.ChecksumCRC32) + aws.ToString(h.ChecksumSHA256) + aws.ToString(h.ChecksumCRC64NVME); again != got {
				t.Errorf("HEAD: the checksum is %q, want %q", again, got)
			}
		})
	}
}
