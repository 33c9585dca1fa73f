package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"s3gate/proxy"
	"s3gate/s3client"
)

// A redirect of S3 is not followed and not passed on, whatever of an upload
// it answers: 502, and no Location (S5).
func TestRedirectsOfUploads(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, of := range []string{http.MethodPut, create, uploadPart, complete, abort, listParts} {
			t.Run(fmt.Sprint(status, " ", of), func(t *testing.T) {
				g := newPartsGate(t, http1)
				redirect := reading(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", elsewhere.URL+"/"+canaryBucket)
					w.WriteHeader(status)
				})
				token, size := g.mint(put()), 3*testPart
				if of == http.MethodPut {
					size = 1
				}
				g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
					switch k := kind(r.Method, r.RequestURI); {
					case k == of:
						redirect(w, r)
					case k == uploadPart && (of == abort || of == listParts):
						refuse(403, "AccessDenied")(w, r)
					default:
						g.s3.behave(w, r)
					}
				})
				a := g.put(token, noise(size))
				if a.StatusCode != 502 || a.Header.Get("Location") != "" {
					t.Errorf("%s, Location %q: %s", a.Status, a.Header.Get("Location"), a.body)
				}
				checkCanaries(t, "answer", dump(a), token)
				checkCanaries(t, "log", g.log.String(), token)
				if g.s3.count(of) == 0 {
					t.Errorf("s3 got %q, nothing was redirected", g.s3.kinds())
				}
				g.wantCharge(token, "free")
				if _, stored := g.s3.object(); stored || of != abort && g.s3.left() != 0 {
					t.Errorf("stored %v, %d uploads are left", stored, g.s3.left())
				}
			})
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// What S3 says of a request of an upload is mapped: no bucket, key or string
// to sign reaches the client, the log or a metric, in no form (S4, S6).
func TestErrorsOfUploadsSayNothing(t *testing.T) {
	for _, test := range []struct {
		status int // 200 is an error in a document of success
		code   string
		want   int
	}{
		{400, "InvalidArgument", 502},
		{403, "AccessDenied", 502},
		{403, "SignatureDoesNotMatch", 502},
		{403, "RequestTimeTooSkewed", 503},
		{404, "NoSuchBucket", 502},
		{501, "NotImplemented", 502},
		{503, "SlowDown", 503},
		{200, "AccessDenied", 502},
		{200, "InternalError", 502},
	} {
		for _, of := range []string{http.MethodPut, create, uploadPart, complete} {
			if test.status == 200 && of != complete {
				continue // only this request is answered so
			}
			t.Run(fmt.Sprint(of, " ", test.status, " ", test.code), func(t *testing.T) {
				g := newPartsGate(t, http1)
				g.s3.times(100, of, reading(refuse(test.status, test.code)))
				token, size := g.mint(put()), 2*testPart
				if of == http.MethodPut {
					size = 1
				}
				for _, form := range problemForms {
					a := g.put(token, noise(size), "Accept", form.accept)
					if a.StatusCode != test.want {
						t.Errorf("%s: %s, want %d\n%s", form.name, a.Status, test.want, a.body)
					}
					checkSafeHeaders(t, a, form.csp)
					checkCanaries(t, form.name, dump(a), token)
				}
				checkCanaries(t, "log", g.log.String(), token)
				checkCanaries(t, "metrics", g.metricsText(), token)
				g.wantNothing(token)
			})
		}
	}
}

// rotating gives other credentials each time, and counts.
type rotating struct{ given atomic.Int64 }

func (p *rotating) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID: fmt.Sprint("AKIDEXAMPLE", p.given.Add(1)), SecretAccessKey: canarySecret,
		CanExpire: true, Expires: time.Now().Add(time.Hour),
	}, nil
}

// Credentials that S3 finds expired in the middle of an upload in parts are
// replaced, and the upload goes on with the fresh ones (S11).
func TestCredentialsExpireDuringUploadInParts(t *testing.T) {
	for _, at := range []string{"1", "3", ""} { // the part, or the request that completes it
		t.Run("part "+at, func(t *testing.T) {
			g := newPartsGate(t, http1)
			g.Multipart.Concurrency = 1
			b, err := s3client.Open(t.Context(), s3client.Config{
				Name: canaryBucket, Endpoint: g.s3.server.URL, PathStyle: true, Credentials: &rotating{},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			g.Buckets["media"] = b
			var expired atomic.Bool
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				now := kind(r.Method, r.RequestURI) == complete
				if at != "" {
					now = r.URL.Query().Get("partNumber") == at
				}
				if now {
					expired.Store(true)
				}
				if expired.Load() && strings.Contains(r.Header.Get("Authorization"), "AKIDEXAMPLE1/") {
					reading(refuse(400, "ExpiredToken"))(w, r)
					return
				}
				g.s3.behave(w, r)
			})
			token, data := g.mint(put()), noise(5*testPart+1)
			if a := g.put(token, data); a.StatusCode != 200 {
				t.Errorf("%s %s", a.Status, a.body)
			}
			if stored, _ := g.s3.object(); stored != data {
				t.Errorf("stored %d bytes of %d", len(stored), len(data))
			}
			log := g.s3.log()
			if last := log[len(log)-1].header.Get("Authorization"); !strings.Contains(last, "AKIDEXAMPLE2/") {
				t.Errorf("the last request was signed with %.60q", last)
			}
			g.wantCharge(token, "charged")
		})
	}
}

// A clock that is off is not the client's fault, wherever in an upload S3
// finds it: 503, and nothing is left (S11).
func TestClockSkewDuringUpload(t *testing.T) {
	for _, of := range []string{create, uploadPart, complete} {
		g := newPartsGate(t, http1)
		g.s3.times(100, of, reading(refuse(403, "RequestTimeTooSkewed")))
		token := g.mint(put())
		if a := g.put(token, noise(3*testPart)); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %s", of, a.Status, a.body)
		}
		g.wantNothing(token)
		if kinds := g.s3.kinds(); of != create && !slices.Contains(kinds, abort) || proxy.MemoryHeld(&g.Multipart) != 0 {
			t.Errorf("%s: s3 got %q", of, kinds)
		}
	}
}
