package guard

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"s3gate/policy"
	"s3gate/s3client"
)

// Store is a bucket to try requests on, as somebody; [s3client.Bucket] is one.
// One that can also read its policy, as [Settings] do, is asked for it when
// something is not as it should be, to say why.
type Store interface {
	// Do signs in the form that Signing names.
	Do(ctx context.Context, r *s3client.Request) (*http.Response, error)
	Signing() s3client.Signing
	Presign(ctx context.Context, r *s3client.Request, at time.Time, ttl time.Duration) (*s3client.Presigned, error)
	PresignPost(ctx context.Context, key string, header http.Header, ttl time.Duration) (*s3client.Presigned, error)
	Unsigned(method, key string) *s3client.Presigned
	Name() string
	// Secure says whether requests go over TLS.
	Secure() bool
}

// VerifyOptions say what is tried. The zero value tries the whole bucket with a
// canary of its own.
type VerifyOptions struct {
	// Prefix is what the locked keys begin with, for a lock on a part of the
	// bucket: the canaries are under it too.
	Prefix string
	// Key is an object that is there, for credentials that may not write: it is
	// only read, and of writing nothing is proven. "" writes canaries.
	Key string
	// Principal is who the store's credentials belong to, so that a statement
	// which exempts them can be named; the zero value is not known, and not
	// anonymous.
	Principal policy.Principal
	// Partition is that of the bucket's ARN, by which its policy is read; "" is
	// "aws".
	Partition string
	// Header goes with each request that stores something, as with those of the
	// gate: a bucket may refuse what does not say how to encrypt it. Nil is none.
	Header http.Header
	// MaxAge is how old a presigned request of the gate may be where it signs in
	// the query string; 0 means [s3client.MaxQueryLife].
	MaxAge time.Duration
	// Others are further credentials to try.
	Others []Other
	// Client sends presigned requests, and must not follow redirects; nil means
	// one of its own.
	Client *http.Client
}

// Other is the same bucket with the credentials of somebody else.
type Other struct {
	// Name is what the checks call them.
	Name string
	// Exempt says that the lock lets their presigned requests through.
	Exempt bool
	Store  Store
}

// Check is one request that was tried. Its JSON form is stable.
type Check struct {
	// Name says what was tried.
	Name string `json:"name"`
	// Want is what a locked bucket does, "allowed" or "refused", and Got what
	// this one did, with the status.
	Want string `json:"want"`
	Got  string `json:"got"`
	// OK is whether that is the same.
	OK bool `json:"ok"`
	// Cause is why not, as far as the bucket's policy tells; "" if it is OK.
	Cause string `json:"cause,omitempty"`
}

// Report is the outcome of a verification. Its JSON form is stable.
type Report struct {
	// Locked is true when every presigned request was refused and every signed
	// one of the gate allowed. It is never true of a bucket whose gate signs in
	// the query string. What others than the gate have presigned was only tried for
	// [VerifyOptions.Others].
	Locked bool `json:"locked"`
	// Limited is Locked's place there: what the gate has presigned opens the
	// bucket until it is as old as MaxAge, nothing else that was tried does, and
	// the policy denies what others have presigned, or those were tried.
	Limited bool `json:"limited"`
	// ReadsOnly says that nothing was written, see [VerifyOptions].
	ReadsOnly bool `json:"reads_only"`
	// Prefix is what the keys begin with for which this holds; "" is all.
	Prefix string `json:"prefix,omitempty"`
	// Exempts is what the bucket's policy leaves out where it denies presigned
	// requests, such as "aws:username legacy"; nil if nothing, or not known.
	Exempts []string `json:"exempts,omitempty"`
	// Unproven is what is not known although all checks went as they should, such
	// as what becomes of presigned requests of others; "" if nothing.
	Unproven string `json:"unproven,omitempty"`
	// PolicyIgnored says that the store let through what its own policy denies:
	// it does not apply bucket policies to signed requests.
	PolicyIgnored bool `json:"policy_ignored"`
	// Signing is how the gate's own requests were signed.
	Signing s3client.Signing `json:"signing"`
	Checks  []Check          `json:"checks"`
	// Left are the keys of canaries that may be there still: deleting them
	// failed.
	Left []string `json:"left,omitempty"`
}

