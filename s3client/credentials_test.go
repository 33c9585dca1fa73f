package s3client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// numbered are the credentials of the n-th refresh, good for life.
func numbered(n int64, life time.Duration) aws.Credentials {
	return aws.Credentials{
		AccessKeyID: fmt.Sprint("AK", n), SecretAccessKey: fmt.Sprint("secret", n), SessionToken: fmt.Sprint("session", n),
		CanExpire: true, Expires: time.Now().Add(life),
	}
}

// inBubble opens a bucket whose S3 answers everything, under a clock of its
// own. use sends a request and returns the access key that signed it.
func inBubble(t *testing.T, f form, p aws.CredentialsProvider, logger *slog.Logger, test func(t *testing.T, use func() (string, error))) {
	synctest.Test(t, func(t *testing.T) {
		b, err := s3client.Open(t.Context(), s3client.Config{
			Name: "bucket", Credentials: p, Logger: logger, Signing: s3client.Signing(f),
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return respond(r, 200, signatureOf(r).key()), nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		synctest.Wait()
		test(t, func() (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			resp, err := b.Do(ctx, &s3client.Request{Method: "GET", Key: "k"})
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			key, _ := io.ReadAll(resp.Body)
			return string(key), nil
		})
	})
}

// instant fails the test if use takes any time.
func instant(t *testing.T, use func() (string, error)) string {
	t.Helper()
	begin := time.Now()
	key, err := use()
	if err != nil {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
	if took := time.Since(begin); took != 0 {
		t.Errorf("the request waited %s", took)
	}
	return key
}

// Credentials are replaced in the background two and a half to five minutes
// ahead of their expiry, and no request waits for it (S11).
func TestCredentialsAreReplacedAheadOfExpiry(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) {
			if n > 1 {
				time.Sleep(20 * time.Second) // a slow service
			}
			return numbered(n, time.Hour), nil
		}}
		inBubble(t, f, p, nil, func(t *testing.T, use func() (string, error)) {
			begin := time.Now()
			var replaced time.Duration
			for time.Since(begin) < 61*time.Minute {
				key := instant(t, use)
				switch {
				case key == "AK2" && replaced == 0:
					replaced = time.Since(begin)
				case key != "AK1" && key != "AK2", key == "AK1" && replaced != 0:
					t.Fatalf("after %s: signed by %s", time.Since(begin), key)
				}
				time.Sleep(time.Second)
			}
			if replaced < 55*time.Minute || replaced > 58*time.Minute+10*time.Second {
				t.Errorf("replaced after %s, want about 55 to 58 minutes", replaced)
			}
			if n := p.calls.Load(); n != 2 {
				t.Errorf("asked %d times, want twice", n)
			}
		})
	})
}

// While the provider fails the old credentials are used as long as they are
// good; then requests fail, until it is back (S11).
func TestCredentialsOutliveAFailingProvider(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		var away atomic.Bool
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) {
			if away.Load() {
				return aws.Credentials{}, errProvider
			}
			return numbered(n, time.Hour), nil
		}}
		var logged s3gatetest.Log
		inBubble(t, f, p, slog.New(slog.NewTextHandler(&logged, nil)), func(t *testing.T, use func() (string, error)) {
			away.Store(true)
			begin := time.Now()
			for time.Since(begin) < time.Hour-time.Second {
				if key := instant(t, use); key != "AK1" {
					t.Fatalf("after %s: signed by %s", time.Since(begin), key)
				}
				time.Sleep(time.Second)
			}
			if n := p.calls.Load(); n < 10 || n > 40 {
				t.Errorf("asked %d times, want every 10 s for the last minutes", n)
			}
			synctest.Wait()
			if !strings.Contains(logged.String(), errProvider.Error()) || strings.Contains(logged.String(), "secret1") {
				t.Errorf("logged %q, want the cause and no secret", logged.String())
			}
			time.Sleep(time.Second)
			for range 5 {
				if _, err := use(); !errors.Is(err, s3client.ErrCredentials) || !errors.Is(err, errProvider) {
					t.Errorf("after the expiry: %v, want ErrCredentials and its cause", err)
				}
				time.Sleep(time.Second)
			}
			away.Store(false)
			time.Sleep(time.Second)
			if key := instant(t, use); key == "AK1" {
				t.Error("signed by expired credentials")
			}
		})
	})
}

