package devs3

import (
	"crypto/rand"
	"slices"
	"time"

	"s3gate/internal/devs3/disk"
)

// lifecycle is a bucket's ?lifecycle ("Lifecycle configuration elements", Amazon
// S3 User Guide). It is stored and given back; nothing here acts on it.
type lifecycle struct {
	Rules []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID     string `xml:",omitempty"`
	Status string
	Prefix *string `xml:",omitempty"`
	Filter *lifecycleFilter

	Expiration *struct {
		Date                      string `xml:",omitempty"`
		Days                      *int
		ExpiredObjectDeleteMarker *bool
	}
	Transition                  []lifecycleTransition
	NoncurrentVersionExpiration *struct {
		NoncurrentDays          *int
		NewerNoncurrentVersions *int
	}
	NoncurrentVersionTransition    []noncurrentTransition
	AbortIncompleteMultipartUpload *struct{ DaysAfterInitiation *int }
}

type lifecycleFilter struct {
	Prefix                *string
	Tag                   *lifecycleTag
	ObjectSizeGreaterThan *int64
	ObjectSizeLessThan    *int64
	And                   *struct {
		Prefix                *string
		Tag                   []lifecycleTag
		ObjectSizeGreaterThan *int64
		ObjectSizeLessThan    *int64
	}
}

type lifecycleTag struct{ Key, Value string }

type lifecycleTransition struct {
	Date         string `xml:",omitempty"`
	Days         *int
	StorageClass string
}

type noncurrentTransition struct {
	NoncurrentDays          *int
	NewerNoncurrentVersions *int
	StorageClass            string
}

var storageClasses = []string{"GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR"}

const (
	maxLifecycleRules  = 1000
	maxLifecycleRuleID = 255 // characters
)

var bucketLifecycle = setting{
	root: "LifecycleConfiguration", file: disk.Lifecycle, digest: true,
	blank:   func() settingDocument { return new(lifecycle) },
	missing: &apiError{code: "NoSuchLifecycleConfiguration", message: "The lifecycle configuration does not exist"},
}

func (l *lifecycle) check(*exchange) error {
	if len(l.Rules) == 0 || len(l.Rules) > maxLifecycleRules {
		return errMalformedXML
	}
	ids := map[string]bool{}
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.ID == "" {
			r.ID = rand.Text() // S3 makes one up, too
		}
		if ids[r.ID] {
			return invalidArgument("ID", "Rule ID must be unique. Found same ID for more than one rule")
		}
		ids[r.ID] = true
		for _, check := range []func() error{r.checkShape, r.checkExpiration, r.checkTransitions, r.checkNoncurrent, r.checkAbort} {
			if err := check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *lifecycleRule) checkShape() error {
	switch {
	case r.Status != "Enabled" && r.Status != "Disabled",
		(r.Prefix == nil) == (r.Filter == nil),
		r.Filter != nil && !r.Filter.single():
		return errMalformedXML
	case len([]rune(r.ID)) > maxLifecycleRuleID:
		return invalidArgument("ID", "ID length should not exceed allowed limit of 255")
	case r.Expiration == nil && r.Transition == nil && r.NoncurrentVersionExpiration == nil &&
		r.NoncurrentVersionTransition == nil && r.AbortIncompleteMultipartUpload == nil:
		return invalidRequest("At least one action needs to be specified in a rule")
	}
	return nil
}

// single reports whether the filter names one thing at most; several go into And.
func (f *lifecycleFilter) single() bool {
	n := 0
	for _, has := range []bool{f.Prefix != nil, f.Tag != nil, f.ObjectSizeGreaterThan != nil, f.ObjectSizeLessThan != nil, f.And != nil} {
		if has {
			n++
		}
	}
	return n <= 1
}

func (r *lifecycleRule) checkExpiration() error {
	e := r.Expiration
	if e == nil {
		return nil
	}
	given := 0
	for _, has := range []bool{e.Date != "", e.Days != nil, e.ExpiredObjectDeleteMarker != nil} {
		if has {
			given++
		}
	}
	if given != 1 {
		return errMalformedXML
	}
	if err := positive("Days", "Expiration", e.Days); err != nil {
		return err
	}
	return midnight(e.Date)
}

func (r *lifecycleRule) checkTransitions() error {
	for _, t := range r.Transition {
		if (t.Date == "") == (t.Days == nil) || !slices.Contains(storageClasses, t.StorageClass) {
			return errMalformedXML
		}
		if t.Days != nil && *t.Days < 0 {
			return invalidArgument("Days", "'Days' in Transition action must be nonnegative")
		}
		if err := midnight(t.Date); err != nil {
			return err
		}
	}
	return nil
}

func (r *lifecycleRule) checkNoncurrent() error {
	if e := r.NoncurrentVersionExpiration; e != nil {
		if e.NoncurrentDays == nil {
			return errMalformedXML
		}
		if err := positive("NoncurrentDays", "NoncurrentVersionExpiration", e.NoncurrentDays); err != nil {
			return err
		}
	}
	for _, t := range r.NoncurrentVersionTransition {
		if t.NoncurrentDays == nil || !slices.Contains(storageClasses, t.StorageClass) {
			return errMalformedXML
		}
	}
	return nil
}

func (r *lifecycleRule) checkAbort() error {
	a := r.AbortIncompleteMultipartUpload
	switch {
	case a == nil:
		return nil
	case a.DaysAfterInitiation == nil:
		return errMalformedXML
	case r.Filter != nil && (r.Filter.Tag != nil || r.Filter.And != nil && r.Filter.And.Tag != nil):
		return invalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags")
	}
	return positive("DaysAfterInitiation", "AbortIncompleteMultipartUpload", a.DaysAfterInitiation)
}

func positive(name, action string, days *int) error {
	if days != nil && *days < 1 {
		return invalidArgument(name, "'"+name+"' for "+action+" action must be a positive integer")
	}
	return nil
}

func midnight(date string) error {
	if date == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return errMalformedXML
	}
	if !t.Equal(t.UTC().Truncate(24 * time.Hour)) {
		return invalidArgument("Date", "'Date' must be at midnight GMT")
	}
	return nil
}
