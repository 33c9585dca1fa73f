// Package s3client is the only part of s3gate that talks to S3.
//
// A [Bucket] turns a small [Request] (a method, a key, some headers, a body)
// into an HTTP request that is signed with Signature Version 4 at the moment it
// is sent, in the Authorization header or, where that cannot be, in the query
// string ([Signing]), and hands back the raw response with its body unread. Nothing of a client's request gets in but
// what the caller puts into the Request; the path that is signed is the path
// that is sent, byte for byte, for every legal key.
//
// The package does not buffer, retry a body, follow redirects or decompress.
// What it does once and not per request is resolving the endpoint and
// refreshing credentials.
package s3client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Config describes a bucket and how to reach it.
type Config struct {
	// Name is the bucket's real name. Required.
	Name string
	// Region signs the requests; "" means us-east-1.
	Region string
	// Endpoint is the URL of an S3-compatible store; "" means Amazon S3 in
	// Region.
	Endpoint string
	// PathStyle puts the bucket into the path and not into the host name.
	PathStyle bool
	// Credentials sign the requests. Required. They are cached, and replaced
	// up to five minutes ahead of their expiry.
	Credentials aws.CredentialsProvider
	// Signing is where [Bucket.Do] puts the signature; "" means SignHeader.
	// Settings of the bucket are always signed in the header.
	Signing Signing
	// QueryLife is how long a request that is signed in its query string is good
	// for, in whole seconds of 1 s to [MaxQueryLife]; 0 means MaxQueryLife. The
	// clocks here and at the store may not differ by more.
	QueryLife time.Duration
	// Transport sends the requests; nil means [NewTransport] with its
	// defaults. It must not follow redirects, decompress or add credentials.
	Transport http.RoundTripper
	// UserAgent begins the User-Agent of every request, such as
	// "s3gate/1.0"; "" means "s3gate".
	UserAgent string
	// Logger hears of credentials that could not be refreshed; nil discards.
	Logger *slog.Logger
}

// Bucket sends requests to one bucket. It is safe for concurrent use.
type Bucket struct {
	cfg         Config
	endpoint    *url.URL // with the bucket in its host or path
	credentials *credentials
	signer      signer
	transport   http.RoundTripper
	direct      http.RoundTripper // the same, shorter
	settings    *s3.Client        // for what is not worth a fast path
}

// Open resolves the endpoint and starts refreshing credentials, which ends
// with [Bucket.Close]. It does not connect.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	if cfg.Name == "" || cfg.Credentials == nil {
		return nil, errors.New("s3client: Name and Credentials are required")
	}
	cfg.Region = cmp.Or(cfg.Region, "us-east-1")
	cfg.Endpoint = strings.TrimRight(cfg.Endpoint, "/")
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "s3gate")
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	query, err := cfg.queryLife()
	if err != nil {
		return nil, err
	}
	endpoint, err := resolve(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &Bucket{cfg: cfg, endpoint: endpoint, transport: cfg.Transport}
	if b.transport == nil {
		b.transport = NewTransport(TransportConfig{})
	}
	b.direct = newLean(b.transport)
	b.credentials = newCredentials(cfg.Credentials, cfg.Logger)
	b.signer = signer{credentials: b.credentials, region: cfg.Region, query: query, plain: plainSigner{region: cfg.Region}}
	b.settings = newSettingsClient(cfg, b.credentials, b.transport)
	return b, nil
}

// queryLife is how long a signed query is good for; 0 if the header is signed.
func (c *Config) queryLife() (time.Duration, error) {
	switch life := cmp.Or(c.QueryLife, MaxQueryLife); {
	case c.Signing == "" || c.Signing == SignHeader:
		return 0, nil
	case c.Signing != SignQuery:
		return 0, fmt.Errorf("s3client: Signing must be %s or %s, got %q", SignHeader, SignQuery, c.Signing)
	case life < time.Second || life > MaxQueryLife || life%time.Second != 0:
		return 0, fmt.Errorf("s3client: QueryLife must be whole seconds, 1s to %s, got %s", MaxQueryLife, life)
	default:
		return life, nil
	}
}

// Close stops refreshing credentials and closes idle connections.
func (b *Bucket) Close() error {
	b.credentials.close()
	if t, ok := b.direct.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// Signing says where [Bucket.Do] puts the signature.
func (b *Bucket) Signing() Signing { return cmp.Or(b.cfg.Signing, SignHeader) }

// Name returns the bucket's real name.
func (b *Bucket) Name() string { return b.cfg.Name }

// Region returns the region that requests are signed for.
func (b *Bucket) Region() string { return b.cfg.Region }

// Secure reports whether requests go over TLS.
func (b *Bucket) Secure() bool { return b.endpoint.Scheme == "https" }

// resolve applies the SDK's endpoint rules once.
func resolve(ctx context.Context, cfg Config) (*url.URL, error) {
	params := s3.EndpointParameters{
		Bucket:         &cfg.Name,
		Region:         &cfg.Region,
		ForcePathStyle: &cfg.PathStyle,
	}
	if cfg.Endpoint != "" {
		if !isEndpoint(cfg.Endpoint) {
			return nil, fmt.Errorf("s3 endpoint must be a URL such as https://s3.example.com, without user, query or fragment, got %q",
				hidePassword(cfg.Endpoint))
		}
		params.Endpoint = &cfg.Endpoint
	}
	ep, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, params.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("resolving the s3 endpoint: %w", err)
	}
	if !signedAsS3(&ep.Properties) {
		return nil, fmt.Errorf("s3 bucket %q needs a kind of signature that is not supported", cfg.Name)
	}
	return &ep.URI, nil
}