// A provider that hangs holds up no request while the credentials are good,
// and is given up in the end.
func TestCredentialsOutliveAHangingProvider(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		p := &provider{give: func(ctx context.Context, n int64) (aws.Credentials, error) {
			if n > 1 {
				<-ctx.Done()
				return aws.Credentials{}, ctx.Err()
			}
			return numbered(n, 10*time.Minute), nil
		}}
		inBubble(t, f, p, nil, func(t *testing.T, use func() (string, error)) {
			for range 59 {
				instant(t, use)
				time.Sleep(10 * time.Second)
			}
			time.Sleep(10 * time.Second)
			begin := time.Now()
			_, err := use()
			if !errors.Is(err, s3client.ErrCredentials) {
				t.Errorf("after the expiry: %v, want ErrCredentials", err)
			}
			if took := time.Since(begin); took > 31*time.Second {
				t.Errorf("the request waited %s", took)
			}
		})
	})
}

// One failing provider is not asked by each of many requests.
func TestAFailingProviderIsNotFlooded(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		p := &provider{give: func(context.Context, int64) (aws.Credentials, error) { return aws.Credentials{}, errProvider }}
		var logged s3gatetest.Log
		inBubble(t, f, p, slog.New(slog.NewTextHandler(&logged, nil)), func(t *testing.T, use func() (string, error)) {
			for range 1000 {
				if _, err := use(); !errors.Is(err, errProvider) {
					t.Fatalf("got %v", err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if n := p.calls.Load(); n > 11 {
				t.Errorf("asked %d times in 10 s, want about one in a second", n)
			}
			synctest.Wait()
			if n := strings.Count(logged.String(), "\n"); n > 11 {
				t.Errorf("%d lines in the log", n)
			}
		})
	})
}

func TestCredentialsThatDoNotExpireAreAskedForOnce(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		p := &provider{give: func(context.Context, int64) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AK", SecretAccessKey: "s"}, nil
		}}
		inBubble(t, f, p, nil, func(t *testing.T, use func() (string, error)) {
			for range 100 {
				instant(t, use)
				time.Sleep(time.Hour)
			}
			if n := p.calls.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	})
}

// Credentials that live for less than the time they are replaced ahead are
// used all the same, and not asked for at every request.
func TestShortLivedCredentials(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Minute), nil }}
		inBubble(t, f, p, nil, func(t *testing.T, use func() (string, error)) {
			for range 600 {
				instant(t, use)
				time.Sleep(time.Second)
			}
			if n := p.calls.Load(); n > 61 {
				t.Errorf("asked %d times in ten minutes", n)
			}
		})
	})
}

// The cache that the SDK's default chain puts around its provider would give
// the old credentials until the last second.
func TestTheCacheOfTheSDKIsPassedBy(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Hour), nil }}
		inBubble(t, f, aws.NewCredentialsCache(p), nil, func(t *testing.T, use func() (string, error)) {
			time.Sleep(58 * time.Minute)
			if key := instant(t, use); key != "AK2" {
				t.Errorf("signed by %s, want the fresh ones", key)
			}
		})
	})
}

func TestUnusableCredentialsAreRefused(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		tests := []struct {
			name  string
			creds aws.Credentials
		}{
			{"none", aws.Credentials{}},
			{"no secret", aws.Credentials{AccessKeyID: "AK"}},
			{"expired", aws.Credentials{AccessKeyID: "AK", SecretAccessKey: "s", CanExpire: true, Expires: time.Unix(0, 0)}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				p := &provider{give: func(context.Context, int64) (aws.Credentials, error) { return tt.creds, nil }}
				inBubble(t, f, p, nil, func(t *testing.T, use func() (string, error)) {
					if _, err := use(); !errors.Is(err, s3client.ErrCredentials) {
						t.Errorf("got %v, want ErrCredentials", err)
					}
				})
			})
		}
	})
}

// expiring is an S3 that finds credentials expired below a number.
type expiring struct {
	from atomic.Int64
}

