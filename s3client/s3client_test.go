package s3client_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"pgregory.net/rapid"

	"s3gate/s3client"
)

// nastyKeys are legal keys that something on the way likes to clean up.
var nastyKeys = []string{
	"plain.txt", "a b", "a+b", "a%2Fb", "a%b", "%", "%00", "%zz", "a//b", "/lead", "//lead", "///", "trail/", "/",
	".", "..", "../up", "./here", "a/../b", "a/./b", "a/..", "a?b", "a#b", "a&b=c;d", "*", "'()!~", "^`{}|\\", ":@$,",
	"\"<>", "a\tb", "a\nb\r", "\x01\x7f", "é", "e\u0301", "日本語/ファイル", "😀", "\u2028\u202e", "https://example.com/x",
	"bucket/bucket", strings.Repeat("k", 1024), strings.Repeat("ä", 512), "x\u00a0y", "=", "?policy", "a;b", "~user",
}

// echo is a stub that verifies every request and answers with the path and
// query as they arrived.
func echo(t testing.TB) *stub {
	return newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if err := verify(r, secretKey); err != nil {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, err)
			return
		}
		fmt.Fprint(w, target(r))
	})
}

// The path that is signed is the path that is sent, byte for byte (S1).
func TestPathSignedIsPathSent(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s := echo(t)
		styles := []struct {
			name   string
			change func(*s3client.Config)
			prefix string
		}{
			{"path style", nil, "/bucket"},
			{"virtual host", func(c *s3client.Config) {
				c.Endpoint, c.Transport = "http://s3.test", s.anyHost()
			}, ""},
			{"endpoint with a prefix", func(c *s3client.Config) { c.Endpoint += "/store/v 1/" }, "/store/v%201/bucket"},
			{"temporary credentials", func(c *s3client.Config) {
				c.Credentials = credentials.NewStaticCredentialsProvider(accessKey, secretKey, "session/token+==")
			}, "/bucket"},
		}
		for _, style := range styles {
			t.Run(style.name, func(t *testing.T) {
				b := s.open(t, f.in(style.change))
				for _, key := range nastyKeys {
					for _, method := range []string{http.MethodGet, http.MethodPut} {
						resp, got := do(t, b, &s3client.Request{Method: method, Key: key})
						if want := style.prefix + "/" + escape(key); resp.StatusCode != 200 || got != want {
							t.Errorf("%s %q arrived with %d as %s, want %s", method, key, resp.StatusCode, got, want)
						}
					}
				}
			})
		}
	})
}

// The same for keys that nobody thought of (S1).
func TestPathSignedIsPathSentForEveryKey(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s := echo(t)
		b := s.open(t, f.in(nil))
		text := rapid.OneOf(
			rapid.StringN(1, 100, 1024),
			rapid.StringOfN(rapid.RuneFrom([]rune("/.%+ ?#&=é\u0301\u202e\n2F")), 1, 60, -1),
		)
		rapid.Check(t, func(t *rapid.T) {
			key := text.Draw(t, "key")
			query := url.Values{}
			for range rapid.IntRange(0, 2).Draw(t, "parameters") {
				query.Set(rapid.StringMatching(`[a-z][a-z-]{0,9}`).Draw(t, "name"), text.Draw(t, "value"))
			}
			resp, err := b.Do(t.Context(), &s3client.Request{Method: http.MethodGet, Key: key, Query: query})
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, _ := io.ReadAll(resp.Body)
			path, rawQuery, _ := strings.Cut(string(got), "?")
			if want := "/bucket/" + escape(key); resp.StatusCode != 200 || path != want {
				t.Fatalf("%q arrived with %d as %s, want %s", key, resp.StatusCode, path, want)
			}
			if parsed, err := url.ParseQuery(rawQuery); err != nil || !maps.EqualFunc(parsed, query, slices.Equal) {
				t.Fatalf("query %q arrived as %q", query, rawQuery)
			}
		})
	})
}