func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// hidePassword keeps what looks like user:password@ out of an error.
func hidePassword(endpoint string) string {
	if i := strings.LastIndexByte(endpoint, '@'); i >= 0 {
		return "…" + endpoint[i:]
	}
	return endpoint
}

// signedAsS3 reports whether requests to the endpoint carry the plain
// signature. Directory buckets, Outposts, Object Lambda and multi-region
// access points want others.
func signedAsS3(properties *smithy.Properties) bool {
	options, _ := auth.GetAuthOptions(properties)
	for _, o := range options {
		name, _ := smithyhttp.GetSigV4SigningName(&o.SignerProperties)
		if o.SchemeID == "sigv4" && name == "s3" {
			return true
		}
	}
	return false
}

// Request is one request for an object.
type Request struct {
	// Method is the HTTP method.
	Method string
	// Key is the object's key, unescaped.
	Key string
	// Query holds subresources and overrides; usually nil.
	Query url.Values
	// Header is sent and signed as it is; the request takes ownership. Nil
	// means none. Authorization, Host and X-Amz-Date are set by the signer.
	Header http.Header
	// Body is sent as it is read and closed in every case; nil means none.
	Body io.ReadCloser
	// Size is the number of bytes in Body, which must be known.
	Size int64
	// Agent is appended to the User-Agent, so that S3's own access log names
	// the token's ID; "" appends nothing.
	Agent string
}

// Errors of [Bucket.Do]. What S3 answers is not an error of Do.
var (
	// ErrCredentials: there were none to sign with.
	ErrCredentials = errors.New("no s3 credentials")
	// ErrUnreachable: the request got no answer. It may have been carried
	// out.
	ErrUnreachable = errors.New("no answer from s3")
)

// Do signs and sends r and returns the response, whatever its status, with
// its body unread; the caller closes it. The body of r has been closed, or
// will be as soon as the transport lets go of it. Cancelling ctx aborts the
// request and the reading of the response's body.
//
// When S3 finds the credentials expired they are refreshed, and a request
// without a body is sent once more.
func (b *Bucket) Do(ctx context.Context, r *Request) (*http.Response, error) {
	resp, err := b.send(ctx, r)
	if err != nil || r.Body != nil || !expired(resp) {
		return resp, err
	}
	resp.Body.Close()
	// The transport may still hold the headers that it sent.
	again := *r
	again.Header = r.Header.Clone()
	return b.send(ctx, &again)
}

func (b *Bucket) send(ctx context.Context, r *Request) (*http.Response, error) {
	req := b.build(r).WithContext(ctx)
	creds, err := b.signer.sign(ctx, req, time.Now())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := b.direct.RoundTrip(req)
	if err != nil {
		if b.signer.query > 0 {
			err = hideQuery(err, req.URL.RawQuery)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if b.signer.query > 0 {
		withoutQuery(resp)
	}
	if expired(resp) {
		b.credentials.invalidate(creds)
	}
	return resp, nil
}

// build makes the bare HTTP request.
func (b *Bucket) build(r *Request) *http.Request {
	u := *b.endpoint
	u.Path += "/" + r.Key
	u.RawPath = httpbinding.EscapePath(u.Path, false)
	u.RawQuery = r.Query.Encode() // the signer puts it into the form it signs
	header := r.Header
	if header == nil {
		header = http.Header{}
	}
	agent := b.cfg.UserAgent
	if r.Agent != "" {
		agent += " " + r.Agent
	}
	header.Set("User-Agent", agent)
	req := &http.Request{
		Method: r.Method, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	switch {
	case r.Body == nil:
	case r.Size == 0:
		// Without this net/http probes the body to find out whether it is
		// empty, and sends it chunked if it cannot tell.
		r.Body.Close()
		req.Body = http.NoBody
	default:
		req.Body, req.ContentLength = r.Body, r.Size
	}
	return req
}

// TransportConfig bounds the connections to S3. Zero fields mean defaults.
type TransportConfig struct {
	// DialTimeout bounds connecting, and separately the TLS handshake; 0
	// means 10 s.
	DialTimeout time.Duration
	// ResponseTimeout bounds the wait for response headers after the request
	// was written; 0 means 60 s.
	ResponseTimeout time.Duration
	// MaxIdle is the number of idle connections kept for each host; 0 means
	// 256.
	MaxIdle int
}

// NewTransport returns a transport fit for streaming objects: HTTP/1.1, no
// decompression, no proxy, Expect: 100-continue honoured, and enough idle
// connections that a busy gate does not dial for each request.
func NewTransport(cfg TransportConfig) *http.Transport {
	dial := cmp.Or(cfg.DialTimeout, 10*time.Second)
	idle := cmp.Or(cfg.MaxIdle, 256)
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dial, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   dial,
		ResponseHeaderTimeout: cmp.Or(cfg.ResponseTimeout, 60*time.Second),
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConns:          idle,
		MaxIdleConnsPerHost:   idle,
		DisableCompression:    true,
		// A non-nil empty map keeps HTTP/2 off: S3 does not speak it, and one
		// connection for each transfer is what flow control wants.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}
