package guard_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/policy"
	"s3gate/s3client"
)

const (
	gateLink = "s3g_0123456789ABCDEFGHIJKL2Jly3b"
	queryV4  = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIACANARY%2F20260102%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token=canary&X-Amz-Signature=canary"
	queryV2  = "AWSAccessKeyId=AKIACANARY&Expires=1&Signature=canary"
)

func TestFromHTTP(t *testing.T) {
	signed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name, method, url, headers string
		want                       string // bucket, key, action, auth, and the rest
		context, note              string
	}{
		{"presigned", "GET", "https://b.s3.us-east-1.amazonaws.com/a%20b//c%2Fd?" + queryV4, "", "b|a b//c/d|s3:GetObject|presigned|59s", "", ""},
		{"presigned, expired", "PUT", "https://b.s3.amazonaws.com/k?" + strings.Replace(queryV4, "Expires=60", "Expires=9", 1), "", "b|k|s3:PutObject|presigned|59s", "", "expired at 2026-01-02T03:04:14Z"},
		{"presigned without a date", "GET", "https://b.s3.amazonaws.com/k?" + strings.Replace(queryV4, "X-Amz-Date=2026", "X-Amz-Date=x", 1), "", "b|k|s3:GetObject|presigned", "", "no valid X-Amz-Date"},
		{"presigned without an end", "GET", "https://b.s3.amazonaws.com/k?" + strings.Replace(queryV4, "Expires=60", "Expires=x", 1), "", "b|k|s3:GetObject|presigned|59s", "", "no valid X-Amz-Expires"},
		{"presigned, with headers in the query", "PUT", "https://b.s3.amazonaws.com/k?" + queryV4 + "&x-amz-acl=private", "", "", "", "an error"},
		{"presigned, with parameters", "PUT", "https://b.s3.amazonaws.com/k?" + queryV4 + "&X-Amz-Acl=private&response-content-type=a", "", "b|k|s3:PutObject|presigned|59s", "s3:x-amz-acl=private", ""},
		{"version 2", "GET", "http://s3.amazonaws.com/b/k?" + queryV2, "", "b|k|s3:GetObject|presigned|old|plain", "", ""},
		{"header", "GET", "https://localhost:9000/b/k", "Authorization: AWS4-HMAC-SHA256 canary", "b|k|s3:GetObject|header", "", ""},
		{"header, version 2", "GET", "https://localhost:9000/b/k", "Authorization: AWS canary", "b|k|s3:GetObject|header|old", "", ""},
		{"another store, by host", "GET", "https://b.store.example/k", "", "b|k|s3:GetObject|none", "", ""},
		{"a host in the header", "GET", "/k", "Host: b.s3.amazonaws.com:443", "b|k|s3:GetObject|none", "", ""},
		{"dual stack", "HEAD", "https://b.s3.dualstack.eu-west-1.amazonaws.com/k", "", "b|k|s3:GetObject|none", "", ""},
		{"a version", "GET", "https://b.s3.amazonaws.com/k?versionId=v1&x-id=GetObject", "", "b|k|s3:GetObjectVersion|none", "s3:versionid=v1", ""},
		{"tags of a version", "DELETE", "https://b.s3.amazonaws.com/k?tagging&versionId=v1", "", "b|k|s3:DeleteObjectVersionTagging|none", "s3:versionid=v1", ""},
		{"a part", "PUT", "https://b.s3.amazonaws.com/k?partNumber=1&uploadId=u", "", "b|k|s3:PutObject|none", "", ""},
		{"an abort", "DELETE", "https://b.s3.amazonaws.com/k?uploadId=u", "", "b|k|s3:AbortMultipartUpload|none", "", ""},
		{"a listing", "GET", "https://b.s3.amazonaws.com/?list-type=2&prefix=a%2F&delimiter=/&max-keys=3", "", "b||s3:ListBucket|none", "s3:delimiter=/ s3:max-keys=3 s3:prefix=a/", ""},
		{"the policy", "PUT", "https://s3.amazonaws.com/b?policy", "", "b||s3:PutBucketPolicy|none", "", ""},
		{"a form", "POST", "https://b.s3.amazonaws.com/", "Content-Type: multipart/form-data; boundary=x", "b||s3:PutObject|post", "", ""},
		{"a copy", "PUT", "https://b.s3.amazonaws.com/k", "X-Amz-Copy-Source: a/b", "b|k|s3:PutObject|none", "s3:x-amz-copy-source=a/b", "its source"},
		{"referer and agent", "GET", "https://b.s3.amazonaws.com/k", "Referer: http://x/\nUser-Agent: curl/8", "b|k|s3:GetObject|none", "aws:referer=http://x/ aws:useragent=curl/8", ""},
		{"another bucket", "GET", "https://s3.amazonaws.com/c/k", "", "", "", "an error"},
		{"another bucket by host", "GET", "https://c.s3.amazonaws.com/k", "", "", "", "an error"},
		{"no bucket", "GET", "https://s3.amazonaws.com/", "", "", "", "an error"},
		{"unknown setting", "GET", "https://b.s3.amazonaws.com/?futureConfiguration", "", "", "", "an error"},
		{"unknown method", "PATCH", "https://b.s3.amazonaws.com/k", "", "", "", "an error"},
		{"deleting many", "POST", "https://b.s3.amazonaws.com/?delete", "", "", "", "an error"},
		{"a post that is no form", "POST", "https://b.s3.amazonaws.com/?" + queryV4, "", "", "", "an error"},
		{"a link of the gate", "GET", "https://files.example.com/" + gateLink, "", "", "", "an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Method: tt.method, URL: u, Header: http.Header{}}
			for line := range strings.Lines(tt.headers) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				r.Header.Set(name, value)
			}
			r.Host = r.Header.Get("Host")
			d, notes, err := guard.FromHTTP(r, "b", signed.Add(59*time.Second))
			all := strings.Join(notes, " ")
			if err != nil {
				all = err.Error()
			}
			for _, secret := range []string{"canary", "CANARY", gateLink} {
				if strings.Contains(all+carried(d.Context), secret) {
					t.Errorf("%s %s gives away %s", all, carried(d.Context), secret)
				}
			}
			if err != nil || tt.note == "an error" {
				if tt.note != "an error" || err == nil {
					t.Errorf("got %+v, %v", d, err)
				}
				return
			}
			got := strings.Join([]string{d.Bucket, d.Key, d.Action, d.Auth}, "|")
			if d.OldSignature {
				got += "|old"
			}
			if d.PlainHTTP {
				got += "|plain"
			}
			if d.Age > 0 {
				got += "|" + d.Age.String()
			}
			if got != tt.want || carried(d.Context) != tt.context || !strings.Contains(all, tt.note) || (tt.note == "") != (all == "") {
				t.Errorf("got %s %q %q, want %s %q %q", got, carried(d.Context), all, tt.want, tt.context, tt.note)
			}
		})
	}
}