func (e *expiring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n int64
	signed := signatureOf(r)
	key := strings.TrimPrefix(signed.key(), "AK")
	fmt.Sscan(key, &n)
	if err := verify(r, fmt.Sprint("secret", n)); err != nil || signed.session != fmt.Sprint("session", n) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%v</Message></Error>", err)
		return
	}
	io.Copy(io.Discard, r.Body)
	if n < e.from.Load() {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, expiredDocument)
		return
	}
	io.WriteString(w, key[:1])
}

const expiredDocument = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>x</Token-0></Error>`

// Credentials that S3 finds expired are replaced, and a request without a
// body is sent once more; one with a body is not (S11).
func TestExpiredTokenIsRefreshed(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s3 := &expiring{}
		s := newStub(t, s3.ServeHTTP)
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Hour), nil }}
		b := s.open(t, f.in(func(c *s3client.Config) { c.Credentials = p }))
		get := func() *s3client.Request {
			return &s3client.Request{Method: "GET", Key: "k", Header: http.Header{"Range": {"bytes=0-1"}}}
		}
		if resp, body := do(t, b, get()); resp.StatusCode != 200 || body != "1" {
			t.Fatalf("answered %d %q", resp.StatusCode, body)
		}
		s3.from.Store(2)
		if resp, body := do(t, b, get()); resp.StatusCode != 200 || body != "2" {
			t.Errorf("GET answered %d %q, want it sent again with fresh credentials", resp.StatusCode, body)
		}
		if n := s.requests.Load(); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}

		s3.from.Store(3)
		sent := newBody(strings.NewReader("hello"))
		resp, body := do(t, b, &s3client.Request{Method: "PUT", Key: "k", Body: sent, Size: 5})
		if resp.StatusCode != 400 || body != expiredDocument || s.requests.Load() != 4 {
			t.Errorf("PUT answered %d %q after %d requests, want the whole refusal after one", resp.StatusCode, body, s.requests.Load()-3)
		}
		sent.wantClosed(t)
		if resp, body := do(t, b, get()); resp.StatusCode != 200 || body != "3" || s.requests.Load() != 5 {
			t.Errorf("next GET answered %d %q, want fresh credentials at once", resp.StatusCode, body)
		}

		s3.from.Store(100) // however fresh
		before := s.requests.Load()
		if resp, body := do(t, b, get()); resp.StatusCode != 400 || body != expiredDocument || s.requests.Load() != before+2 {
			t.Errorf("answered %d %q after %d requests, want the refusal after two", resp.StatusCode, body, s.requests.Load()-before)
		}
	})
}

// The transport may still hold the headers of the first request when the
// second is made.
func TestSecondTryLeavesTheFirstAlone(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		var first *http.Request
		var before signed
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Hour), nil }}
		b := open(t, s3client.Config{
			Name: "bucket", Credentials: p, Signing: s3client.Signing(f),
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if first == nil {
					first, before = r, signatureOf(r)
					return respond(r, 400, expiredDocument), nil
				}
				return respond(r, 200, signatureOf(r).signature), nil
			}),
		})
		resp, again := do(t, b, &s3client.Request{Method: "GET", Key: "k", Header: http.Header{"Range": {"bytes=0-1"}}})
		if resp.StatusCode != 200 || again == before.signature {
			t.Fatalf("answered %d, signed again: %v", resp.StatusCode, again != before.signature)
		}
		if now := signatureOf(first); now != before || now.session != "session1" {
			t.Error("the first request's headers were changed under the transport")
		}
	})
}

// Many requests that are refused at once ask for fresh credentials once.
func TestRefusedCredentialsAreReplacedOnce(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		const n = 20
		s3 := &expiring{}
		var arrived sync.WaitGroup
		arrived.Add(n)
		var barrier atomic.Bool
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			if barrier.Load() && signatureOf(r).key() == "AK1" {
				arrived.Done()
				arrived.Wait() // until all are on their way with the old ones
			}
			s3.ServeHTTP(w, r)
		})
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Hour), nil }}
		b := s.open(t, f.in(func(c *s3client.Config) { c.Credentials = p }))
		do(t, b, &s3client.Request{Method: "GET", Key: "k"})
		s3.from.Store(2)
		barrier.Store(true)
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if resp, body := do(t, b, &s3client.Request{Method: "GET", Key: "k"}); resp.StatusCode != 200 || body != "2" {
					t.Errorf("answered %d %q", resp.StatusCode, body)
				}
			})
		}
		wg.Wait()
		if calls := p.calls.Load(); calls != 2 {
			t.Errorf("asked %d times, want twice", calls)
		}
	})
}

// Refusals of another kind are passed on as they are, and cost the
// credentials nothing.
func TestOtherRefusalsAreNotTaken(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		long := "<Error><Code>AccessDenied</Code><Message>" + strings.Repeat("x", 200<<10) + "</Message></Error>"
		tests := []struct {
			name   string
			status int
			body   string
		}{
			{"denied", 403, "<Error><Code>AccessDenied</Code></Error>"},
			{"long", 403, long},
			{"bad request", 400, "<Error><Code>InvalidRequest</Code></Error>"},
			{"no XML", 403, "ExpiredToken"},
			{"empty", 403, ""},
			{"expired, says a success", 200, expiredDocument},
			{"expired, says a server error", 503, expiredDocument},
			{"expired, says a message", 403, "<Error><Code>AccessDenied</Code><Message><Code>ExpiredToken</Code></Message></Error>"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				s := newStub(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.status)
					io.WriteString(w, tt.body)
				})
				p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Hour), nil }}
				b := s.open(t, f.in(func(c *s3client.Config) { c.Credentials = p }))
				for range 2 {
					resp, body := do(t, b, &s3client.Request{Method: "GET", Key: "k"})
					if resp.StatusCode != tt.status || body != tt.body {
						t.Errorf("got %d and %d bytes, want %d and %d as they were sent", resp.StatusCode, len(body), tt.status, len(tt.body))
					}
				}
				if calls, requests := p.calls.Load(), s.requests.Load(); calls != 1 || requests != 2 {
					t.Errorf("asked %d times for credentials and sent %d requests, want 1 and 2", calls, requests)
				}
			})
		}
	})
}

// The SDK's signer remembers the signing key by access key ID alone.
func TestChangedSecretUnderTheSameKeyIDSigns(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		secret := "old secret"
		var checked string
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			if err := verify(r, checked); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, expiredDocument)
			}
		})
		var mu sync.Mutex
		p := &provider{give: func(context.Context, int64) (aws.Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, nil
		}}
		b := s.open(t, f.in(func(c *s3client.Config) { c.Credentials = p }))
		checked = secret
		if resp, _ := do(t, b, &s3client.Request{Method: "GET", Key: "k"}); resp.StatusCode != 200 {
			t.Fatalf("answered %d", resp.StatusCode)
		}
		mu.Lock()
		secret, checked = "new secret", "new secret"
		mu.Unlock()
		for range 2 {
			if resp, _ := do(t, b, &s3client.Request{Method: "GET", Key: "k"}); resp.StatusCode != 200 {
				t.Errorf("answered %d, want the new secret to sign", resp.StatusCode)
			}
		}
	})
}

// A bucket that is used by many at once, while its credentials change.
func TestConcurrentUse(t *testing.T) {
	eachForm(t, func(t *testing.T, f form) {
		s3 := &expiring{}
		s := newStub(t, s3.ServeHTTP)
		p := &provider{give: func(_ context.Context, n int64) (aws.Credentials, error) { return numbered(n, time.Hour), nil }}
		b := s.open(t, f.in(func(c *s3client.Config) { c.Credentials = p }))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 20 {
					if i == 0 && j%5 == 4 {
						s3.from.Add(1)
					}
					r := &s3client.Request{Method: "GET", Key: fmt.Sprint("k", j)}
					if j%2 == 0 {
						r = &s3client.Request{Method: "PUT", Key: "k", Body: newBody(strings.NewReader("hello")), Size: 5}
					}
					resp, body := do(t, b, r)
					// A PUT, or a GET refused twice, may meet the change.
					if resp.StatusCode != 200 && body != expiredDocument {
						t.Errorf("%s answered %d %s", r.Method, resp.StatusCode, body)
					}
				}
			})
		}
		wg.Wait()
	})
}
