package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"s3gate/auth"
	"s3gate/tokens"
)

// forbidden is why a caller may not use a route at all.
func forbidden(c auth.Caller) error {
	if c.Rights == nil {
		return errForbidden
	}
	return errNoRight
}

// denied says which field of a request goes beyond what the caller may.
func denied(field, format string, args ...any) error {
	return fmt.Errorf("%w: %w", errNoRight, &tokens.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// wish is a grant that somebody asks for, its life if that is not in it, and
// which limits were left open.
type wish struct {
	grant            tokens.Grant
	life             time.Duration
	anyLife, anyUses bool
	topic            string // through which the link is to be sent; "" for none
}

// permit holds a wish against what the caller may mint, and fills the limits that
// were left open. It has to lie within one rule: what two rules give together
// neither gives. The first rule that takes it counts.
func (h *Handler) permit(c *call, w *wish) error {
	if c.caller.Admin || c.caller.Administers(w.grant.Bucket) && (w.topic == "" || c.caller.AdministersWith(w.grant.Bucket, w.topic)) {
		return nil
	}
	if !w.grant.ExpiresAt.IsZero() {
		now, err := h.now(c)
		if err != nil {
			return err
		}
		w.life = w.grant.ExpiresAt.Sub(now)
	}
	// The refusal that is told is that of the rule that came nearest.
	refusal, far := error(nil), -1
	for _, a := range c.caller.Rights.Allowances {
		try := *w
		step, err := try.within(&a)
		if err == nil {
			if !w.grant.ExpiresAt.IsZero() {
				try.life = 0 // ExpiresAt says it
			}
			*w = try
			return nil
		}
		if step > far {
			refusal, far = err, step
		}
	}
	return cmp.Or(refusal, errNoRight)
}

// now is the time of Redis when the call first asked for it.
func (h *Handler) now(c *call) (_ time.Time, err error) {
	if c.asked.IsZero() {
		c.asked, err = h.cfg.Tokens.Now(c.Context())
	}
	return c.asked, err
}

// within fits the wish into what one rule gives. On failure it says how far it
// came.
func (w *wish) within(a *auth.Allowance) (step int, err error) {
	for step, fit := range []func(*auth.Allowance) error{w.operation, w.bucket, w.key, w.lifetime, w.uses, w.size, w.labels, w.notify} {
		if err := fit(a); err != nil {
			return step, err
		}
	}
	return 0, nil
}

func (w *wish) operation(a *auth.Allowance) error {
	if !slices.Contains(a.Operations, string(w.grant.Operation)) {
		return denied("operation", "%q is not permitted to the bearer JWT", clip(string(w.grant.Operation)))
	}
	return nil
}

func (w *wish) bucket(a *auth.Allowance) error {
	if _, ok := a.Buckets[w.grant.Bucket]; !ok {
		return denied("bucket", "%q is not permitted to the bearer JWT", clip(w.grant.Bucket))
	}
	return nil
}

// key also holds what a key template begins with against the prefixes: its
// placeholders are filled with what others choose.
func (w *wish) key(a *auth.Allowance) error {
	g := &w.grant
	field, begins := "key", []string{g.Key}
	if g.Key == "" {
		field, begins = "prefix", []string{g.Prefix}
	}
	if g.Upload.KeyTemplate != "" {
		fixed, _, _ := strings.Cut(g.Upload.KeyTemplate, "{")
		begins = append(begins, fixed)
	}
	for _, prefix := range a.Buckets[g.Bucket] {
		if !slices.ContainsFunc(begins, func(key string) bool { return !below(key, prefix) }) {
			return nil
		}
	}
	return denied(field, "is not below a prefix that is permitted to the bearer JWT")
}

// below reports whether a key begins with a prefix and cannot be read as one
// that leaves it, as stores on file systems might.
func below(key, prefix string) bool {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || prefix == "" {
		return ok
	}
	for name := range strings.SplitSeq(prefix[strings.LastIndexByte(prefix, '/')+1:]+rest, "/") {
		if name == "." || name == ".." {
			return false
		}
	}
	return true
}

func (w *wish) lifetime(a *auth.Allowance) error {
	switch {
	case a.MaxLife == 0 || w.life <= a.MaxLife:
	case w.anyLife:
		w.life = a.MaxLife
	case w.grant.ExpiresAt.IsZero():
		return denied("expires_in", "must be at most %s for the bearer JWT, got %s", a.MaxLife, w.life)
	default:
		return denied("expires_at", "is %s away, at most %s is permitted to the bearer JWT", w.life.Round(time.Second), a.MaxLife)
	}
	return nil
}

func (w *wish) uses(a *auth.Allowance) error {
	n := &w.grant.MaxUses
	switch {
	case a.MaxUses == 0 || *n > 0 && *n <= a.MaxUses:
	case w.anyUses:
		*n = a.MaxUses
	default:
		return denied("max_uses", "must be 1 to %d for the bearer JWT, got %d", a.MaxUses, *n)
	}
	return nil
}

func (w *wish) size(a *auth.Allowance) error {
	n := &w.grant.Upload.MaxBytes
	switch {
	case a.MaxBytes == 0 || w.grant.Operation != tokens.Put || *n > 0 && *n <= a.MaxBytes:
	case *n == 0:
		*n = a.MaxBytes
	default:
		return denied("upload.max_bytes", "must be at most %d for the bearer JWT, got %d", a.MaxBytes, *n)
	}
	return nil
}

func (w *wish) labels(a *auth.Allowance) error {
	if len(a.Labels) == 0 {
		return nil
	}
	all := maps.Clone(a.Labels)
	for name, value := range w.grant.Labels {
		if forced, ok := a.Labels[name]; ok && value != forced {
			return denied("labels."+clip(name), "is %q for the bearer JWT; leave it out", forced)
		}
		all[name] = value
	}
	w.grant.Labels = all
	return nil
}

// origin says whose a token is.
func origin(g *tokens.Grant) auth.Origin {
	return auth.Origin{Issuer: g.Issuer, Subject: g.IssuedBy, Bucket: g.Bucket}
}

// find returns a token that the caller may see or, if revoking, revoke. One that
// the caller knows nothing of is unknown, as if it were not there.
func (h *Handler) find(c *call, id tokens.ID, revoking bool) (tokens.Status, error) {
	status, err := h.cfg.Tokens.Show(c.Context(), id)
	if err != nil {
		return status, err
	}
	o := origin(&status.Grant)
	switch sees := c.caller.Sees(o); {
	case revoking && c.caller.Revokes(o), !revoking && sees:
		return status, nil
	case sees:
		return tokens.Status{}, errNoRight
	}
	return tokens.Status{}, tokens.ErrUnknown
}