// Whose bucket it is may be left to the request.
func TestFromHTTPTakesTheBucketOfTheRequest(t *testing.T) {
	for _, text := range []string{"https://c.d.s3.eu-west-1.amazonaws.com/k", "http://127.0.0.1:9000/c.d/k"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if d, _, err := guard.FromHTTP(&http.Request{Method: "GET", URL: u}, "", time.Now()); err != nil || d.Bucket != "c.d" || d.Key != "k" {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
}

// Whatever is pasted, nothing panics, and what is understood is well-formed.
func FuzzReadHTTP(f *testing.F) {
	f.Add("https://docs.s3.amazonaws.com/a%20b?X-Amz-Algorithm=x&X-Amz-Date=20260102T030405Z&X-Amz-Expires=9&X-Amz-Signature=s")
	f.Add("> PUT /docs/k?partNumber=1&uploadId=u HTTP/2\n> Host: s3.amazonaws.com\n> X-Amz-Copy-Source: a/b\n>\n")
	f.Add("POST https://docs.s3.amazonaws.com/\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n")
	f.Add("GET //docs///k%2F?versionId&acl&prefix=%zz HTTP/1.1")
	f.Add("GET http://[::1]:9000/docs\n a: b\n:")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := guard.ReadHTTP(text)
		if err != nil {
			return
		}
		d, _, err := guard.FromHTTP(r, "", time.Unix(1_800_000_000, 0))
		if err != nil {
			return
		}
		if d.Auth != guard.AuthNone {
			d.Principal = policy.Principal{ARN: "arn:aws:iam::111122223333:user/admin"}
		}
		if d.Bucket == "" || d.Action == "" || d.Age < 0 {
			t.Errorf("%q is understood as %+v", text, d)
		}
		request, err := d.Request()
		if err != nil {
			return // a form, whose key is not known
		}
		for key, values := range request.Context {
			if key != strings.ToLower(key) || len(values) == 0 || !policy.KnownKey(key) {
				t.Errorf("%q: key %q %q", text, key, values)
			}
		}
	})
}

// What is said of a presigned URL is what a store does with it.
func TestWhatIsSaidOfAURLIsWhatAStoreDoes(t *testing.T) {
	for _, text := range []string{"", lockedText(t), deny("s3:PutObject", ifInQuery)} {
		_, gate := newBucket(t, text)
		var doc *policy.Document
		if text != "" {
			doc = document(t, []byte(text))
		}
		store(t, gate, "a b//c", "x")
		for _, sign := range []func(context.Context, string, time.Duration) (*s3client.Presigned, error){gate.PresignGet, gate.PresignPut} {
			signed, err := sign(t.Context(), "a b//c", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			r, err := guard.ReadHTTP(signed.Method + " " + signed.URL)
			if err != nil {
				t.Fatal(err)
			}
			d, notes, err := guard.FromHTTP(r, bucketName, time.Now())
			if err != nil || len(notes) > 0 || d.Auth != guard.AuthPresigned || d.Key != "a b//c" || d.Age > time.Minute {
				t.Fatalf("%+v, %q, %v", d, notes, err)
			}
			d.Principal = principal(t, "arn:aws:iam::000000000000:user/gate")
			request, err := d.Request()
			if err != nil {
				t.Fatal(err)
			}
			said := guard.Judge(doc, "000000000000", request)
			sent, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(sent)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if said.Allowed != (resp.StatusCode == http.StatusOK) {
				t.Errorf("%s under %s: %s, and the store answers %d", d.Action, text, said.Reason, resp.StatusCode)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
