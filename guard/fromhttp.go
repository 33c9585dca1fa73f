package guard

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"s3gate/policy"
)

// ReadHTTP reads a URL, "METHOD URL", or a request with headers as it is sent or as curl -v shows it. Errors
// hold nothing of it, since it may be signed.
func ReadHTTP(text string) (*http.Request, error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(lines[i], ">")) // curl -v
	}
	words := strings.Fields(lines[0])
	if len(words) == 1 {
		words = []string{http.MethodGet, words[0]}
	}
	if len(words) < 2 || len(words) > 3 {
		return nil, errors.New("the first line is no URL and no METHOD URL")
	}
	u, err := url.Parse(words[1])
	if err != nil {
		return nil, errors.New("the URL cannot be read")
	}
	head := append(lines[1:], "", "")
	head = head[:slices.Index(head, "")+2]
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.Join(head, "\r\n")))).ReadMIMEHeader()
	if err != nil {
		return nil, errors.New("the headers cannot be read")
	}
	return &http.Request{Method: words[0], URL: u, Host: header.Get("Host"), Header: http.Header(header)}, nil
}

// FromHTTP describes an HTTP request to S3, presigned or not, as it was sent: a URL without a scheme is
// taken to be of HTTPS. Bucket is the one it should be for; empty takes what the request says. Who signed
// it cannot be told from it, so the caller has to fill in the Principal unless Auth is [AuthNone]; nor can
// the key of a form. Age is counted to now. The notes are what a person should know and a policy is not
// asked. Neither they nor errors hold anything of a signature or of a link of the gate.
func FromHTTP(r *http.Request, bucket string, now time.Time) (d Description, notes []string, err error) {
	if slices.ContainsFunc(strings.Split(r.URL.Path, "/"), gateToken.MatchString) {
		return d, nil, errors.New("this is a link of the gate and no request to S3: the bucket's policy is not asked about it")
	}
	d.PlainHTTP = r.URL.Scheme == "http"
	if d.Bucket, d.Key, err = target(r, bucket); err != nil {
		return d, nil, err
	}
	query := r.URL.Query()
	d.Auth, d.OldSignature = signedBy(r, query)
	if d.Action, err = actionOf(r.Method, d, query); err != nil {
		return d, nil, err
	}
	d.Context = contextOf(r, query)
	if d.Auth == AuthPresigned && !d.OldSignature {
		d.Age, notes = ageOf(query, now)
	}
	if source := r.Header.Get("X-Amz-Copy-Source"); source != "" {
		notes = append(notes, "a copy also needs s3:GetObject of its source, which the policy of the source's bucket is asked about")
	}
	return d, notes, nil
}

// gateToken is what links of the gate hold.
var gateToken = regexp.MustCompile(`^s3g_[0-9A-Za-z]{28}$`)

// virtualHost is a name of Amazon S3 that begins with the bucket's ("Virtual hosting of buckets", Amazon S3
// User Guide).
var virtualHost = regexp.MustCompile(`^(.+)\.s3[.-](.*\.)?amazonaws\.com(\.cn)?$`)

