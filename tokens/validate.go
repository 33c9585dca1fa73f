package tokens

import (
	"cmp"
	"fmt"
	"maps"
	"mime"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits bound what a grant may ask for. A zero field means its default.
type Limits struct {
	// MaxLife is the longest time from now to ExpiresAt; 0 means 10 years.
	MaxLife time.Duration
	// MaxUses is the largest MaxUses but 0; 0 means 1,000,000.
	MaxUses int64
	// MaxLabels is the number of labels; 0 means 16.
	MaxLabels int
	// MaxConcurrent is the largest MaxConcurrent but 0; 0 means 10,000.
	MaxConcurrent int64
	// MaxText is the length in bytes of a bucket alias, a subject, a label's
	// name or value, a file name or a media type; 0 means 255.
	MaxText int
}

// The fixed limits, which are S3's own.
const (
	// MaxKeyBytes is the longest key (Amazon S3 User Guide, "Naming Amazon
	// S3 objects").
	MaxKeyBytes = 1024
	// MaxUploadBytes is the largest object (Amazon S3 User Guide, "Amazon S3
	// multipart upload limits"): 5 TiB.
	MaxUploadBytes = 5 << 40
)

func (l Limits) withDefaults() Limits {
	l.MaxLife = cmp.Or(l.MaxLife, 10*365*24*time.Hour)
	l.MaxUses = cmp.Or(l.MaxUses, 1_000_000)
	l.MaxLabels = cmp.Or(l.MaxLabels, 16)
	l.MaxConcurrent = cmp.Or(l.MaxConcurrent, 10_000)
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
	// Allowed is what the field may have, such as "0 to 10"; "" if it is what
	// the API's document says of it.
	Allowed string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// limitErrorf is for a limit that a gate may have set otherwise than the API's
// document says.
func limitErrorf(allowed, field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...), Allowed: allowed}
}

// entries is what a list, or an object, may have.
func entries(most int) string { return fmt.Sprintf("at most %d entries", most) }

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
		func() error { return validateRange("requests_per_second", g.RequestsPerSecond, maxRequestsPerSecond) },
		func() error { return validateRange("max_concurrent", g.MaxConcurrent, l.MaxConcurrent) },
		g.validateResume,
		func() error { return g.validateVersion(l) },
		g.validateConfirm,
		g.validateSharing,
		g.validateFilename,
		func() error { return g.Response.validate(l, g.Operation) },
		func() error { return g.Upload.validate(l, g.Operation) },
		g.validateDrop,
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
	case g.Key != "" && g.Prefix != "":
		return fieldErrorf("prefix", "and key exclude each other")
	case g.Key != "" && g.Upload.KeyTemplate != "":
		return fieldErrorf("upload.key_template", "and key exclude each other")
	case g.Key == "" && g.Prefix == "" && g.Upload.KeyTemplate != "":
		return fieldErrorf("upload.key_template", "must begin with a folder such as incoming/, or prefix is required; got %q", clip(g.Upload.KeyTemplate))
	case g.Key == "" && g.Prefix == "":
		return fieldErrorf("key", "is required, or prefix")
	case g.List && g.Operation != Get:
		return fieldErrorf("list", `is for operation "get" only`)
	case g.List && g.Prefix == "":
		return fieldErrorf("list", "is for a prefix only")
	case g.Prefix != "":
		return validateKey("prefix", g.Prefix)
	}
	return validateKey("key", g.Key)
}

func validateKey(field, key string) error {
	switch {
	case len(key) > MaxKeyBytes:
		return limitErrorf(fmt.Sprintf("at most %d bytes", MaxKeyBytes), field, "is %d bytes long, at most %d are allowed", len(key), MaxKeyBytes)
	case !utf8.ValidString(key):
		return fieldErrorf(field, "is not valid UTF-8")
	case strings.ContainsRune(key, 0):
		return fieldErrorf(field, "contains a NUL byte")
	}
	return nil
}

func (g *Grant) validateTimes(l Limits, now time.Time) error {
	switch {
	case g.ExpiresAt.IsZero():
		return fieldErrorf("expires_at", "is required")
	case !g.ExpiresAt.After(now):
		return limitErrorf("after "+stamp(now), "expires_at", "is in the past: %s, and it is %s", stamp(g.ExpiresAt), stamp(now))
	case g.ExpiresAt.Sub(now) > l.MaxLife:
		return limitErrorf("at most "+l.MaxLife.String()+" from now", "expires_at", "is %s away, at most %s are allowed", g.ExpiresAt.Sub(now).Round(time.Second), l.MaxLife)
	case !g.NotBefore.IsZero() && !g.NotBefore.Before(g.ExpiresAt):
		return limitErrorf("before "+stamp(g.ExpiresAt), "not_before", "must be earlier than expires_at (%s), got %s", stamp(g.ExpiresAt), stamp(g.NotBefore))
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
		return limitErrorf(entries(l.MaxLabels), "labels", "has %d entries, at most %d are allowed", len(g.Labels), l.MaxLabels)
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
		return limitErrorf(entries(l.MaxLabels), "clients", "has %d entries, at most %d are allowed", len(g.Clients), l.MaxLabels)
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
		return limitErrorf(fmt.Sprintf("0, or at least %d", minBandwidth), "bandwidth", "must be 0 or at least %d bytes a second, got %d", minBandwidth, g.Bandwidth)
	}
	return nil
}

