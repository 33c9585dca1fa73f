package tokens

import (
	"cmp"
	"fmt"
	"maps"
	"mime"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Operation is the one thing that a token permits.
type Operation string

// The operations. A get token answers GET and HEAD, a put token PUT.
const (
	Get Operation = "get"
	Put Operation = "put"
)

// Grant is what a token permits, and to whom it was given. The JSON names are
// the API's. A Grant is a value: copies are independent but for Labels,
// Clients and Upload.ContentTypes, which nobody changes after the grant was
// minted.
type Grant struct {
	// ID is the token's ID; filled by the store.
	ID ID `json:"id"`
	// Operation is get or put.
	Operation Operation `json:"operation"`
	// Bucket is an alias from the gate's configuration. The real bucket, its
	// endpoint and its credentials stay with the gate.
	Bucket string `json:"bucket"`
	// Key is the object's key, byte for byte: 1 to 1024 bytes of UTF-8.
	Key string `json:"key"`
	// NotBefore is when the token begins to work; zero means at once.
	NotBefore time.Time `json:"not_before,omitzero"`
	// ExpiresAt is when it stops working. A transfer that began earlier goes
	// on. Millisecond resolution.
	ExpiresAt time.Time `json:"expires_at"`
	// MaxUses is how many uses are granted; 0 means without limit.
	MaxUses int64 `json:"max_uses"`
	// Subject is for whom the token was made; "" if nobody said.
	Subject string `json:"subject,omitempty"`
	// Labels are free names and values to find and revoke tokens by.
	Labels map[string]string `json:"labels,omitempty"`
	// Clients are the networks from which the token works, such as
	// 192.0.2.0/24, or single addresses; empty means from everywhere.
	Clients []string `json:"clients,omitempty"`
	// Bandwidth is how many bytes a second all transfers of the token through
	// one gate get together; 0 sets no limit, else it is at least 1024.
	Bandwidth int64 `json:"bandwidth,omitempty"`
	// Response overrides headers of the answer to a get.
	Response Response `json:"response,omitzero"`
	// Upload limits what a put may store.
	Upload Upload `json:"upload,omitzero"`

	// Issuer and IssuedBy are the JWT issuer and subject that minted the
	// token, and IssuedAt is when, by Redis time; filled by the gate.
	Issuer   string    `json:"issuer,omitempty"`
	IssuedBy string    `json:"issued_by,omitempty"`
	IssuedAt time.Time `json:"issued_at"`
}

// Admits reports whether the token works from an address. The zero Addr, of a
// client whose address is not known, is admitted only if all are. A network
// that cannot be read admits nobody.
func (g *Grant) Admits(client netip.Addr) bool {
	for _, text := range g.Clients {
		if network, ok := parseNetwork(text); ok && network.Contains(client.Unmap()) {
			return true
		}
	}
	return len(g.Clients) == 0
}

// parseNetwork reads a network, or an address as a network of its own.
func parseNetwork(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	return network, err == nil
}

// Response says how the object is presented. Zero fields leave the default.
type Response struct {
	// Filename is the name to save under; "" means the last part of the key.
	Filename string `json:"filename,omitempty"`
	// Disposition is "attachment" (also when empty) or "inline".
	Disposition string `json:"disposition,omitempty"`
	// ContentType replaces the object's own media type.
	ContentType string `json:"content_type,omitempty"`
}

// The values of [Response].Disposition.
const (
	Attachment = "attachment"
	Inline     = "inline"
)

// Upload limits what a put may store. The zero Upload sets no limit of its
// own and forbids overwriting.
type Upload struct {
	// MaxBytes is the largest object; 0 means what S3 takes in one request.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	// ContentTypes are the media types that may be declared, such as
	// "image/png" or "image/*"; empty means any.
	ContentTypes []string `json:"content_types,omitempty"`
	// Overwrite permits replacing an object that exists.
	Overwrite bool `json:"overwrite,omitempty"`
}

// Limited reports whether the number of uses is limited.
func (g *Grant) Limited() bool { return g.MaxUses > 0 }

// Limits bound what a grant may ask for. A zero field means its default.
type Limits struct {
	// MaxLife is the longest time from now to ExpiresAt; 0 means 10 years.
	MaxLife time.Duration
	// MaxUses is the largest MaxUses but 0; 0 means 1,000,000.
	MaxUses int64
	// MaxLabels is the number of labels; 0 means 16.
	MaxLabels int
	// MaxText is the length in bytes of a bucket alias, a subject, a label's
	// name or value, a file name or a media type; 0 means 255.
	MaxText int
}

// The fixed limits, which are S3's own.
const (
	// MaxKeyBytes is the longest key (Amazon S3 User Guide, "Naming Amazon
	// S3 objects").
	MaxKeyBytes = 1024
	// MaxPutBytes is the largest object in one PUT (Amazon S3 User Guide,
	// "Uploading objects"): 5 GiB.
	MaxPutBytes = 5 << 30
)

func (l Limits) withDefaults() Limits {
	l.MaxLife = cmp.Or(l.MaxLife, 10*365*24*time.Hour)
	l.MaxUses = cmp.Or(l.MaxUses, 1_000_000)
	l.MaxLabels = cmp.Or(l.MaxLabels, 16)
	l.MaxText = cmp.Or(l.MaxText, 255)
	return l
}

// FieldError says which field of a grant is wrong, what was given and what is
// allowed. Its text is fit for the caller of the API.
type FieldError struct {
	// Field is the JSON name, with dots for nested fields.
	Field string
	// Problem is the rest of the sentence.
	Problem string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// Validate checks the fields that a caller sets against limits, with now as
// the present. The error is a [*FieldError] that names the first bad field.
func (g *Grant) Validate(limits Limits, now time.Time) error {
	l := limits.withDefaults()
	checks := []func() error{
		g.validateTarget,
		func() error { return validateText("bucket", g.Bucket, l.MaxText) },
		func() error { return g.validateTimes(l, now) },
		func() error { return validateRange("max_uses", g.MaxUses, l.MaxUses) },
		func() error { return g.validateNames(l) },
		func() error { return g.validateClients(l) },
		g.validateBandwidth,
		func() error { return g.Response.validate(l, g.Operation) },
		func() error { return g.Upload.validate(l, g.Operation) },
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (g *Grant) validateTarget() error {
	switch {
	case g.Operation != Get && g.Operation != Put:
		return fieldErrorf("operation", `must be "get" or "put", got %q`, clip(string(g.Operation)))
	case g.Bucket == "":
		return fieldErrorf("bucket", "is required: an alias from the gate's configuration")
	case g.Key == "":
		return fieldErrorf("key", "is required")
	case len(g.Key) > MaxKeyBytes:
		return fieldErrorf("key", "is %d bytes long, at most %d are allowed", len(g.Key), MaxKeyBytes)
	case !utf8.ValidString(g.Key):
		return fieldErrorf("key", "is not valid UTF-8")
	case strings.ContainsRune(g.Key, 0):
		return fieldErrorf("key", "contains a NUL byte")
	}
	return nil
}

func (g *Grant) validateTimes(l Limits, now time.Time) error {
	switch {
	case g.ExpiresAt.IsZero():
		return fieldErrorf("expires_at", "is required")
	case !g.ExpiresAt.After(now):
		return fieldErrorf("expires_at", "is in the past: %s, and it is %s", stamp(g.ExpiresAt), stamp(now))
	case g.ExpiresAt.Sub(now) > l.MaxLife:
		return fieldErrorf("expires_at", "is %s away, at most %s are allowed", g.ExpiresAt.Sub(now).Round(time.Second), l.MaxLife)
	case !g.NotBefore.IsZero() && !g.NotBefore.Before(g.ExpiresAt):
		return fieldErrorf("not_before", "must be earlier than expires_at (%s), got %s", stamp(g.ExpiresAt), stamp(g.NotBefore))
	case g.NotBefore.Unix() < 0 && !g.NotBefore.IsZero():
		return fieldErrorf("not_before", "must not be before 1970, got %s", stamp(g.NotBefore))
	}
	return nil
}

func (g *Grant) validateNames(l Limits) error {
	if err := validateText("subject", g.Subject, l.MaxText); err != nil {
		return err
	}
	if len(g.Labels) > l.MaxLabels {
		return fieldErrorf("labels", "has %d entries, at most %d are allowed", len(g.Labels), l.MaxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(g.Labels)) {
		if name == "" {
			return fieldErrorf("labels", "has an empty name")
		}
		if err := validateText("labels", name, l.MaxText); err != nil {
			return err
		}
		if err := validateText("labels."+clip(name), g.Labels[name], l.MaxText); err != nil {
			return err
		}
	}
	return nil
}

func (g *Grant) validateClients(l Limits) error {
	if len(g.Clients) > l.MaxLabels {
		return fieldErrorf("clients", "has %d entries, at most %d are allowed", len(g.Clients), l.MaxLabels)
	}
	for _, text := range g.Clients {
		network, ok := parseNetwork(text)
		if !ok || network.Addr().Is4In6() {
			return fieldErrorf("clients", "must hold networks such as 192.0.2.0/24 or 2001:db8::/32, or addresses, got %q", clip(text))
		}
		if network != network.Masked() {
			return fieldErrorf("clients", "holds %s, whose address is not that of a network; did you mean %s?", network, network.Masked())
		}
	}
	return nil
}

// minBandwidth keeps a transfer from being slower than time-outs on the way.
const minBandwidth = 1 << 10

func (g *Grant) validateBandwidth() error {
	if g.Bandwidth != 0 && g.Bandwidth < minBandwidth {
		return fieldErrorf("bandwidth", "must be 0 or at least %d bytes a second, got %d", minBandwidth, g.Bandwidth)
	}
	return nil
}

func (r *Response) validate(l Limits, op Operation) error {
	switch {
	case op != Get && *r != (Response{}):
		return fieldErrorf("response", `is for operation "get" only`)
	case r.Disposition != "" && r.Disposition != Attachment && r.Disposition != Inline:
		return fieldErrorf("response.disposition", `must be "attachment" or "inline", got %q`, clip(r.Disposition))
	case r.ContentType != "":
		if err := validateText("response.content_type", r.ContentType, l.MaxText); err != nil {
			return err
		}
		if media, _, err := mime.ParseMediaType(r.ContentType); err != nil || !strings.Contains(media, "/") {
			return fieldErrorf("response.content_type", "must be a media type such as image/png, got %q", clip(r.ContentType))
		}
	}
	return validateText("response.filename", r.Filename, l.MaxText)
}

func (u *Upload) validate(l Limits, op Operation) error {
	if op != Put && (u.MaxBytes != 0 || u.ContentTypes != nil || u.Overwrite) {
		return fieldErrorf("upload", `is for operation "put" only`)
	}
	if err := validateRange("upload.max_bytes", u.MaxBytes, MaxPutBytes); err != nil {
		return err
	}
	if len(u.ContentTypes) > l.MaxLabels {
		return fieldErrorf("upload.content_types", "has %d entries, at most %d are allowed", len(u.ContentTypes), l.MaxLabels)
	}
	for _, t := range u.ContentTypes {
		if err := validateText("upload.content_types", t, l.MaxText); err != nil {
			return err
		}
		kind, sub, ok := strings.Cut(t, "/")
		media, params, err := mime.ParseMediaType(t)
		if !ok || kind == "" || kind == "*" || sub == "" || err != nil || len(params) > 0 || media != t {
			return fieldErrorf("upload.content_types", "must hold lower-case media types such as image/png or image/*, got %q", clip(t))
		}
	}
	return nil
}

func validateRange(field string, n, most int64) error {
	if n < 0 || n > most {
		return fieldErrorf(field, "must be 0 to %d, got %d", most, n)
	}
	return nil
}

// validateText allows printable UTF-8 of a bounded length.
func validateText(field, s string, most int) error {
	if len(s) > most {
		return fieldErrorf(field, "is %d bytes long, at most %d are allowed", len(s), most)
	}
	if !utf8.ValidString(s) {
		return fieldErrorf(field, "is not valid UTF-8")
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return fieldErrorf(field, "contains the control character %U", r)
		}
	}
	return nil
}

// clip keeps what an error quotes short.
func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
