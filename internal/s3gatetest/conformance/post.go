package conformance

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"s3gate/internal/s3gatetest"
)

// form is an upload form: signed for one thing, filled in as another.
type form struct {
	key        string // what is signed
	conditions []any
	expires    time.Duration
	as         s3gatetest.Identity
	fields     map[string]string // changed or added; an empty value removes
	file       string
}

func (s *suite) postForm(t *testing.T, f form) answer {
	t.Helper()
	if f.expires == 0 {
		f.expires = time.Hour
	}
	who := f.as
	if who == (s3gatetest.Identity{}) {
		who = s.Admin()
	}
	signed, err := s3.NewPresignClient(s.client(who)).PresignPostObject(t.Context(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &f.key}, func(o *s3.PresignPostOptions) {
		o.Conditions, o.Expires = f.conditions, f.expires
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range f.fields {
		signed.Values[name] = value
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range signed.Values {
		if value != "" {
			w.WriteField(name, value)
		}
	}
	file, err := w.CreateFormFile("file", "photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	file.Write([]byte(f.file))
	w.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/"+s.bucket, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return s.send(t, req)
}

func (s *suite) presignedPost(t *testing.T) {
	want(t, "a form", s.postForm(t, form{key: "post/é +", file: "posted"}), 204)
	s.wantData(t, "post/é +", "posted")

	extra := []any{[]any{"starts-with", "$key", "post/"}, []any{"content-length-range", 3, 10}, []any{"starts-with", "$x-amz-meta-a", ""}, map[string]string{"content-type": "text/x"}, map[string]string{"success_action_status": "201"}}
	fields := map[string]string{"x-amz-meta-a": "b", "content-type": "text/x", "success_action_status": "201"}
	a := s.postForm(t, form{key: "post/fields", conditions: extra, fields: fields, file: "12345"})
	if a.status != 201 || !strings.Contains(a.body, "<Key>post/fields</Key>") {
		t.Errorf("success_action_status 201: got %v", a)
	}
	h := s.do(t, request{method: "HEAD", key: "post/fields"}).header
	if h.Get("Content-Type") != "text/x" || h.Get("X-Amz-Meta-A") != "b" || h.Get("Content-Length") != "5" {
		t.Errorf("the object of a form has %v", h)
	}
	big := strings.Repeat("0123456789", 1<<18)
	want(t, "a big file", s.postForm(t, form{key: "post/big", file: big}), 204)
	s.wantData(t, "post/big", big)

	want(t, "too big", s.postForm(t, form{key: "post/no", conditions: extra, fields: fields, file: "12345678901"}), 400, "EntityTooLarge")
	want(t, "too small", s.postForm(t, form{key: "post/no", conditions: extra, fields: fields, file: "12"}), 400, "EntityTooSmall")
	want(t, "another key", s.postForm(t, form{key: "post/x", fields: map[string]string{"key": "post/no"}, file: "x"}), 403, "AccessDenied")
	want(t, "a field too many", s.postForm(t, form{key: "post/no", fields: map[string]string{"x-amz-meta-a": "b"}, file: "x"}), 403, "AccessDenied")
	want(t, "a wrong signature", s.postForm(t, form{key: "post/no", fields: map[string]string{"X-Amz-Signature": strings.Repeat("0", 64)}, file: "x"}), 403, "SignatureDoesNotMatch")
	want(t, "a wrong secret", s.postForm(t, form{key: "post/no", as: s3gatetest.Identity{AccessKey: s.AccessKey, Secret: "wrong"}, file: "x"}), 403, "SignatureDoesNotMatch")
	want(t, "expired", s.postForm(t, form{key: "post/no", expires: -time.Minute, file: "x"}), 403, "AccessDenied")
	unsigned := map[string]string{}
	for _, name := range []string{"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Algorithm", "X-Amz-Date", "policy"} {
		unsigned[name] = ""
	}
	if a := s.postForm(t, form{key: "post/no", fields: unsigned, file: "x"}); a.status != 403 && a.status != 400 {
		t.Errorf("not signed: got %v", a)
	}
	s.wantNone(t, "post/no")
}