// target finds bucket and key in the host and the path.
func target(r *http.Request, want string) (bucket, key string, err error) {
	host := r.URL.Hostname()
	if host == "" {
		host, _, _ = strings.Cut(r.Host, ":")
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	m := virtualHost.FindStringSubmatch(host)
	switch {
	case want != "" && strings.HasPrefix(host, want+"."):
		return want, path, nil
	case m != nil:
		bucket, key = m[1], path
	default:
		bucket, key, _ = strings.Cut(path, "/")
	}
	if bucket == "" {
		return "", "", errors.New("the request names no bucket")
	}
	if want != "" && bucket != want {
		return "", "", fmt.Errorf("the request is for bucket %q, not %q", bucket, want)
	}
	return bucket, key, nil
}

// signedBy tells how a request is signed, and whether by Signature Version 2.
func signedBy(r *http.Request, query url.Values) (auth string, old bool) {
	authorization := r.Header.Get("Authorization")
	switch {
	case query.Has("X-Amz-Signature") || query.Has("X-Amz-Algorithm"):
		return AuthPresigned, false
	case query.Has("AWSAccessKeyId"):
		return AuthPresigned, true
	case strings.HasPrefix(authorization, "AWS4-"):
		return AuthHeader, false
	case strings.HasPrefix(authorization, "AWS "):
		return AuthHeader, true
	case r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data"):
		return AuthPost, false
	}
	return AuthNone, false
}

// The actions that requests are, by method and the parameter that names what is asked for; empty is the
// object or the bucket itself ("Actions, resources, and condition keys for Amazon S3", Service
// Authorization Reference).
var (
	objectRequests = map[string]map[string]string{
		http.MethodGet: {
			"": "GetObject", "acl": "GetObjectAcl", "attributes": "GetObjectAttributes", "legal-hold": "GetObjectLegalHold",
			"retention": "GetObjectRetention", "tagging": "GetObjectTagging", "torrent": "GetObjectTorrent", "uploadId": "ListMultipartUploadParts",
		},
		http.MethodPut: {
			"": "PutObject", "acl": "PutObjectAcl", "legal-hold": "PutObjectLegalHold", "retention": "PutObjectRetention",
			"tagging": "PutObjectTagging", "uploadId": "PutObject",
		},
		http.MethodPost:   {"uploads": "PutObject", "uploadId": "PutObject", "restore": "RestoreObject"},
		http.MethodDelete: {"": "DeleteObject", "tagging": "DeleteObjectTagging", "uploadId": "AbortMultipartUpload"},
	}
	bucketRequests = map[string]map[string]string{
		http.MethodGet: {
			"": "ListBucket", "versions": "ListBucketVersions", "uploads": "ListBucketMultipartUploads", "location": "GetBucketLocation",
			"policy": "GetBucketPolicy", "versioning": "GetBucketVersioning", "acl": "GetBucketAcl", "logging": "GetBucketLogging",
		},
		http.MethodPut: {
			"policy": "PutBucketPolicy", "versioning": "PutBucketVersioning", "acl": "PutBucketAcl", "logging": "PutBucketLogging",
		},
		http.MethodPost:   {"": "PutObject"}, // a form
		http.MethodDelete: {"policy": "DeleteBucketPolicy", "": "DeleteBucket"},
	}

	// ofVersions are the actions that are others when a request names a version.
	ofVersions = []string{
		"GetObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectTagging", "GetObjectTorrent",
		"PutObjectAcl", "PutObjectTagging", "DeleteObject", "DeleteObjectTagging",
	}
	// plainParameters change nothing about the action; those of signatures and answers begin otherwise.
	plainParameters = []string{
		"AWSAccessKeyId", "Expires", "Signature", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "list-type",
		"marker", "max-keys", "max-parts", "max-uploads", "part-number-marker", "partNumber", "prefix", "start-after", "upload-id-marker",
		"version-id-marker", "versionId", "x-id",
	}
)

// actionOf tells the action of a request.
func actionOf(method string, d Description, query url.Values) (string, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	requests, on := objectRequests, "an object"
	if d.Key == "" {
		requests, on = bucketRequests, "a bucket"
	}
	what := ""
	for name := range query {
		if !slices.Contains(plainParameters, name) && !strings.HasPrefix(name, "X-Amz-") && !strings.HasPrefix(name, "response-") {
			what = name
		}
	}
	action, ok := requests[method][what]
	if ok && method == http.MethodPost && d.Key == "" && d.Auth != AuthPost && d.Auth != AuthNone {
		ok = false // only forms are posted to the bucket
	}
	switch {
	case !ok && what == "":
		return "", fmt.Errorf("what a %s to %s is cannot be told: describe it by its action", method, on)
	case !ok:
		return "", fmt.Errorf("what a %s to %s with %.40q is cannot be told: describe it by its action", method, on, what)
	case query.Has("versionId") && slices.Contains(ofVersions, action):
		action = strings.Replace(action, "Object", "ObjectVersion", 1)
	}
	return "s3:" + action, nil
}

// What condition keys are named after.
var (
	keyHeaders = []string{
		"if-match", "if-none-match", "x-amz-acl", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-grant-full-control", "x-amz-grant-read",
		"x-amz-grant-read-acp", "x-amz-grant-write", "x-amz-grant-write-acp", "x-amz-metadata-directive", "x-amz-object-ownership",
		"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-customer-algorithm",
		"x-amz-storage-class", "x-amz-website-redirect-location",
	}
	keyParameters = []string{"delimiter", "max-keys", "prefix", "versionId"}
)

// contextOf takes the condition keys that a request carries itself. A presigned request may carry headers in
// its query string.
func contextOf(r *http.Request, query url.Values) policy.Context {
	c := policy.Context{}
	for _, name := range keyParameters {
		if query.Has(name) {
			c.Set("s3:"+name, query.Get(name))
		}
	}
	for _, name := range keyHeaders {
		value := r.Header.Get(name)
		for parameter := range query {
			if strings.EqualFold(parameter, name) {
				value = query.Get(parameter)
			}
		}
		if value != "" {
			c.Set("s3:"+name, value)
		}
	}
	for key, name := range map[string]string{"aws:Referer": "Referer", "aws:UserAgent": "User-Agent"} {
		if value := r.Header.Get(name); value != "" {
			c.Set(key, value)
		}
	}
	return c
}

// ageOf tells how long ago a URL was signed, and notes what S3 refuses by itself.
func ageOf(query url.Values, now time.Time) (age time.Duration, notes []string) {
	signed, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
	if err != nil {
		return 0, []string{"the URL has no valid X-Amz-Date: S3 refuses it whatever the policy says"}
	}
	life, err := strconv.Atoi(query.Get("X-Amz-Expires"))
	if err != nil {
		notes = append(notes, "the URL has no valid X-Amz-Expires: S3 refuses it whatever the policy says")
	} else if end := signed.Add(time.Duration(life) * time.Second); now.After(end) {
		notes = append(notes, "the URL has expired at "+end.Format(time.RFC3339)+": S3 refuses it whatever the policy says")
	}
	return max(0, now.Sub(signed)), notes
}
