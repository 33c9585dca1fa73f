package s3client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"s3gate/s3client"
)

// The requests of a multipart upload are those of S3's API, and signed.
func TestMultipartRequests(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		const key = "a key/ü+&"
		u := &s3client.Upload{Key: key, ID: "id/+=&", Agent: "tok_1"}
		path := "/bucket/" + escape(key) + "?"
		parts := []s3client.Part{{Number: 1, ETag: `"one"`, Size: 7}, {Number: 10_000, ETag: `"<two>"`}}
		body := func(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
		for _, test := range []struct {
			name    string
			request *s3client.Request
			method  string
			target  string
			body    string
			header  [2]string
		}{
			{"create", s3client.NewUploadRequest(key, http.Header{"Content-Type": {"video/mp4"}}, "tok_1"),
				"POST", path + "uploads=", "", [2]string{"Content-Type", "video/mp4"}},
			{"part", u.PartRequest(10_000, body("data"), 4), "PUT", path + "partNumber=10000&uploadId=id%2F%2B%3D%26", "data", [2]string{}},
			{"empty part", u.PartRequest(1, body(""), 0), "PUT", path + "partNumber=1&uploadId=id%2F%2B%3D%26", "", [2]string{}},
			{"complete", u.CompleteRequest(parts, http.Header{"If-None-Match": {"*"}}), "POST", path + "uploadId=id%2F%2B%3D%26",
				`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>&#34;one&#34;</ETag></Part>` +
					`<Part><PartNumber>10000</PartNumber><ETag>&#34;&lt;two&gt;&#34;</ETag></Part></CompleteMultipartUpload>`, [2]string{"If-None-Match", "*"}},
			{"complete without condition", u.CompleteRequest(parts[:1], nil), "POST", path + "uploadId=id%2F%2B%3D%26",
				`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>&#34;one&#34;</ETag></Part></CompleteMultipartUpload>`,
				[2]string{"If-None-Match", ""}},
			{"abort", u.AbortRequest(), "DELETE", path + "uploadId=id%2F%2B%3D%26", "", [2]string{}},
			{"list", u.ListRequest(0), "GET", path + "uploadId=id%2F%2B%3D%26", "", [2]string{}},
			{"list more", u.ListRequest(1000), "GET", path + "part-number-marker=1000&uploadId=id%2F%2B%3D%26", "", [2]string{}},
		} {
			t.Run(test.name, func(t *testing.T) {
				s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
					if err := verify(r, secretKey); err != nil {
						t.Error(err)
					}
					got, err := io.ReadAll(r.Body)
					if err != nil || string(got) != test.body || r.ContentLength != int64(len(test.body)) {
						t.Errorf("body %q of %d bytes, %v\nwant %q", got, r.ContentLength, err, test.body)
					}
					if r.Method != test.method || target(r) != test.target {
						t.Errorf("%s %s\nwant %s %s", r.Method, target(r), test.method, test.target)
					}
					if name := test.header[0]; name != "" && r.Header.Get(name) != test.header[1] {
						t.Errorf("%s is %q, want %q", name, r.Header.Get(name), test.header[1])
					}
					if !strings.HasSuffix(r.UserAgent(), " tok_1") {
						t.Errorf("User-Agent %q", r.UserAgent())
					}
				})
				do(t, s.open(t, f.in(func(c *s3client.Config) { c.PathStyle = true })), test.request)
			})
		}
	})
}

// answered is what S3 may answer.
func answered(status int, body string, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Add(header[i], header[i+1])
	}
	return resp
}

// wantError checks that err is S3's answer, or one that cannot be read.
func wantError(t *testing.T, name string, err error, want *s3client.Error) {
	t.Helper()
	var got *s3client.Error
	switch errors.As(err, &got); {
	case want == nil && !errors.Is(err, s3client.ErrMultipart):
		t.Errorf("%s: %v, want ErrMultipart", name, err)
	case want != nil && (got == nil || *got != *want):
		t.Errorf("%s: %v, want %v", name, err, want)
	}
}

const refusal = `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>secret</Message></Error>`

func TestReadUploadID(t *testing.T) {
	id, err := s3client.ReadUploadID(answered(200, `<?xml version="1.0"?><InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><UploadId>a&amp;b</UploadId></InitiateMultipartUploadResult>`))
	if id != "a&b" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	for _, body := range []string{"", "<x", "<Other><UploadId>a</UploadId></Other>", "<InitiateMultipartUploadResult/>", strings.Repeat(" ", 2<<20)} {
		_, err := s3client.ReadUploadID(answered(200, body))
		wantError(t, fmt.Sprintf("%.40q", body), err, nil)
	}
	_, err = s3client.ReadUploadID(answered(503, refusal))
	wantError(t, "503", err, &s3client.Error{Status: 503, Code: "SlowDown"})
}

func TestReadPart(t *testing.T) {
	for _, tag := range []string{`"abc"`, "abc"} {
		if etag, err := s3client.ReadPart(answered(200, "", "Etag", tag)); etag != `"abc"` || err != nil {
			t.Errorf("%q, %v", etag, err)
		}
	}
	_, err := s3client.ReadPart(answered(200, "", "Etag", `""`))
	wantError(t, "no ETag", err, nil)
	_, err = s3client.ReadPart(answered(503, refusal))
	wantError(t, "503", err, &s3client.Error{Status: 503, Code: "SlowDown"})
}

