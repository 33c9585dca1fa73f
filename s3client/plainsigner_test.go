package s3client_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"s3gate/s3client"
)

var (
	noon      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	permanent = aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	temporary = aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: secretKey, SessionToken: "IQoJb3JpZ2luX2VjE//////+session=="}
)

// request makes a request as the package builds them: its URL is parsed from text,
// and its headers are lines of "Name: value", repeated for several values.
func request(method, address string, length int64, lines ...string) *http.Request {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	req := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}, ContentLength: length}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	return req
}

// bySDK signs a request as the SDK's signer does, which is what must come out.
func bySDK(t testing.TB, region string, creds aws.Credentials, req *http.Request, at time.Time) *http.Request {
	signed := req.Clone(t.Context())
	signed.Header.Del("X-Amz-Security-Token")
	signed.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	sdk := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
	if err := sdk.SignHTTP(t.Context(), creds, signed, "UNSIGNED-PAYLOAD", "s3", region, at); err != nil {
		t.Fatal(err)
	}
	return signed
}

// difference says in what two requests differ on their way to a store; "" if in
// nothing.
func difference(got, want *http.Request) string {
	switch {
	case got.Host != want.Host || !reflect.DeepEqual(got.URL, want.URL):
		return fmt.Sprintf("host %q and URL %#v, want %q and %#v", got.Host, *got.URL, want.Host, *want.URL)
	case !maps.EqualFunc(got.Header, want.Header, slices.Equal):
		return fmt.Sprintf("header\n%q, want\n%q", got.Header, want.Header)
	}
	return ""
}

// comparePlain signs req in both ways, and reports whether it was plain.
func comparePlain(t testing.TB, p *s3client.PlainSigner, region string, creds aws.Credentials, req *http.Request, at time.Time) (plain bool, diff string) {
	got := req.Clone(t.Context())
	if !s3client.SignPlain(p, &creds, got, at) {
		return false, difference(got, req)
	}
	return true, difference(got, bySDK(t, region, creds, req, at))
}