// OK reports whether all is as it should be: the bucket is locked, or limited
// where it cannot be locked.
func (r *Report) OK() bool { return r.Locked || r.Limited }

// Failed are the checks that did not go as they should.
func (r *Report) Failed() []Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool { return c.OK })
}

// Open reports whether something got through that a locked bucket refuses. A
// bucket that is neither OK nor Open was not proven to be either.
func (r *Report) Open() bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Want == refused && strings.HasPrefix(c.Got, allowed) })
}

// CanaryPrefix begins the keys of the objects that Verify makes and removes.
const CanaryPrefix = ".s3gate-canary/"

// presignTTL must exceed the 15 minutes that S3 lets clocks differ for a
// header-signed request (Amazon S3 API, "Error responses",
// RequestTimeTooSkewed): with less a slow clock here makes presigned requests
// expire on their way, which S3 calls AccessDenied and which is no lock.
const presignTTL = 30 * time.Minute

// staleMargin is how much older than it may be a presigned request is that must
// be refused for its age: clocks differ.
const staleMargin = time.Minute

// Verify is [VerifyWith] without options, but for the client.
func Verify(ctx context.Context, s Store, client *http.Client) (Report, error) {
	return VerifyWith(ctx, s, VerifyOptions{Client: client})
}

// VerifyPrefix is [Verify] for a bucket of which only the keys that begin with
// prefix are locked.
func VerifyPrefix(ctx context.Context, s Store, prefix string, client *http.Client) (Report, error) {
	return VerifyWith(ctx, s, VerifyOptions{Prefix: prefix, Client: client})
}

// VerifyWith tries real requests: it stores a small object under [CanaryPrefix]
// as the gate stores things, reads it, tries what a locked bucket refuses
// (presigned GET, HEAD, PUT, DELETE, listing and multipart upload, a POST form, and
// GET and PUT without a signature), reads the bucket's policy as to the presigned
// requests of others, if it may, and removes what is there. The store's credentials must be allowed
// to do that. An error means that it could not be tried, not that it failed.
func VerifyWith(ctx context.Context, s Store, o VerifyOptions) (report Report, err error) {
	if o.Client == nil {
		// Without a proxy, as in s3client: a policy that admits only some
		// networks must not look like a lock.
		o.Client = &http.Client{
			Transport:     s3client.NewTransport(s3client.TransportConfig{}),
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		defer o.Client.CloseIdleConnections()
	}
	if o.MaxAge == 0 {
		o.MaxAge = s3client.MaxQueryLife
	}
	v := &verification{
		VerifyOptions: o, store: s, key: o.Key, body: []byte("canary " + rand.Text()), stored: map[string]string{},
		report: Report{Signing: s.Signing(), ReadsOnly: o.Key != "", Prefix: o.Prefix},
	}
	if o.Key == "" {
		v.key = o.Prefix + CanaryPrefix + rand.Text()
	}
	defer func() { report.Left = v.cleanUp(context.WithoutCancel(ctx)) }()
	for _, a := range v.attempts() {
		if err := v.try(ctx, a); err != nil {
			return v.report, fmt.Errorf("trying a %s: %w", a.name, err)
		}
	}
	v.conclude(ctx)
	return v.report, nil
}

// conclude says what the checks come to.
func (v *verification) conclude(ctx context.Context) {
	doc, problem := policyOf(ctx, v.store)
	v.blame(doc, problem)
	v.readPolicy(doc, problem)
	if len(v.report.Failed()) > 0 {
		return
	}
	v.report.Locked = v.report.Signing != s3client.SignQuery
	v.report.Limited = !v.report.Locked
}