// What arrives is what the caller gave and what the signature needs, and no
// more; the payload is declared unsigned, under the signature (S3).
func TestHeadersAreThoseGiven(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		var got http.Header
		var signature signed
		var length int64
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			if err := verify(r, secretKey); err != nil {
				t.Error(err)
			}
			got, length, signature = r.Header.Clone(), r.ContentLength, signatureOf(r)
			if len(r.TransferEncoding) != 0 {
				t.Errorf("transfer encoding %q", r.TransferEncoding)
			}
		})
		// By the signature in the header; that in the query needs none.
		always, ofSigning := []string{"User-Agent"}, []string{"Authorization", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token"}
		if f == form(s3client.SignHeader) {
			always = append(always, ofSigning[:3]...)
		}
		const signedAlways = "host;x-amz-content-sha256;x-amz-date"
		tests := []struct {
			name    string
			request s3client.Request
			session string
			extra   []string // headers that arrive besides
			signed  string
			length  int64
		}{
			{name: "get", request: s3client.Request{Method: "GET"}, signed: signedAlways},
			{name: "head", request: s3client.Request{Method: "HEAD"}, signed: signedAlways},
			{name: "delete", request: s3client.Request{Method: "DELETE"}, signed: signedAlways},
			{
				name: "put", request: s3client.Request{Method: "PUT", Body: newBody(strings.NewReader("hello")), Size: 5},
				extra: []string{"Content-Length"}, signed: "content-length;" + signedAlways, length: 5,
			},
			{
				name: "put of nothing", request: s3client.Request{Method: "PUT"},
				extra: []string{"Content-Length"}, signed: signedAlways,
			},
			{
				name: "session", request: s3client.Request{Method: "GET"}, session: "token",
				extra: []string{"X-Amz-Security-Token"}, signed: signedAlways + ";x-amz-security-token",
			},
			{
				name: "given",
				request: s3client.Request{Method: "GET", Header: http.Header{
					"Range": {"bytes=0-1"}, "If-Match": {`"a  b"`}, "X-Amz-Meta-A": {"1", " 2 "}, "Expect": {"100-continue"},
				}},
				extra:  []string{"Range", "If-Match", "X-Amz-Meta-A", "Expect"},
				signed: "host;if-match;range;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
			},
			{
				name: "set by the signer alone",
				request: s3client.Request{Method: "GET", Header: http.Header{
					"Authorization": {"Bearer x", "y"}, "X-Amz-Date": {"20000101T000000Z"}, "X-Amz-Security-Token": {"forged"},
					"X-Amz-Content-Sha256": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "User-Agent": {"curl"}, "Host": {"evil"},
				}},
				signed: signedAlways,
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				b := s.open(t, f.in(func(c *s3client.Config) {
					c.Credentials = credentials.NewStaticCredentialsProvider(accessKey, secretKey, tt.session)
				}))
				if f == form(s3client.SignQuery) {
					tt.extra = slices.DeleteFunc(tt.extra, func(name string) bool { return slices.Contains(ofSigning, name) })
					tt.signed = strings.Join(slices.DeleteFunc(strings.Split(tt.signed, ";"), func(name string) bool {
						return slices.Contains(ofSigning, http.CanonicalHeaderKey(name))
					}), ";")
				}
				tt.request.Key = "k"
				if tt.request.Header != nil {
					delete(tt.request.Header, "Host") // the transport never sends it
				}
				resp, _ := do(t, b, &tt.request)
				if resp.StatusCode != 200 {
					t.Fatalf("answered %d", resp.StatusCode)
				}
				names := slices.Sorted(maps.Keys(got))
				want := slices.Sorted(slices.Values(append(slices.Clone(always), tt.extra...)))
				if !slices.Equal(names, want) {
					t.Errorf("headers %q, want %q", names, want)
				}
				for _, name := range always {
					if len(got[name]) != 1 {
						t.Errorf("%s is %q, want one value", name, got[name])
					}
				}
				if signature.hash != "UNSIGNED-PAYLOAD" || signature.headers != tt.signed || signature.session != tt.session {
					t.Errorf("signature %+v, want %q signed", signature, tt.signed)
				}
				if length != tt.length {
					t.Errorf("length %d, want %d", length, tt.length)
				}
			})
		}
	})
}

func TestUserAgentNamesTheToken(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		tests := []struct{ name, configured, agent, want string }{
			{"nothing said", "", "", "s3gate"},
			{"version", "s3gate/1.2", "", "s3gate/1.2"},
			{"token", "s3gate/1.2", "tok_abc", "s3gate/1.2 tok_abc"},
		}
		var got string
		s := newStub(t, func(_ http.ResponseWriter, r *http.Request) { got = r.UserAgent() })
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				b := s.open(t, f.in(func(c *s3client.Config) { c.UserAgent = tt.configured }))
				do(t, b, &s3client.Request{Method: "GET", Key: "k", Agent: tt.agent})
				if got != tt.want {
					t.Errorf("User-Agent %q, want %q", got, tt.want)
				}
			})
		}
	})
}

