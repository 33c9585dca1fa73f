package s3client

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Lifecycle is a bucket's lifecycle configuration ("Managing the lifecycle of
// objects", Amazon S3 User Guide). The text of rules stays as the store wrote
// it, with whatever is in it.
type Lifecycle struct {
	text []byte
	// minimum is which small objects change their storage class, which S3 takes
	// and gives in a header, and resets where it is not said again.
	minimum string
	rules   []ruleAt
}

// LifecycleRule is what matters here of a rule.
type LifecycleRule struct {
	// ID names the rule in its configuration.
	ID string
	// Enabled says that it is applied, Everything that it is for all objects.
	Enabled, Everything bool
	// AbortDays is when multipart uploads that were not completed are dropped,
	// in days after they began; 0 is never.
	AbortDays int
	// NoncurrentDays is when versions are deleted that are not the current one,
	// in days after they were replaced; 0 is never. A rule that keeps some of them
	// (NewerNoncurrentVersions) has 0: those are never deleted.
	NoncurrentDays int
}

// ruleAt is a rule and its place in the text.
type ruleAt struct {
	LifecycleRule
	old        bool // its prefix stands in the rule and not in a filter
	start, end int64
}

const minimumHeader = "X-Amz-Transition-Default-Minimum-Object-Size"

// maxLifecycle bounds the text of a configuration: S3 takes a thousand rules.
const maxLifecycle = 4 << 20

var errLifecycle = errors.New("unreadable lifecycle configuration")

