package devs3_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestListUploads(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	begin := func(key string) string {
		out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		return key + " " + aws.ToString(out.UploadId)
	}
	sent := []string{begin("a"), begin("b"), begin("b"), begin("b"), begin("d/1"), begin("d/2"), begin("e +é")}
	list := func(in s3.ListMultipartUploadsInput) (all []string) {
		in.Bucket, in.MaxUploads = aws.String(bucket), aws.Int32(2)
		for range 10 {
			out, err := c.ListMultipartUploads(t.Context(), &in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Uploads)+len(out.CommonPrefixes) > 2 {
				t.Errorf("a page of %d and %d", len(out.Uploads), len(out.CommonPrefixes))
			}
			for _, u := range out.Uploads {
				all = append(all, aws.ToString(u.Key)+" "+aws.ToString(u.UploadId))
			}
			for _, p := range out.CommonPrefixes {
				all = append(all, aws.ToString(p.Prefix))
			}
			if !aws.ToBool(out.IsTruncated) {
				break
			}
			in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
		}
		return all
	}
	if got := list(s3.ListMultipartUploadsInput{}); !slices.Equal(got, sent) {
		t.Errorf("got %q, want %q", got, sent)
	}
	if got := list(s3.ListMultipartUploadsInput{Prefix: aws.String("d/")}); !slices.Equal(got, sent[4:6]) {
		t.Errorf("with a prefix: got %q, want %q", got, sent[4:6])
	}
	rolledUp := slices.Concat(sent[:4], []string{"d/"}, sent[6:])
	got := list(s3.ListMultipartUploadsInput{Delimiter: aws.String("/")})
	slices.Sort(got) // uploads and prefixes come in lists of their own
	if !slices.Equal(got, rolledUp) {
		t.Errorf("with a delimiter: got %q, want %q", got, rolledUp)
	}
	if got := list(s3.ListMultipartUploadsInput{KeyMarker: aws.String("b")}); !slices.Equal(got, sent[4:]) {
		t.Errorf("behind a key: got %q, want %q", got, sent[4:])
	}
}