func TestEndpoint(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		tests := []struct {
			name string
			cfg  s3client.Config
			want string // the URL of key "a b", or the error
			host string // the Host header, if it is not the URL's
		}{
			{"amazon, region by default", s3client.Config{Name: "media"}, "https://media.s3.us-east-1.amazonaws.com/a%20b", ""},
			{"amazon, region", s3client.Config{Name: "media", Region: "eu-central-1"}, "https://media.s3.eu-central-1.amazonaws.com/a%20b", ""},
			{"china", s3client.Config{Name: "media", Region: "cn-north-1"}, "https://media.s3.cn-north-1.amazonaws.com.cn/a%20b", ""},
			{"us-gov", s3client.Config{Name: "media", Region: "us-gov-west-1"}, "https://media.s3.us-gov-west-1.amazonaws.com/a%20b", ""},
			{"path style", s3client.Config{Name: "media", PathStyle: true}, "https://s3.us-east-1.amazonaws.com/media/a%20b", ""},
			{"bucket with dots", s3client.Config{Name: "my.media"}, "https://s3.us-east-1.amazonaws.com/my.media/a%20b", ""},
			{"custom", s3client.Config{Name: "media", Endpoint: "https://s3.example.com"}, "https://media.s3.example.com/a%20b", ""},
			{"custom, path style", s3client.Config{Name: "media", Endpoint: "https://s3.example.com", PathStyle: true}, "https://s3.example.com/media/a%20b", ""},
			{"slash at the end", s3client.Config{Name: "media", Endpoint: "https://s3.example.com//"}, "https://media.s3.example.com/a%20b", ""},
			{"port", s3client.Config{Name: "media", Endpoint: "http://minio:9000", PathStyle: true}, "http://minio:9000/media/a%20b", ""},
			{"port, virtual host", s3client.Config{Name: "media", Endpoint: "http://minio:9000"}, "http://media.minio:9000/a%20b", ""},
			{"default port", s3client.Config{Name: "media", Endpoint: "https://s3.example.com:443"}, "https://media.s3.example.com:443/a%20b", "media.s3.example.com"},
			{"prefix", s3client.Config{Name: "media", Endpoint: "https://example.com/s3/", PathStyle: true}, "https://example.com/s3/media/a%20b", ""},
			{"address", s3client.Config{Name: "media", Endpoint: "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/media/a%20b", ""},
			{"IPv6 address", s3client.Config{Name: "media", Endpoint: "http://[::1]:9000", PathStyle: true}, "http://[::1]:9000/media/a%20b", ""},
			{"access point", s3client.Config{Name: "arn:aws:s3:us-east-1:123456789012:accesspoint/ap"},
				"https://ap-123456789012.s3-accesspoint.us-east-1.amazonaws.com/a%20b", ""},

			{"no name", s3client.Config{}, "s3client: Name and Credentials are required", ""},
			{"no scheme", s3client.Config{Name: "media", Endpoint: "s3.example.com"}, badEndpoint("s3.example.com"), ""},
			{"other scheme", s3client.Config{Name: "media", Endpoint: "ftp://s3.example.com"}, badEndpoint("ftp://s3.example.com"), ""},
			{"no host", s3client.Config{Name: "media", Endpoint: "https://:9000"}, badEndpoint("https://:9000"), ""},
			{"query", s3client.Config{Name: "media", Endpoint: "https://s3.example.com/?x=1"}, badEndpoint("https://s3.example.com/?x=1"), ""},
			{"empty query", s3client.Config{Name: "media", Endpoint: "https://s3.example.com?"}, badEndpoint("https://s3.example.com?"), ""},
			{"fragment", s3client.Config{Name: "media", Endpoint: "https://s3.example.com#x"}, badEndpoint("https://s3.example.com#x"), ""},
			{"control character", s3client.Config{Name: "media", Endpoint: "https://s3\n.example.com"}, badEndpoint("https://s3\\n.example.com"), ""},
			{"password", s3client.Config{Name: "media", Endpoint: "https://root:hunter2@s3.example.com"}, badEndpoint("…@s3.example.com"), ""},
			{"password that does not parse", s3client.Config{Name: "media", Endpoint: "https://root:hun%ter2@s3.example.com"}, badEndpoint("…@s3.example.com"), ""},
			{"bad region", s3client.Config{Name: "media", Region: "not a region"}, "resolving the s3 endpoint: endpoint rule error, Invalid region: region was not a valid DNS name.", ""},
			{"directory bucket", s3client.Config{Name: "media--use1-az4--x-s3"}, `s3 bucket "media--use1-az4--x-s3" needs a kind of signature that is not supported`, ""},
			{"multi-region access point", s3client.Config{Name: "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap"},
				`s3 bucket "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap" needs a kind of signature that is not supported`, ""},
			{"object lambda", s3client.Config{Name: "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/ap"},
				`s3 bucket "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/ap" needs a kind of signature that is not supported`, ""},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var sent *http.Request
				tt.cfg.Credentials, tt.cfg.Signing = static, s3client.Signing(f)
				tt.cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					sent = r
					return respond(r, 200, ""), nil
				})
				b, err := s3client.Open(t.Context(), tt.cfg)
				if err != nil {
					if err.Error() != tt.want {
						t.Fatalf("got error %q, want %q", err, tt.want)
					}
					return
				}
				defer b.Close()
				do(t, b, &s3client.Request{Method: "GET", Key: "a b"})
				host := sent.URL.Host
				if tt.host != "" {
					host = tt.host
				}
				asked := *sent.URL
				asked.RawQuery = "" // the signature
				if got := asked.String(); got != tt.want || sent.Host != host {
					t.Errorf("asked %s of host %s, want %s of %s", got, sent.Host, tt.want, host)
				}
				if region := tt.cfg.Region; region != "" && !strings.HasSuffix(signatureOf(sent).credential, "/"+region+"/s3/aws4_request") {
					t.Errorf("signed for %q, want region %s", signatureOf(sent).credential, region)
				}
				if b.Name() != tt.cfg.Name {
					t.Errorf("Name() = %q", b.Name())
				}
			})
		}
		if _, err := s3client.Open(t.Context(), s3client.Config{Name: "media"}); err == nil {
			t.Error("opened without credentials")
		}
	})
}