// An answer of success may hold an error (S6), and its document what a PUT has
// in headers.
func TestReadCompleted(t *testing.T) {
	const doc = `<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Location>secret</Location><Bucket>secret</Bucket><Key>secret</Key>%s</CompleteMultipartUploadResult>`
	for _, test := range []struct {
		name, body string
		want       http.Header
	}{
		{"quoted", `<?xml version="1.0"?>` + "\n   \n" + fmt.Sprintf(doc, "<ETag>&quot;abc-2&quot;</ETag>"), http.Header{"Etag": {`"abc-2"`}, "X-Amz-Version-Id": {"v1"}}},
		{"not quoted", " \n " + fmt.Sprintf(doc, "<ETag>abc-2</ETag>"), http.Header{"Etag": {`"abc-2"`}, "X-Amz-Version-Id": {"v1"}}},
		{"checksums", fmt.Sprintf(doc, "<ETag>abc-2</ETag><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType><ChecksumX>\n</ChecksumX>"),
			http.Header{"Etag": {`"abc-2"`}, "X-Amz-Version-Id": {"v1"}, "X-Amz-Checksum-Crc64nvme": {"AAAAAAAAAAA="}, "X-Amz-Checksum-Type": {"FULL_OBJECT"}}},
	} {
		got, err := s3client.ReadCompleted(answered(200, test.body, "X-Amz-Version-Id", "v1", "Location", "secret"))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, %v\nwant %v", test.name, got, err, test.want)
		}
	}
	for _, test := range []struct {
		name, body string
		want       *s3client.Error
	}{
		{"error", refusal, &s3client.Error{Status: 200, Code: "SlowDown", RequestID: "R1"}},
		{"error behind white space", " \n" + refusal, &s3client.Error{Status: 200, Code: "SlowDown", RequestID: "R1"}},
		{"error with a hostile code", "<Error><Code>a\nb</Code></Error>", &s3client.Error{Status: 200, RequestID: "R1"}},
		{"cut", "<CompleteMultipartUploadResult><ETag>", nil},
		{"nothing", "   ", nil},
		{"another", "<Other/>", nil},
	} {
		_, err := s3client.ReadCompleted(answered(200, test.body, "X-Amz-Request-Id", "R1"))
		wantError(t, test.name, err, test.want)
	}
	_, err := s3client.ReadCompleted(answered(412, strings.Replace(refusal, "SlowDown", "PreconditionFailed", 1)))
	wantError(t, "412", err, &s3client.Error{Status: 412, Code: "PreconditionFailed"})
}

func TestReadParts(t *testing.T) {
	const part = "<Part><PartNumber>%d</PartNumber><ETag>&quot;%d&quot;</ETag><Size>%d</Size></Part>"
	doc := func(parts string) string { return "<ListPartsResult>" + parts + "</ListPartsResult>" }
	two := fmt.Sprintf(part, 1, 1, 5<<30) + fmt.Sprintf(part, 10_000, 2, 0)
	want := []s3client.Part{{Number: 1, ETag: `"1"`, Size: 5 << 30}, {Number: 10_000, ETag: `"2"`}}
	for truncated, text := range map[bool]string{false: doc(two), true: doc("<IsTruncated>true</IsTruncated>" + two)} {
		parts, more, err := s3client.ReadParts(answered(200, text))
		if err != nil || more != truncated || !reflect.DeepEqual(parts, want) {
			t.Errorf("%+v, %v, %v", parts, more, err)
		}
	}
	if parts, more, err := s3client.ReadParts(answered(200, doc("<IsTruncated>true</IsTruncated>"))); len(parts) != 0 || more || err != nil {
		t.Errorf("an empty page: %+v, %v, %v: it must not be asked for without end", parts, more, err)
	}
	for _, text := range []string{
		"", "<Other/>", doc(fmt.Sprintf(part, 0, 1, 1)), doc(fmt.Sprintf(part, 10_001, 1, 1)), doc(fmt.Sprintf(part, 1, 1, -1)),
		doc(fmt.Sprintf(part, 2, 1, 1) + fmt.Sprintf(part, 1, 1, 1)), doc(fmt.Sprintf(part, 1, 1, 5<<30+1)),
	} {
		_, _, err := s3client.ReadParts(answered(200, text))
		wantError(t, text, err, nil)
	}
	_, _, err := s3client.ReadParts(answered(404, strings.Replace(refusal, "SlowDown", "NoSuchUpload", 1)))
	wantError(t, "404", err, &s3client.Error{Status: 404, Code: "NoSuchUpload"})
}

// Whatever S3 answers, reading it ends and says one thing.
func FuzzReadCompleted(f *testing.F) {
	f.Add([]byte(refusal))
	f.Add([]byte("<CompleteMultipartUploadResult><ETag>&quot;a&quot;</ETag><ChecksumCRC32>AAAA</ChecksumCRC32></CompleteMultipartUploadResult>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		resp := answered(200, "")
		resp.Body = io.NopCloser(bytes.NewReader(body))
		header, err := s3client.ReadCompleted(resp)
		if (header == nil) == (err == nil) {
			t.Fatalf("%v, %v", header, err)
		}
		for name, values := range header {
			for _, v := range values {
				if strings.ContainsAny(name+v, "\r\n") && name != "Etag" {
					t.Errorf("%s: %q", name, v)
				}
			}
		}
	})
}