// The bounds of what a token may ask of the gate.
const (
	maxRequestsPerSecond = 10_000
	// MaxResumeWindow is the longest time for which a use stays open.
	MaxResumeWindow = 24 * time.Hour
	// MaxResumeSlack is the largest ResumeSlack.
	MaxResumeSlack = 1 << 30
	// DefaultResumeSlack is the ResumeSlack of a grant whose maker does not
	// say: a connection that is cut was seen to lose 4 to 14 MiB that had been
	// sent.
	DefaultResumeSlack = 16 << 20
)

func (g *Grant) validateResume() error {
	window := time.Duration(g.ResumeWindow)
	switch {
	case window == 0 && g.ResumeSlack != 0:
		return fieldErrorf("resume_slack", "is for a resume_window only")
	case window == 0:
		return nil
	case g.Operation != Get || !g.Limited():
		return fieldErrorf("resume_window", `is for operation "get" with max_uses; without a limit every download can be resumed`)
	case g.Prefix != "":
		return fieldErrorf("resume_window", "and prefix exclude each other")
	case window < time.Second || window > MaxResumeWindow:
		return limitErrorf("0s, or 1s to "+MaxResumeWindow.String(), "resume_window", "must be 0s or from 1s to %s, got %s", MaxResumeWindow, window)
	}
	return validateRange("resume_slack", g.ResumeSlack, MaxResumeSlack)
}

func (g *Grant) validateVersion(l Limits) error {
	for field, text := range map[string]string{"version_id": g.VersionID, "if_match": g.IfMatch} {
		if text == "" {
			continue
		}
		if g.Operation != Get || g.Key == "" {
			return fieldErrorf(field, `is for operation "get" with a key`)
		}
		if err := validateText(field, text, max(l.MaxText, 1024)); err != nil {
			return err
		}
	}
	if t := g.IfMatch; t != "" && (len(t) < 2 || t[0] != '"' || t[len(t)-1] != '"' || strings.Count(t, `"`) != 2) {
		return fieldErrorf("if_match", `must be one ETag in quotes such as "9b2c…", got %s`, clip(t))
	}
	return nil
}

func (g *Grant) validateConfirm() error {
	switch g.Confirm {
	case "", ConfirmAuto, ConfirmNever:
		return nil
	case ConfirmAlways:
		if g.Operation == Get {
			return nil
		}
		return fieldErrorf("confirm", `is for operation "get" only`)
	}
	return fieldErrorf("confirm", `must be "auto", "always" or "never", got %q`, clip(string(g.Confirm)))
}

// validateFilename keeps all files of a prefix from being saved under one
// name.
func (g *Grant) validateFilename() error {
	if g.Prefix != "" && g.Response.Filename != "" {
		return fieldErrorf("response.filename", "is for a key only")
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
	if op != Put && !reflect.ValueOf(*u).IsZero() {
		return fieldErrorf("upload", `is for operation "put" only`)
	}
	if err := validateRange("upload.max_bytes", u.MaxBytes, MaxUploadBytes); err != nil {
		return err
	}
	if u.Checksum != "" && u.Checksum != AnyChecksum && !slices.Contains(Checksums(), u.Checksum) {
		return fieldErrorf("upload.checksum", "must be %s or %s, got %q", AnyChecksum, strings.Join(Checksums(), ", "), clip(u.Checksum))
	}
	if u.StorageClass != "" && !slices.Contains(StorageClasses(), u.StorageClass) {
		return fieldErrorf("upload.storage_class", "must be one of %s, got %q", strings.Join(StorageClasses(), ", "), clip(u.StorageClass))
	}
	if err := u.validateMetadata(l); err != nil {
		return err
	}
	return u.validateTypes(l)
}

func (u *Upload) validateTypes(l Limits) error {
	if u.Sniff && len(u.ContentTypes) == 0 {
		return fieldErrorf("upload.sniff", "is for an upload with content_types only")
	}
	if len(u.ContentTypes) > l.MaxLabels {
		return limitErrorf(entries(l.MaxLabels), "upload.content_types", "has %d entries, at most %d are allowed", len(u.ContentTypes), l.MaxLabels)
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
		return limitErrorf(fmt.Sprintf("0 to %d", most), field, "must be 0 to %d, got %d", most, n)
	}
	return nil
}

// validateText allows printable UTF-8 of a bounded length.
func validateText(field, s string, most int) error {
	if len(s) > most {
		return limitErrorf(fmt.Sprintf("at most %d bytes", most), field, "is %d bytes long, at most %d are allowed", len(s), most)
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