// Requests whose signature is known, and does not change with the SDK's version.
func TestPlainSignerGolden(t *testing.T) {
	for _, tt := range []struct {
		name  string
		creds aws.Credentials
		req   *http.Request
		want  string // Authorization, behind the credential
	}{
		{
			"get", permanent, request("GET", "https://media.s3.eu-central-1.amazonaws.com/reports/quarter%203.pdf", 0,
				"User-Agent: s3gate/1.0", "Range: bytes=0-9", "If-Match: \"a\""),
			"SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date, Signature=e5d0841ab5949c79d580c4cbab7e8fe044ae5bd0d52a3a6a786dbbdca078e4de",
		},
		{
			"put by a role", temporary, request("PUT", "http://127.0.0.1:9000/media/a//b", 1<<20,
				"Content-Type: text/plain;  charset=utf-8", "If-None-Match: *", "X-Amz-Meta-Owner: ops"),
			"SignedHeaders=content-length;content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-owner;x-amz-security-token, Signature=92056227d4230bca6c9bcd70b2eacbd08233d20c16cfe6f00471ab528124de09",
		},
		{
			"part", permanent, request("PUT", "http://127.0.0.1:9000/media/k?partNumber=7&uploadId=VXBsb2Fk%2F%3D", 5<<20),
			"SignedHeaders=content-length;host;x-amz-content-sha256;x-amz-date, Signature=b71b4a62b4dccf5d6d9d96e0966eb168a5a5d91143c33fafc9a0924d5d96380e",
		},
	} {
		sdk := bySDK(t, "eu-central-1", tt.creds, tt.req, noon).Header.Get("Authorization")
		if !s3client.SignPlain(s3client.NewPlainSigner("eu-central-1"), &tt.creds, tt.req, noon) {
			t.Errorf("%s: is not plain", tt.name)
			continue
		}
		want := "AWS4-HMAC-SHA256 Credential=" + tt.creds.AccessKeyID + "/20260301/eu-central-1/s3/aws4_request, " + tt.want
		if got := tt.req.Header.Get("Authorization"); got != want || sdk != want {
			t.Errorf("%s:\n%s, by the SDK\n%s, want\n%s", tt.name, got, sdk, want)
		}
		if at := tt.req.Header.Get("X-Amz-Date"); at != "20260301T120000Z" {
			t.Errorf("%s: dated %s", tt.name, at)
		}
		if err := verifyRaw(arrived(tt.req), secretKey); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// arrived is a request as a server sees it.
func arrived(req *http.Request) *http.Request {
	r := req.Clone(req.Context())
	r.RequestURI = req.URL.RequestURI()
	return r
}

// What is plain is signed as the SDK's signer does; what is not is left alone.
func TestPlainSignerIsTheSDKs(t *testing.T) {
	const object = "https://media.s3.eu-central-1.amazonaws.com/k"
	change := func(req *http.Request, f func(*http.Request)) *http.Request { f(req); return req }
	for _, tt := range []struct {
		name  string
		req   *http.Request
		plain bool
	}{
		{"nothing", request("GET", object, 0), true},
		{"no path", request("GET", "https://media.example", 0), true},
		{"every printable character in the path", request("GET", object+"%20%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E_%60%7B%7C%7D~", 0), true},
		{"path that is not escaped as it is signed", request("GET", object+"/a+b@c(d)é", 0), true},
		{"path without its escaped form", change(request("GET", object, 0), func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a b/é//..", "" }), true},
		{"path whose escaped form is another's", change(request("GET", object, 0), func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a b", "/c" }), true},
		{"path *", change(request("OPTIONS", object, 0), func(r *http.Request) { r.URL.Path, r.URL.RawPath = "*", "" }), true},
		{"opaque", change(request("GET", object, 0), func(r *http.Request) { r.URL.Opaque = "//media.example/k" }), false},
		{"lower case method", request("get", object, 0), true},
		{"no method", request("", object, 0), true},

		{"port", request("GET", "http://127.0.0.1:9000/k", 0), true},
		{"port that goes without saying", request("GET", "http://media.example:80/k", 0), false},
		{"the same of TLS", request("GET", "https://media.example:443/k", 0), false},
		{"port of the other scheme", request("GET", "http://media.example:443/k", 0), false},
		{"port that ends like one", request("GET", "http://media.example:8443/k", 0), true},
		{"no port behind a colon", request("GET", "http://media.example:/k", 0), true},
		{"IPv6", request("GET", "http://[::1]/k", 0), true},
		{"IPv6 with a port", request("GET", "http://[::1]:9000/k", 0), true},
		{"IPv6 with 80", request("GET", "http://[::1]:80/k", 0), false},
		{"IPv6 that ends with 80", request("GET", "http://[fe80::80]/k", 0), true},
		{"host of the URL", change(request("GET", object, 0), func(r *http.Request) { r.Host = "" }), true},
		{"another host", change(request("GET", object, 0), func(r *http.Request) { r.Host = "Other.Example" }), true},
		{"no host", change(request("GET", object, 0), func(r *http.Request) { r.Host, r.URL.Host = "", "" }), true},
		{"space in the host", change(request("GET", object, 0), func(r *http.Request) { r.Host = "a  b" }), false},
		{"host beyond ASCII", change(request("GET", object, 0), func(r *http.Request) { r.Host = "bücket.example" }), false},

		{"query", request("GET", object+"?partNumber=1&uploadId=a", 0), true},
		{"query with escapes", request("GET", object+"?response-content-type=text%2Fplain%3B%20charset%3Dutf-8&x=%C3%A9%00", 0), true},
		{"subresource", request("GET", object+"?uploads=", 0), true},
		{"name twice", request("GET", object+"?a=1&a=1&a=2", 0), true},
		{"name that goes on with a hyphen", request("GET", object+"?a=2&a-=1", 0), true},
		{"subresource without =", request("GET", object+"?uploads", 0), false},
		{"space as +", request("GET", object+"?a=b+c", 0), false},
		{"lower case escape", request("GET", object+"?a=%c3%a9", 0), false},
		{"escape that is not needed", request("GET", object+"?a=%41", 0), false},
		{"escape that is missing", request("GET", object+"?a=/", 0), false},
		{"escape that is none", request("GET", object+"?a=%4G", 0), false},
		{"escape that breaks off", request("GET", object+"?a=%4", 0), false},
		{"= in a value", request("GET", object+"?a=b=c", 0), false},
		{"semicolon", request("GET", object+"?a=1;b=2", 0), false},
		{"names in another order", request("GET", object+"?b=1&a=2", 0), false},
		{"values in another order", request("GET", object+"?a=2&a=1", 0), false},
		{"order after escaping", request("GET", object+"?a=a%2Fb&a=a-b", 0), true},
		{"order before escaping", request("GET", object+"?a=a-b&a=a%2Fb", 0), false},
		{"empty pair", request("GET", object+"?a=1&&b=2", 0), false},
		{"no name", request("GET", object+"?=1", 0), false},
		{"long query", request("GET", object+"?a="+strings.Repeat("b", 2000), 0), false},
		{"query that is there and empty", request("GET", object+"?", 0), true},

		{"length", request("PUT", object, 1<<40), true},
		{"length 0", request("PUT", object, 0), true},
		{"unknown length", request("PUT", object, -1), true},
		{"length in the header", request("PUT", object, 5, "Content-Length: 5"), false},
		{"host in the header", request("PUT", object, 5, "Host: other.example"), false},

		{"headers that are not signed", request("PUT", object, 5, "User-Agent: s3gate", "Authorization: mine", "Expect: 100-continue", "X-Amzn-Trace-Id: a", "Transfer-Encoding: chunked"), true},
		{"hop by hop", request("PUT", object, 5, "Connection: close", "Te: trailers", "Accept-Encoding: identity"), true},
		{"headers in an order of their own", request("PUT", object, 5, "X-Amz-Meta-A: 1", "X-Amz-Meta-A1: 2", "X-Amz-Meta-A-B: 3", "X-Amz-Meta--: 4", "X-Amz-Meta-1: 5", "X-Amz-Meta-: 6", "Cache-Control: 7", "Z: 8"), true},
		{"spaces", request("GET", object, 0, "X-Amz-Meta-A:    a   b  c ", "X-Amz-Meta-B:  ", "X-Amz-Meta-C: ", "X-Amz-Meta-D:      ", "X-Amz-Meta-E: a b"), true},
		{"several values", request("GET", object, 0, "If-Match:  a  b ", "If-Match: ", "If-Match: \"c\",d"), true},
		{"a name in lower case", request("GET", object, 0, "x-amz-meta-a: b"), false},
		{"a name that is the same in lower case", request("GET", object, 0, "X-Amz-Meta-A: b", "X-Amz-Meta-a: c"), false},
		{"a name in upper case", request("GET", object, 0, "X-AMZ-META-A: b"), false},
		{"lower case authorization", request("GET", object, 0, "authorization: b"), false},
		{"a name with _", request("GET", object, 0, "X-Amz-Meta-A_b: c"), false},
		{"a name beyond ASCII", request("GET", object, 0, "X-Amz-Meta-É: c"), false},
		{"no name of a header", request("GET", object, 0, ": c"), false},
		{"no value", change(request("GET", object, 0), func(r *http.Request) { r.Header["Range"] = nil }), false},
		{"tab", request("GET", object, 0, "X-Amz-Meta-A: \ta\tb"), false},
		{"value beyond ASCII", request("GET", object, 0, "X-Amz-Meta-A: \u00a0é"), false},
		{"line end", request("GET", object, 0, "X-Amz-Meta-A: a\nhost:b"), false},
		{"DEL", request("GET", object, 0, "X-Amz-Meta-A: \x7f"), false},
		{"second value beyond ASCII", request("GET", object, 0, "X-Amz-Meta-A: a", "X-Amz-Meta-A: é"), false},
		{"what a signature brings", request("GET", object, 0, "X-Amz-Date: then", "X-Amz-Content-Sha256: 0", "X-Amz-Security-Token: old", "Authorization: old", "Authorization: older"), true},
		{"twice what a signature brings", request("GET", object, 0, "X-Amz-Content-Sha256: 0", "X-Amz-Content-Sha256: 1", "X-Amz-Security-Token: old", "X-Amz-Security-Token: older"), true},
	} {
		for _, creds := range []aws.Credentials{permanent, temporary} {
			plain, diff := comparePlain(t, s3client.NewPlainSigner("eu-central-1"), "eu-central-1", creds, tt.req, noon)
			if plain != tt.plain {
				t.Errorf("%s: plain %v, want %v", tt.name, plain, tt.plain)
			}
			if diff != "" {
				t.Errorf("%s: %s", tt.name, diff)
			}
		}
	}
	odd := temporary
	odd.SessionToken = "  é"
	if plain, diff := comparePlain(t, s3client.NewPlainSigner(""), "", odd, request("GET", object, 0), noon); plain || diff != "" {
		t.Errorf("a session beyond ASCII: plain %v %s", plain, diff)
	}
}

// One signer follows the day and the credentials, whatever it has signed before.
func TestPlainSignerHasTheKeyOfTheMoment(t *testing.T) {
	other, renamed, session := permanent, permanent, permanent
	other.SecretAccessKey = "another"
	renamed.AccessKeyID = "AKIDOTHER"
	session.SessionToken = "session"
	midnight := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	p := s3client.NewPlainSigner("eu-central-1")
	for _, tt := range []struct {
		name  string
		creds aws.Credentials
		at    time.Time
	}{
		{"at noon", permanent, noon},
		{"again", permanent, noon.Add(time.Second)},
		{"another secret of the same ID", other, noon.Add(time.Second)},
		{"and back", permanent, noon.Add(time.Second)},
		{"the same secret of another ID", renamed, noon},
		{"with a session", session, noon},
		{"without it", permanent, noon},
		{"right before midnight", permanent, midnight.Add(-1)},
		{"at midnight", permanent, midnight},
		{"a request that was slow", permanent, midnight.Add(-1)},
		{"where it is still yesterday", permanent, midnight.Add(time.Hour).In(time.FixedZone("", -5*3600))},
		{"where it is tomorrow already", permanent, midnight.Add(23 * time.Hour).In(time.FixedZone("", 14*3600))},
		{"on a leap day", permanent, time.Date(2028, 2, 29, 23, 59, 59, 999999999, time.UTC)},
		{"on the same day of another year", permanent, noon.AddDate(1, 0, 0)},
		{"on the same day of another month", permanent, noon.AddDate(0, 1, 0)},
	} {
		for range 2 {
			req := request("GET", "https://media.example/k", 0, "Range: bytes=0-")
			if plain, diff := comparePlain(t, p, "eu-central-1", tt.creds, req, tt.at); !plain || diff != "" {
				t.Errorf("%s: plain %v %s", tt.name, plain, diff)
			}
		}
	}
}

// Those who share a signer, around midnight and while credentials change, do not
// get each other's signatures.
func TestPlainSignerIsShared(t *testing.T) {
	p := s3client.NewPlainSigner("eu-central-1")
	var all sync.WaitGroup
	for n := range 8 {
		creds, at := permanent, noon.AddDate(0, 0, n%2)
		if n%4 > 1 {
			creds = temporary
			creds.SecretAccessKey = "another"
		}
		req := request("GET", fmt.Sprint("https://media.example/", n), 0, fmt.Sprintf("X-Amz-Meta-N: %s %d", strings.Repeat("n", 100*n), n))
		want := bySDK(t, "eu-central-1", creds, req, at)
		all.Go(func() {
			for range 200 {
				got := req.Clone(t.Context())
				s3client.SignPlain(p, &creds, got, at)
				if diff := difference(got, want); diff != "" {
					t.Error(diff)
					return
				}
			}
		})
	}
	all.Wait()
}

// A request that is sent once more keeps nothing of the first signature, and the
// first, which may still be on its way, nothing of the second.
func TestPlainSignerSignsAgain(t *testing.T) {
	p := s3client.NewPlainSigner("eu-central-1")
	first := request("GET", "https://media.example/k", 0, "Range: bytes=0-")
	again := *first
	s3client.SignPlain(p, &temporary, first, noon)
	again.Header = maps.Clone(first.Header) // with the same values
	before := first.Header.Clone()
	if plain, diff := comparePlain(t, p, "eu-central-1", permanent, &again, noon.Add(time.Hour)); !plain || diff != "" {
		t.Errorf("plain %v %s", plain, diff)
	}
	s3client.SignPlain(p, &permanent, &again, noon.Add(time.Hour))
	if !maps.EqualFunc(first.Header, before, slices.Equal) {
		t.Errorf("the first has become %q, was %q", first.Header, before)
	}
	first.Header.Add("X-Amz-Date", "more")
	if got := first.Header.Get("X-Amz-Content-Sha256"); got != "UNSIGNED-PAYLOAD" {
		t.Errorf("what is added to a header is in another: %q", got)
	}
}

// [s3client.Bucket.Do] signs plain requests in this way: the SDK's signer alone
// would need more allocations than all of it does.
func TestDoSignsPlainRequestsPlainly(t *testing.T) {
	ok := &http.Response{StatusCode: 200, Body: http.NoBody}
	bucket := open(t, s3client.Config{
		Name: "media", Credentials: static,
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { return ok, nil }),
	})
	n := testing.AllocsPerRun(200, func() {
		if _, err := bucket.Do(t.Context(), &s3client.Request{Method: "GET", Key: "reports/q3.pdf"}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 30 {
		t.Errorf("%v allocations", n)
	}
}

// randomRequest draws requests that are plain, or, if odd, perhaps not.
func randomRequest(odd bool) *rapid.Generator[*http.Request] {
	words := rapid.StringOfN(rapid.RuneFrom([]rune(" !\"#%&',-./09:;=@AZ[]_az~")), 0, 40, -1)
	key, names := words, rapid.StringMatching(`(X-Amz-Meta-)?[A-Z][a-z0-9]{0,3}(-[A-Z0-9][a-z0-9]{0,3}){0,3}`)
	host := rapid.StringMatching(`[a-z0-9]{1,9}(\.[a-zA-Z]{2,5})?(:9[0-9]{0,3})?`)
	if odd {
		words = rapid.OneOf(words, rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune(" \ta\u00a0,")), 0, 9, -1))
		names = rapid.OneOf(names, rapid.StringMatching(`[A-Za-z_-]{1,9}`), rapid.SampledFrom([]string{"Host", "Content-Length", "Expect", "X-Amz-Date", "authorization"}))
		host = rapid.OneOf(host, rapid.StringMatching(`(a|\[::1?\])?(:(80|443|0)?)?`))
	}
	return rapid.Custom(func(t *rapid.T) *http.Request {
		u := &url.URL{Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"), Host: host.Draw(t, "host")}
		u.Path = "/" + rapid.OneOf(key, rapid.String()).Draw(t, "key")
		u.RawPath = escape(u.Path)
		query := url.Values{}
		for range rapid.IntRange(0, 3).Draw(t, "parameters") {
			query.Add(rapid.StringMatching(`[a-zA-Z-]{1,9}`).Draw(t, "parameter"), strings.ReplaceAll(words.Draw(t, "value"), " ", ""))
		}
		for _, values := range query {
			slices.SortFunc(values, func(a, b string) int { return strings.Compare(url.QueryEscape(a), url.QueryEscape(b)) })
		}
		u.RawQuery = query.Encode()
		if odd && rapid.Bool().Draw(t, "raw") {
			u.RawQuery = rapid.StringMatching(`[a-b%&=+;2CF/-]{0,12}`).Draw(t, "query")
		}
		req := &http.Request{
			Method: rapid.SampledFrom([]string{"GET", "HEAD", "PUT", "POST", "DELETE"}).Draw(t, "method"), URL: u, Host: u.Host,
			Header: http.Header{}, ContentLength: rapid.Int64Range(-1, 1<<50).Draw(t, "length"),
		}
		for range rapid.IntRange(0, 20).Draw(t, "headers") {
			name := names.Draw(t, "name")
			req.Header[name] = append(req.Header[name], words.Draw(t, "text"))
		}
		return req
	})
}

func randomCredentials() *rapid.Generator[aws.Credentials] {
	return rapid.Custom(func(t *rapid.T) aws.Credentials {
		return aws.Credentials{
			AccessKeyID: rapid.SampledFrom([]string{"AKIA1", "ASIA2"}).Draw(t, "id"), SecretAccessKey: rapid.SampledFrom([]string{"a", "b", strings.Repeat("c", 100)}).Draw(t, "secret"),
			SessionToken: rapid.SampledFrom([]string{"", "short", strings.Repeat("long/+=", 200)}).Draw(t, "session"),
		}
	})
}

// The same of requests that nobody thought of, by one signer for all.
func TestPlainSignerIsTheSDKsForEveryRequest(t *testing.T) {
	p := s3client.NewPlainSigner("eu-central-1")
	for _, odd := range []bool{false, true} {
		taken := 0
		rapid.Check(t, func(rt *rapid.T) {
			req, creds := randomRequest(odd).Draw(rt, "request"), randomCredentials().Draw(rt, "credentials")
			at := noon.Add(time.Duration(rapid.Int64Range(-36, 36).Draw(rt, "hours")) * time.Hour)
			plain, diff := comparePlain(t, p, "eu-central-1", creds, req, at)
			if plain {
				taken++
			}
			if diff != "" || !plain && !odd {
				rt.Fatalf("plain %v %s", plain, diff)
			}
		})
		if taken == 0 {
			t.Errorf("none was plain, odd %v", odd)
		}
	}
}

func FuzzPlainSigner(f *testing.F) {
	f.Add("GET", "https://media.example/a%20b?partNumber=1&uploadId=a%2F", int64(0), "Range: bytes=0-9\nIf-Match: a", secretKey, "session", noon.Unix())
	f.Add("PUT", "http://127.0.0.1:9000/media/k", int64(5), "X-Amz-Meta-A:   a  b\nX-Amz-Meta-A: c\nContent-Length: 5", "s", "", noon.Unix())
	f.Fuzz(func(t *testing.T, method, address string, length int64, lines, secret, session string, second int64) {
		u, err := url.Parse(address)
		if err != nil {
			return // nothing can be asked there
		}
		for line := range strings.SplitSeq(lines, "\n") {
			// Two names that differ in case alone the SDK signs in any order.
			if name, _, _ := strings.Cut(line, ": "); name != http.CanonicalHeaderKey(name) {
				return
			}
		}
		req := request(method, u.String(), length, strings.Split(lines, "\n")...)
		creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret, SessionToken: session}
		if _, diff := comparePlain(t, s3client.NewPlainSigner("us-east-1"), "us-east-1", creds, req, time.Unix(second, 0)); diff != "" {
			t.Error(diff)
		}
	})
}
