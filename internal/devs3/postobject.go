package devs3

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"s3gate/internal/devs3/disk"
)

// postObject answers an upload by an HTML form ("POST Object", Amazon S3 API
// Reference): it reads the fields, verifies the form's policy, and goes on as a
// PUT whose body is the file.
func (x *exchange) postObject() error {
	if x.caller.authType != "" {
		return invalidArgument("Authorization", "Only one auth mechanism allowed; a form carries its own signature")
	}
	form, err := readForm(x.r)
	if err != nil {
		return err
	}
	if err := x.authenticateForm(form); err != nil {
		return err
	}
	x.key = strings.ReplaceAll(form.get("key"), "${filename}", form.filename)
	if x.key == "" || !utf8.ValidString(x.key) {
		return invalidArgument("key", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	if err := checkKey(x.key); err != nil {
		return err
	}
	status, err := form.successStatus()
	if err != nil {
		return err
	}
	x.op = &putForm
	x.r = x.r.Clone(x.r.Context()) // conditions ask for what stands in headers elsewhere
	maps.Copy(x.r.Header, form.headers())
	if err := x.authorize(); err != nil {
		return err
	}
	if err := x.becomePut(form); err != nil {
		return err
	}
	announce := x.w.success
	x.w.success = func(h http.Header, _ int) (int, []byte) {
		announce(h, status)
		h.Set("Location", x.url())
		if status != http.StatusCreated {
			return status, nil
		}
		h.Set("Content-Type", "application/xml")
		return status, document(postResult{Location: x.url(), Bucket: x.bucket, Key: x.key, ETag: h.Get("ETag")})
	}
	x.forward()
	return nil
}

// putForm is what a form asks permission for.
var putForm = operation{name: "PostObject", action: "s3:PutObject"}

type postResult struct {
	XMLName  xml.Name `xml:"PostResponse"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

// becomePut replaces the request by one that puts the file.
func (x *exchange) becomePut(form *form) error {
	x.out.Method = http.MethodPut
	x.out.URL = &url.URL{Path: "/" + x.bucket + "/" + x.key}
	x.query = url.Values{}
	x.out.Header = form.headers()
	x.checksum = disk.Checksum{}
	p := &payload{src: form.file, left: -1, bounds: &form.size}
	if err := x.declaredDigests(p); err != nil {
		return err
	}
	x.payload, x.out.Body = p, io.NopCloser(p)
	x.out.ContentLength, x.out.TransferEncoding = -1, []string{"chunked"}
	return x.prepareWrite()
}

// authenticateForm verifies the signature over the form's policy, and the form
// by the policy. A form without either is anonymous.
func (x *exchange) authenticateForm(form *form) error {
	if !form.signed() {
		return nil
	}
	var ok bool
	c := caller{authType: authForm, signature: form.get("x-amz-signature")}
	if form.get("x-amz-algorithm") != algorithm {
		return errOldSignature
	}
	if c.credential, ok = parseCredential(form.get("x-amz-credential")); !ok {
		return invalidArgument("x-amz-credential", "The credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	var err error
	if c.signed, err = time.Parse(amzTime, form.get("x-amz-date")); err != nil {
		return invalidArgument("x-amz-date", "x-amz-date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	if form.get("x-amz-security-token") != "" {
		return &apiError{code: "InvalidToken", message: "The provided token is malformed or otherwise invalid."}
	}
	if err := c.credential.check(x.server.region, c.malformed(), c.signed); err != nil {
		return err
	}
	user, ok := x.server.users[c.credential.accessKey]
	if !ok {
		return &apiError{code: "InvalidAccessKeyId", message: "The AWS Access Key Id you provided does not exist in our records."}
	}
	want := hex.EncodeToString(mac(signingKey(user.Secret, c.credential), form.get("policy")))
	if !hmac.Equal([]byte(want), []byte(c.signature)) {
		return &apiError{code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	}
	c.user = &user
	x.caller, x.facts = c, nil
	return form.obeyPolicy(x.bucket, time.Now())
}

// successStatus is what the form wants to be answered; 204 unless it says.
func (f *form) successStatus() (int, error) {
	for _, name := range []string{"success_action_redirect", "redirect", "tagging"} {
		if f.get(name) != "" {
			return 0, errNotImplemented.with("Field", name)
		}
	}
	switch text := f.get("success_action_status"); text {
	case "200", "201":
		return strconv.Atoi(text)
	default:
		return http.StatusNoContent, nil
	}
}
