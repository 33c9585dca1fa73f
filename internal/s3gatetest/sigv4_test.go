package s3gatetest_test

import (
	"net/http"
	"testing"

	"s3gate/internal/s3gatetest"
)

// The request "get-vanilla" of the test suite that AWS has published for its
// signature, and changes of it.
func TestVerifySigV4(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	request := func() *http.Request {
		r, err := http.NewRequest("GET", "https://example.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "+
			"SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
		return r
	}
	verify := func(r *http.Request, body, secret string) error {
		return s3gatetest.VerifySigV4(r, []byte(body), "service", "us-east-1", "AKIDEXAMPLE", secret)
	}
	if err := verify(request(), "", secret); err != nil {
		t.Errorf("the request of the suite: %v", err)
	}
	another := request()
	another.Host = "example.com"
	later := request()
	later.Header.Set("X-Amz-Date", "20150830T123601Z")
	unsigned := request()
	unsigned.Header.Del("Authorization")
	for name, err := range map[string]error{
		"another host": verify(another, "", secret), "another body": verify(request(), "x", secret), "another secret": verify(request(), "", secret+"x"),
		"another date": verify(later, "", secret), "no signature": verify(unsigned, "", secret),
		"another service": s3gatetest.VerifySigV4(request(), nil, "sns", "us-east-1", "AKIDEXAMPLE", secret),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
