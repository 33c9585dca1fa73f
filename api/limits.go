package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"s3gate/internal/ratelimit"
	"s3gate/tokens"
)

// Limits bound what one caller, which is issuer and subject of its JWT, may
// mint. Administrators are callers too.
type Limits struct {
	// MintRate is how many tokens a second a caller may mint through this gate; 0
	// sets no limit. It is not less than 0.001.
	MintRate float64
	// MintBurst is how many of them at once; without MintRate it means nothing.
	MintBurst int
	// OpenPerCaller is how many open tokens a caller may have over all gates, and
	// OpenPerSubject how many the callers of one issuer may have for one subject;
	// 0 sets no limit.
	OpenPerCaller, OpenPerSubject int64
}

// limits are what counts at the moment, and what each caller has minted lately.
type limits struct {
	set     atomic.Pointer[Limits]
	callers ratelimit.Keyed[string]
}

// Adjust makes limits count for requests that come from now on. What callers have
// minted lately is not forgotten. It is safe for concurrent use.
func (h *Handler) Adjust(l Limits) { h.limits.set.Store(&l) }

// The names of the limits, as they are in problems, settings and metrics.
const (
	mintRate  = "mint_rate"
	quotaName = "open_per_" // and the name of the quota
)

// longestWait bounds what Retry-After says of a quota: a token may be used up or
// revoked before it expires.
const longestWait = time.Hour

// limitError is a request that a limit has refused.
type limitError struct {
	limit, allowed, detail string
	wait                   time.Duration // until it may do
	err                    error         // nil for the rate
}

func (e *limitError) Error() string { return "limit " + e.limit + ": " + e.detail }

func (e *limitError) Unwrap() error { return e.err }

// holder names a caller, or the subject of an issuer, unlike any other.
func holder(issuer, name string) string { return strconv.Quote(issuer) + " " + strconv.Quote(name) }

// limiter is that of the caller; nil if there is no rate.
func (h *Handler) limiter(c *call, l *Limits) *rate.Limiter {
	if l.MintRate == 0 {
		return nil
	}
	now, perSecond := h.cfg.Clock(), rate.Limit(l.MintRate)
	limiter := h.limits.callers.Get(holder(c.caller.Issuer, c.caller.Subject), func() *rate.Limiter { return rate.NewLimiter(perSecond, l.MintBurst) })
	if limiter.Limit() != perSecond || limiter.Burst() != l.MintBurst {
		limiter.SetLimitAt(now, perSecond)
		limiter.SetBurstAt(now, l.MintBurst)
	}
	return limiter
}

// announce says in the answer to a call that mints what the rate is and what is
// left of it (draft-ietf-httpapi-ratelimit-headers).
func (h *Handler) announce(c *call) {
	if !c.op.limited() {
		return
	}
	l := h.limits.set.Load()
	if limiter := h.limiter(c, l); limiter != nil {
		l.announce(c.w.Header(), limiter.TokensAt(h.cfg.Clock()))
	}
}

// announce says how many may be minted at once, and how long it takes until that
// many may be again.
func (l *Limits) announce(header http.Header, left float64) {
	header.Set("RateLimit-Policy", fmt.Sprintf(`"mint";q=%d;w=%d`, l.MintBurst, l.seconds(float64(l.MintBurst))))
	header.Set("RateLimit", fmt.Sprintf(`"mint";r=%d;t=%d`, max(0, int64(left)), l.seconds(float64(l.MintBurst)-left)))
}

// seconds is in how many, at least one, so many may be minted.
func (l *Limits) seconds(n float64) int64 { return max(1, int64(math.Ceil(n/l.MintRate))) }

// spend takes n tokens from what the caller may mint, or none.
func (h *Handler) spend(c *call, n int) error {
	l := h.limits.set.Load()
	limiter := h.limiter(c, l)
	if limiter == nil {
		return nil
	}
	if n > l.MintBurst {
		return &tokens.FieldError{
			Field: "tokens", Problem: fmt.Sprintf("must hold at most %d requests, which is api.limits.mint_burst, got %d", l.MintBurst, n),
			Allowed: fmt.Sprintf("a list of 1 to %d entries", l.MintBurst),
		}
	}
	now := h.cfg.Clock()
	allowed := limiter.AllowN(now, n)
	left := limiter.TokensAt(now)
	l.announce(c.w.Header(), left)
	if allowed {
		return nil
	}
	permitted := fmt.Sprintf("%s a second, %d at once", strconv.FormatFloat(l.MintRate, 'f', -1, 64), l.MintBurst)
	return &limitError{
		limit: mintRate, allowed: permitted, wait: time.Duration(l.seconds(float64(n)-left)) * time.Second,
		detail: "The caller mints faster than api.limits.mint_rate permits through this gate: " + permitted + ". Nothing was done; ask again later.",
	}
}

// quotas are those that a grant counts against, for its caller and for its
// subject: that of one issuer, so that nobody fills the place of another's.
func (h *Handler) quotas(g *tokens.Grant) []tokens.Quota {
	l := h.limits.set.Load()
	all := []tokens.Quota{{Name: "caller", Holder: holder(g.Issuer, g.IssuedBy), Open: l.OpenPerCaller}}
	if g.Subject != "" {
		all = append(all, tokens.Quota{Name: "subject", Holder: holder(g.Issuer, g.Subject), Open: l.OpenPerSubject})
	}
	return all
}

// overQuota makes a limitError of a quota that is full.
func (h *Handler) overQuota(c *call, err error) error {
	var full *tokens.QuotaError
	if !errors.As(err, &full) {
		return err
	}
	limit := quotaName + full.Name
	limited := &limitError{
		limit: limit, allowed: strconv.FormatInt(full.Open, 10), wait: longestWait, err: err,
		detail: fmt.Sprintf("The %s would have more open tokens than api.limits.%s permits, which is %d. Nothing was minted.", full.Name, limit, full.Open),
	}
	// Without Redis nobody knows how long it takes.
	if now, failed := h.cfg.Tokens.Now(context.WithoutCancel(c.Context())); failed == nil && !full.Until.IsZero() {
		limited.wait = min(longestWait, full.Until.Sub(now))
	}
	return limited
}

// tellWhen says when to ask again after a limit has refused, and counts it.
func (h *Handler) tellWhen(w http.ResponseWriter, err error) {
	var limited *limitError
	if !errors.As(err, &limited) {
		return
	}
	w.Header().Set("Retry-After", strconv.FormatInt(max(1, int64(math.Ceil(limited.wait.Seconds()))), 10))
	if h.cfg.Limited != nil {
		h.cfg.Limited(limited.limit)
	}
}
