package conformance

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
)

func (s *suite) headerSignatures(t *testing.T) {
	s.put(t, "signed", "data")
	admin := s.Admin()
	want(t, "anonymous", s.anonymous(t, request{key: "signed"}), 403, "AccessDenied")
	want(t, "anonymous PUT", s.anonymous(t, request{method: "PUT", key: "signed", body: strings.NewReader("x")}), 403, "AccessDenied")
	want(t, "anonymous list", s.anonymous(t, request{query: "list-type=2"}), 403, "AccessDenied")
	want(t, "a wrong secret", s.do(t, request{key: "signed", as: s3gatetest.Identity{AccessKey: admin.AccessKey, Secret: "wrong"}}), 403, "SignatureDoesNotMatch")
	want(t, "an unknown key", s.do(t, request{key: "signed", as: s3gatetest.Identity{AccessKey: "UNKNOWN0000000000001", Secret: "wrong"}}), 403, "InvalidAccessKeyId")
	want(t, "another region", s.do(t, request{key: "signed", region: "eu-west-3"}), 400, "AuthorizationHeaderMalformed")
	for _, skew := range []time.Duration{-16 * time.Minute, 16 * time.Minute} {
		want(t, "skewed by "+skew.String(), s.do(t, request{key: "signed", at: time.Now().Add(skew)}), 403, "RequestTimeTooSkewed")
	}
	for _, skew := range []time.Duration{-14 * time.Minute, 14 * time.Minute} {
		want(t, "skewed by "+skew.String(), s.do(t, request{key: "signed", at: time.Now().Add(skew)}), 200)
	}

	req := s.sign(t, s.build(t, request{key: "signed"}), request{})
	req.URL.Path, req.URL.RawPath = "/"+s.bucket+"/other", ""
	want(t, "signed for another key", s.send(t, req), 403, "SignatureDoesNotMatch")
	req = s.sign(t, s.build(t, request{key: "signed"}), request{})
	req.Method = "DELETE"
	want(t, "signed for another method", s.send(t, req), 403, "SignatureDoesNotMatch")
	req = s.sign(t, s.build(t, request{key: "signed"}), request{})
	req.Header.Set("X-Amz-Meta-Smuggled", "x")
	if s.caps.SignedHeaders {
		want(t, "a header that was not signed", s.send(t, req), 403)
	}
	for _, value := range []string{"Bearer abc", "AWS key:signature", "AWS4-HMAC-SHA256 rubbish"} {
		req := s.build(t, request{key: "signed", header: map[string]string{"Authorization": value, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Date": time.Now().UTC().Format("20060102T150405Z")}})
		if a := s.send(t, req); a.status != 400 && a.status != 403 {
			t.Errorf("Authorization: %s: got %v", value, a)
		}
	}
	req = s.build(t, request{key: "signed"})
	signed, err := url.Parse(s.presign(t, request{key: "signed"}))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.RawQuery = signed.RawQuery
	want(t, "header and query at once", s.send(t, s.sign(t, req, request{})), 400)
}

func (s *suite) presignedURLs(t *testing.T) {
	s.put(t, "presigned", "data")
	if a := s.doPresigned(t, request{key: "presigned"}); a.status != 200 || a.body != "data" {
		t.Errorf("GET: got %v", a)
	}
	want(t, "HEAD", s.doPresigned(t, request{method: "HEAD", key: "presigned"}), 200)
	want(t, "a range", s.doPresigned(t, request{key: "presigned", header: map[string]string{"Range": "bytes=0-1"}}), 206)
	want(t, "PUT", s.doPresigned(t, request{method: "PUT", key: "presigned-put", body: strings.NewReader("body")}), 200)
	s.wantData(t, "presigned-put", "body")
	want(t, "DELETE", s.doPresigned(t, request{method: "DELETE", key: "presigned-put"}), 204)
	want(t, "list", s.doPresigned(t, request{query: "list-type=2"}), 200)
	want(t, "old, not expired", s.doPresigned(t, request{key: "presigned", at: time.Now().Add(-50 * time.Minute)}), 200)

	want(t, "expired", s.doPresigned(t, request{key: "presigned", at: time.Now().Add(-5 * time.Minute), expire: time.Minute}), 403, "AccessDenied", "ExpiredToken")
	want(t, "not yet valid", s.doPresigned(t, request{key: "presigned", at: time.Now().Add(20 * time.Minute)}), 403)
	want(t, "for more than a week", s.doPresigned(t, request{key: "presigned", expire: 8 * 24 * time.Hour}), 400, "AuthorizationQueryParametersError")
	want(t, "another region", s.doPresigned(t, request{key: "presigned", region: "eu-west-3"}), 400, "AuthorizationQueryParametersError", "AuthorizationHeaderMalformed")
	want(t, "a wrong secret", s.doPresigned(t, request{key: "presigned", as: s3gatetest.Identity{AccessKey: s.AccessKey, Secret: "wrong"}}), 403, "SignatureDoesNotMatch")

	get := func(change func(u *url.URL, q url.Values)) answer {
		req := s.build(t, request{key: "presigned"})
		u, err := url.Parse(s.presign(t, request{key: "presigned"}))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		change(u, q)
		u.RawQuery = q.Encode()
		req.URL = u
		return s.send(t, req)
	}
	want(t, "for another key", get(func(u *url.URL, _ url.Values) { u.Path, u.RawPath = "/"+s.bucket+"/other", "" }), 403, "SignatureDoesNotMatch")
	want(t, "with a longer expiry", get(func(_ *url.URL, q url.Values) { q.Set("X-Amz-Expires", "7000") }), 403, "SignatureDoesNotMatch")
	want(t, "with another parameter", get(func(_ *url.URL, q url.Values) { q.Set("response-content-type", "text/html") }), 403, "SignatureDoesNotMatch")
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if a := get(func(_ *url.URL, q url.Values) { q.Del(name) }); a.status != 400 && a.status != 403 {
			t.Errorf("without %s: got %v", name, a)
		}
	}
}
