package s3gatetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var authorizationForm = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$`)

// VerifySigV4 says what is wrong with the signature in the header of a request for
// a service other than S3, whose verifier knows no other: it shares no code with
// the SDK that has signed it (AWS General Reference, "Create a signed AWS API
// request"). The path must be "/".
func VerifySigV4(r *http.Request, body []byte, service, region, accessKey, secret string) error {
	m := authorizationForm.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return fmt.Errorf("the Authorization header is %q", r.Header.Get("Authorization"))
	}
	if m[1] != accessKey || m[3] != region || m[4] != service {
		return fmt.Errorf("signed by %s for %s in %s", m[1], m[4], m[3])
	}
	date := r.Header.Get("X-Amz-Date")
	if !strings.HasPrefix(date, m[2]+"T") {
		return fmt.Errorf("the date of %s is not that of the scope", date)
	}
	names := strings.Split(m[5], ";")
	if !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") {
		return fmt.Errorf("only %s are signed", m[5])
	}
	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	canonical := strings.Join([]string{r.Method, "/", r.URL.RawQuery, headers.String(), m[5], hexHash(body)}, "\n")
	scope := strings.Join([]string{m[2], region, service, "aws4_request"}, "/")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	want := hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hexHash([]byte(canonical))}, "\n")))
	if want != m[6] {
		return fmt.Errorf("the signature does not match the request")
	}
	return nil
}

func hexHash(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