func badEndpoint(got string) string {
	return `s3 endpoint must be a URL such as https://s3.example.com, without user, query or fragment, got "` + got + `"`
}

// A redirect is an answer like any other: nothing is sent elsewhere (S5).
func TestRedirectsAreNotFollowed(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		elsewhere := newStub(t, func(http.ResponseWriter, *http.Request) {})
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		})
		b := s.open(t, f.in(nil))
		resp, _ := do(t, b, &s3client.Request{Method: "GET", Key: "k"})
		if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") == "" {
			t.Errorf("answered %d", resp.StatusCode)
		}
		if _, err := b.Policy(t.Context()); err == nil {
			t.Error("reading the policy through a redirect: no error")
		}
		if n := elsewhere.requests.Load(); n != 0 {
			t.Errorf("%d requests went elsewhere", n)
		}
	})
}

// A store that is slow to answer is given up.
func TestResponseTimeout(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		release := make(chan struct{})
		s := newStub(t, func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		b := s.open(t, f.in(func(c *s3client.Config) {
			c.Transport = s3client.NewTransport(s3client.TransportConfig{ResponseTimeout: 30 * time.Millisecond})
		}))
		if _, err := b.Do(t.Context(), &s3client.Request{Method: "GET", Key: "k"}); !errors.Is(err, s3client.ErrUnreachable) {
			t.Errorf("got %v, want ErrUnreachable", err)
		}
	})
}

// idleCloser is a transport that is told to close its idle connections.
type idleCloser struct {
	roundTrip
	closed int
}

func (c *idleCloser) CloseIdleConnections() { c.closed++ }

func TestCloseClosesIdleConnections(t *testing.T) {
	transport := &idleCloser{}
	b, err := s3client.Open(t.Context(), s3client.Config{Name: "bucket", Credentials: static, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil || transport.closed != 1 {
		t.Errorf("%v, closed %d times", err, transport.closed)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		remotes := map[string]bool{}
		s := newStub(t, func(_ http.ResponseWriter, r *http.Request) { remotes[r.RemoteAddr] = true })
		b := s.open(t, f.in(nil))
		for range 10 {
			do(t, b, &s3client.Request{Method: "GET", Key: "k"})
		}
		if len(remotes) != 1 {
			t.Errorf("%d connections for 10 requests", len(remotes))
		}
	})
}