// Lifecycle returns the bucket's configuration; one without rules means that it
// has none. Errors wrap [ErrForbidden] or [ErrUnsupported] where that is why.
func (b *Bucket) Lifecycle(ctx context.Context) (*Lifecycle, error) {
	const doing = "reading the lifecycle rules"
	resp, err := b.Do(ctx, &Request{Method: http.MethodGet, Query: url.Values{"lifecycle": {""}}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if resp.StatusCode != http.StatusOK {
		answered := ReadError(resp)
		if answered.Code == "NoSuchLifecycleConfiguration" {
			return &Lifecycle{}, nil
		}
		return nil, fmt.Errorf("%s: %w", doing, asRefusal(answered, answered.Status, answered.Code))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxLifecycle+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", doing, err)
	case len(text) > maxLifecycle:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", doing, errLifecycle, maxLifecycle)
	}
	l := &Lifecycle{text: text, minimum: resp.Header.Get(minimumHeader)}
	if err := l.parse(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return l, nil
}

// PutLifecycle replaces the bucket's configuration. Errors are as in
// [Bucket.Lifecycle].
func (b *Bucket) PutLifecycle(ctx context.Context, l *Lifecycle) error {
	const doing = "writing the lifecycle rules"
	sum := md5.Sum(l.text) // #nosec G401 -- what S3 asks for, against damage on the way
	header := http.Header{
		"Content-Type": {"application/xml"},
		"Content-Md5":  {base64.StdEncoding.EncodeToString(sum[:])},
	}
	if l.minimum != "" {
		header.Set(minimumHeader, l.minimum)
	}
	resp, err := b.Do(ctx, &Request{
		Method: http.MethodPut, Query: url.Values{"lifecycle": {""}}, Header: header,
		Body: io.NopCloser(bytes.NewReader(l.text)), Size: int64(len(l.text)),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if resp.StatusCode/100 != 2 {
		answered := ReadError(resp)
		return fmt.Errorf("%s: %w", doing, asRefusal(answered, answered.Status, answered.Code))
	}
	return resp.Body.Close()
}

// Rules returns the rules in their order.
func (l *Lifecycle) Rules() []LifecycleRule {
	rules := make([]LifecycleRule, len(l.rules))
	for i, r := range l.rules {
		rules[i] = r.LifecycleRule
	}
	return rules
}

// With returns a configuration that has the rule too: in the place of the one
// with its ID, or after all others, which keep every byte. Of the rule all
// fields are written; Everything must be true.
func (l *Lifecycle) With(r LifecycleRule) *Lifecycle {
	text := l.render(r)
	start, end := int64(0), int64(0)
	for _, at := range l.rules {
		if start, end = at.end, at.end; at.ID == r.ID {
			start = at.start
			break
		}
	}
	merged := &Lifecycle{minimum: l.minimum}
	if len(l.rules) == 0 {
		merged.text = []byte(`<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + text + `</LifecycleConfiguration>`)
	} else {
		merged.text = append(append(bytes.Clone(l.text[:start]), text...), l.text[end:]...)
	}
	if err := merged.parse(); err != nil {
		panic(err) // the parts were read or written here
	}
	return merged
}

// render writes a rule for all objects. S3 does not take filters beside rules of
// the older form.
func (l *Lifecycle) render(r LifecycleRule) string {
	type prefix struct{ Prefix string }
	type abort struct{ DaysAfterInitiation int }
	type noncurrent struct{ NoncurrentDays int }
	out := struct {
		XMLName xml.Name `xml:"Rule"`
		ID      string
		Prefix  *string     `xml:",omitempty"`
		Filter  *prefix     `xml:",omitempty"`
		Status  string      // Enabled or Disabled
		Old     *noncurrent `xml:"NoncurrentVersionExpiration,omitempty"`
		Abort   *abort      `xml:"AbortIncompleteMultipartUpload,omitempty"`
	}{ID: r.ID, Filter: &prefix{}, Status: "Enabled"}
	if len(l.rules) > 0 && l.rules[0].old {
		out.Filter, out.Prefix = nil, new(string)
	}
	if !r.Enabled {
		out.Status = "Disabled"
	}
	if r.AbortDays > 0 {
		out.Abort = &abort{r.AbortDays}
	}
	if r.NoncurrentDays > 0 {
		out.Old = &noncurrent{r.NoncurrentDays}
	}
	text, err := xml.Marshal(out)
	if err != nil {
		panic(err) // numbers and text always have a form
	}
	return string(text)
}

// parse finds the rules in the text.
func (l *Lifecycle) parse() error {
	d := xml.NewDecoder(bytes.NewReader(l.text))
	root := false
	for {
		start := d.InputOffset()
		token, err := d.Token()
		if err == io.EOF && root {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errLifecycle, err)
		}
		element, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case !root && element.Name.Local != "LifecycleConfiguration":
			return fmt.Errorf("%w: it answers something else", ErrUnsupported)
		case !root:
			root = true
		case element.Name.Local != "Rule":
			err = d.Skip()
		default:
			rule := ruleAt{start: start}
			err = rule.decode(d, element)
			rule.end = d.InputOffset()
			l.rules = append(l.rules, rule)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errLifecycle, err)
		}
	}
}

// decode reads one rule.
func (r *ruleAt) decode(d *xml.Decoder, element xml.StartElement) error {
	var in struct {
		ID, Status string
		Prefix     *string
		Filter     struct {
			Prefix      string
			Tag         *struct{}
			And         *struct{}
			GreaterThan *struct{} `xml:"ObjectSizeGreaterThan"`
			LessThan    *struct{} `xml:"ObjectSizeLessThan"`
		}
		Abort int `xml:"AbortIncompleteMultipartUpload>DaysAfterInitiation"`
		Old   int `xml:"NoncurrentVersionExpiration>NoncurrentDays"`
		Kept  int `xml:"NoncurrentVersionExpiration>NewerNoncurrentVersions"`
	}
	if err := d.DecodeElement(&in, &element); err != nil {
		return err
	}
	f := in.Filter
	r.old = in.Prefix != nil
	r.LifecycleRule = LifecycleRule{
		ID: in.ID, Enabled: in.Status == "Enabled",
		Everything: (in.Prefix == nil || *in.Prefix == "") && f.Prefix == "" &&
			f.Tag == nil && f.And == nil && f.GreaterThan == nil && f.LessThan == nil,
		AbortDays: in.Abort, NoncurrentDays: in.Old,
	}
	if in.Kept > 0 {
		r.NoncurrentDays = 0
	}
	return nil
}
