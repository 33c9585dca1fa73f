package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	// fetchTimeout bounds one fetch, and with it how long a request waits.
	fetchTimeout = 3 * time.Second
	// fetchEvery is how often an issuer is asked at most, whatever tokens come
	// in and however often it fails.
	fetchEvery = 10 * time.Second
	// maxFetched is the size of a key set, and of a discovery document.
	maxFetched = 1 << 20
)

// remote are the keys of an issuer that publishes them. They are fetched when a
// token comes that needs it, by one request at a time.
type remote struct {
	keySet
	address         string
	client          *http.Client
	store           *jwkset.MemoryJWKSet
	refresh, maxAge time.Duration
	now             func() time.Time
	name            string
	logger          *slog.Logger
	fetches         *rate.Limiter
	flight          singleflight.Group
	mu              sync.Mutex
	fetched         time.Time // when the set was last had
}

// newRemote returns the keys at an address, which is that of a key set or of a
// discovery document.
func newRemote(cfg *Config, c *Issuer, name, address string) *remote {
	transport := cfg.Transport
	if transport == nil {
		// Requests are rare, so that no connection is worth keeping.
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	}
	transport = capped{transport}
	if c.JWKSURL == "" {
		transport = discovery{transport, c.Issuer}
	}
	r := &remote{
		address: address, store: jwkset.NewMemoryStorage(), now: cfg.Now, name: name, logger: cfg.Logger,
		refresh: cmp.Or(c.Refresh, DefaultRefresh), maxAge: cmp.Or(c.MaxStale, DefaultMaxStale),
		fetches: rate.NewLimiter(rate.Every(fetchEvery), 1),
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // whoever is asked answers, nobody else
		}},
	}
	r.keySet, _ = newKeySet(r.store) // fails without a store only
	return r
}

// remote returns the fetched keys of an issuer, nil if it has none.
func (v *Verifier) remote(iss string) *remote {
	if v == nil || v.byName[iss] == nil {
		return nil
	}
	known, _ := v.byName[iss].keys.(*remote)
	return known
}

// same reports whether both would fetch the same set at the same times.
func (r *remote) same(as *remote) bool {
	return r.address == as.address && r.refresh == as.refresh && r.maxAge == as.maxAge
}

func (r *remote) candidates(token *jwt.Token) ([]candidate, error) {
	age := r.age()
	if age > r.refresh {
		r.fetch()
		age = r.age()
	}
	if age > r.maxAge {
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, r.name)
	}
	found, err := r.keySet.candidates(token)
	if err != nil || len(found) == 0 {
		r.fetch() // it may be new
		found, err = r.keySet.candidates(token)
	}
	return found, err
}

// age is how old the set is; that of none is without end.
func (r *remote) age() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetched.IsZero() {
		return 1<<63 - 1
	}
	return r.now().Sub(r.fetched)
}

// fetch replaces the set if it can be had. It waits for a fetch that is on its
// way, and does nothing shortly after the last one.
func (r *remote) fetch() {
	r.flight.Do("", func() (any, error) {
		if !r.fetches.AllowN(r.now(), 1) {
			return nil, nil
		}
		at := r.now()
		_, err := jwkset.NewStorageFromHTTP(r.address, jwkset.HTTPClientStorageOptions{
			Client: r.client, Ctx: context.Background(), HTTPTimeout: fetchTimeout, Storage: r.store,
		})
		if err != nil {
			r.logger.Warn("keys of an issuer cannot be fetched", "issuer", r.name, "err", err)
			return nil, nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fetched = at
		return nil, nil
	})
}

// capped bounds what is read of an answer.
type capped struct{ base http.RoundTripper }

var errLarge = fmt.Errorf("answer is larger than %d bytes", maxFetched)

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxFetched+1))
	if err == nil && len(raw) > maxFetched {
		err = errLarge
	}
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	return resp, nil
}

// discovery answers a request for a discovery document with the key set that it
// names (OpenID Connect Discovery 1.0, section 4), so that each fetch of the
// keys follows a set that has moved.
type discovery struct {
	base   http.RoundTripper
	issuer string
}

func (d discovery) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.base.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&document); err != nil {
		return nil, fmt.Errorf("reading the discovery document: %w", err)
	}
	if document.Issuer != d.issuer {
		return nil, errors.New("the discovery document is of another issuer")
	}
	if err := fetchable(document.JWKSURI); err != nil {
		return nil, fmt.Errorf("jwks_uri of the discovery document: %w", err)
	}
	next, err := http.NewRequestWithContext(r.Context(), http.MethodGet, document.JWKSURI, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the key set: %w", err)
	}
	return d.base.RoundTrip(next)
}
