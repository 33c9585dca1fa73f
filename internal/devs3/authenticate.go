package devs3

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rclone/gofakes3/signature"
)

// The values of the condition key s3:authType ("Actions, resources, and
// condition keys for Amazon S3", Service Authorization Reference).
const (
	authHeader = "REST-HEADER"
	authQuery  = "REST-QUERY-STRING"
	authForm   = "POST"
)

const (
	algorithm    = "AWS4-HMAC-SHA256"
	amzTime      = "20060102T150405Z"
	maxPresigned = 7 * 24 * time.Hour
)

// authenticate finds out who signed the request, and how. A request with no
// trace of a signature is anonymous; one with any trace must be right.
func (x *exchange) authenticate() error {
	header, query := x.r.Header["Authorization"], signedInQuery(x.query)
	var err error
	switch {
	case len(header) > 1 || len(header) == 1 && query:
		return invalidArgument("Authorization", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case len(header) == 1:
		x.caller, err = headerCaller(x.r)
	case query:
		x.caller, err = queryCaller(x.query)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if x.r.Header.Get("X-Amz-Security-Token") != "" || x.query.Has("X-Amz-Security-Token") {
		return &apiError{code: "InvalidToken", message: "The provided token is malformed or otherwise invalid."}
	}
	return x.verify()
}

// verify checks scope and signature of a caller and looks the user up.
func (x *exchange) verify() error {
	if err := x.caller.credential.check(x.server.region, x.caller.malformed(), x.caller.signed); err != nil {
		return err
	}
	code := signature.V4SignVerifyWithLookup(x.r, func(accessKey string) (string, bool) {
		u, ok := x.server.users[accessKey]
		return u.Secret, ok
	})
	if code != signature.ErrNone {
		e := signature.GetAPIError(code)
		return &apiError{code: e.Code, message: e.Description}
	}
	user := x.server.users[x.caller.credential.accessKey]
	x.caller.user = &user
	return nil
}

// signedInQuery reports whether anything in the query belongs to a signature,
// of whichever version and spelling.
func signedInQuery(q url.Values) bool {
	for name := range q {
		switch strings.ToLower(name) {
		case "x-amz-algorithm", "x-amz-credential", "x-amz-signature", "x-amz-signedheaders",
			"awsaccesskeyid", "signature":
			return true
		}
	}
	return false
}

// headerCaller reads the Authorization header. Whether it is true is for the
// verifier.
func headerCaller(r *http.Request) (caller, error) {
	text := r.Header.Get("Authorization")
	if strings.HasPrefix(text, "AWS ") {
		return caller{}, errOldSignature
	}
	fields, ok := strings.CutPrefix(text, algorithm+" ")
	if !ok {
		return caller{}, invalidArgument("Authorization", "Unsupported Authorization Type")
	}
	if r.Header.Get("X-Amz-Content-Sha256") == "" {
		return caller{}, invalidRequest("Missing required header for this request: x-amz-content-sha256")
	}
	c := caller{authType: authHeader}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			c.credential, ok = parseCredential(value)
		case "Signature":
			c.signature = value
		}
	}
	if !ok || c.credential.accessKey == "" {
		return caller{}, &apiError{code: c.malformed(), message: "The authorization header is malformed; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."}
	}
	var err error
	if date := r.Header.Get("X-Amz-Date"); date != "" {
		c.signed, err = time.Parse(amzTime, date)
	} else {
		c.signed, err = http.ParseTime(r.Header.Get("Date"))
	}
	if err != nil {
		return caller{}, &apiError{code: "AccessDenied", message: "AWS authentication requires a valid Date or x-amz-date header"}
	}
	return c, nil
}

// queryCaller reads the parameters of a presigned URL, all of which S3 requires
// ("Authenticating requests: using query parameters", Amazon S3 API Reference).
func queryCaller(q url.Values) (caller, error) {
	if q.Has("AWSAccessKeyId") {
		return caller{}, errOldSignature
	}
	c := caller{authType: authQuery}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(q[name]) != 1 || q.Get(name) == "" {
			return caller{}, &apiError{code: c.malformed(), message: "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."}
		}
	}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return caller{}, &apiError{code: c.malformed(), message: "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""}
	}
	var ok bool
	if c.credential, ok = parseCredential(q.Get("X-Amz-Credential")); !ok {
		return caller{}, &apiError{code: c.malformed(), message: "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."}
	}
	expires, err := strconv.ParseInt(q.Get("X-Amz-Expires"), 10, 32)
	if err != nil || expires < 0 || expires > int64(maxPresigned/time.Second) {
		return caller{}, &apiError{code: c.malformed(), message: "X-Amz-Expires must be a number of seconds, not negative and at most a week"}
	}
	if c.signed, err = time.Parse(amzTime, q.Get("X-Amz-Date")); err != nil {
		return caller{}, &apiError{code: c.malformed(), message: "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""}
	}
	c.signature = q.Get("X-Amz-Signature")
	return c, nil
}

var errOldSignature = invalidRequest("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
