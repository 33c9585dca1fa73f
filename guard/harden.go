package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"s3gate/s3client"
)

// HardenOptions says what to harden. The zero value is every setting as in the
// zero [Want].
type HardenOptions struct {
	Want
	// Only are the settings to look at, nil means all; those in Skip are left
	// out in any case.
	Only, Skip []Setting
}

// Outcome is what became of a setting.
type Outcome string

// The outcomes. Those from Refused on say that the bucket is not as it was asked
// to be.
const (
	Kept         Outcome = "kept"          // it was as it should be
	LeftAlone    Outcome = "left alone"    // nobody has said how it should be
	Planned      Outcome = "planned"       // Apply would change it
	Changed      Outcome = "changed"       // it was changed
	Refused      Outcome = "not permitted" // the credentials may not read or write it
	NotSupported Outcome = "not supported" // the store does not have it
	Failed       Outcome = "failed"        // changing it has failed or would fail, Note says why
)

// Step is one setting on its way.
type Step struct {
	Setting Setting `json:"setting"`
	// State is what was found, and Before the same in a few words.
	State  State  `json:"state"`
	Before string `json:"before"`
	// After is what it is, or would be after Apply; as Before if nothing changes.
	After   string  `json:"after"`
	Outcome Outcome `json:"outcome"`
	// Note is what else there is to say; usually "".
	Note string `json:"note,omitempty"`

	apply func(context.Context) error
}

// Hardening is a plan for a bucket's settings, and what became of it.
type Hardening struct {
	Bucket string `json:"bucket"`
	Steps  []Step `json:"steps"`
}

// Harden looks at a bucket's settings and plans to change those that are missing
// or weaker than wanted. What is stronger stays: SSE-KMS where SSE-S3 would do,
// parts that go sooner. What cannot be looked at is a step that says so, and is
// not written. Errors wrap [ErrOptions], or are those of a store that does not
// answer.
func Harden(ctx context.Context, b *s3client.Bucket, o HardenOptions) (*Hardening, error) {
	settings, err := o.settings()
	if err == nil {
		err = o.Want.check(b.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("hardening bucket %q: %w: %w", b.Name(), ErrOptions, err)
	}
	h := &Hardening{Bucket: b.Name()}
	for _, s := range settings {
		l, err := lookAt(ctx, b, s, &o.Want)
		if err != nil {
			return nil, err
		}
		h.Steps = append(h.Steps, plan(s, l))
	}
	return h, nil
}

// settings are those that were asked for, in their order.
func (o *HardenOptions) settings() ([]Setting, error) {
	for _, s := range slices.Concat(o.Only, o.Skip) {
		if !slices.Contains(AllSettings(), s) {
			return nil, fmt.Errorf("setting: there is no %q, but %s", s, settingNames())
		}
	}
	settings := o.Only
	if settings == nil {
		settings = AllSettings()
	}
	var list []Setting
	for _, s := range AllSettings() {
		asked := slices.Contains(settings, s) && !slices.Contains(o.Skip, s)
		switch {
		case !asked:
		case s == NoncurrentVersions && o.NoncurrentDays == 0 && o.Only == nil:
			// It deletes, so it is for those who ask.
		case s == NoncurrentVersions && o.NoncurrentDays == 0:
			return nil, fmt.Errorf("%s: say after how many days", s)
		case s == AccessLogging && o.LogBucket == "" && o.Only != nil:
			return nil, fmt.Errorf("%s: say which bucket takes the log", s)
		default:
			list = append(list, s)
		}
	}
	if list == nil {
		return nil, fmt.Errorf("setting: none is left to look at")
	}
	return list, nil
}

func settingNames() string {
	var names []string
	for _, s := range AllSettings() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func plan(s Setting, l look) Step {
	step := Step{Setting: s, State: l.state, Before: l.is, After: l.is, Note: l.note, apply: l.apply}
	switch {
	case l.state == OK:
		step.Outcome = Kept
	case l.state == Unknown:
		step.Outcome = Refused
	case l.state == Unsupported:
		step.Outcome = NotSupported
	case l.apply == nil:
		step.Outcome = LeftAlone
	case l.fails != nil:
		step.Outcome, step.Note = Failed, l.fails.Error()
	default:
		step.Outcome, step.After = Planned, l.will
	}
	return step
}

// Changes reports whether there is anything to do.
func (h *Hardening) Changes() bool {
	return slices.ContainsFunc(h.Steps, func(s Step) bool { return s.Outcome == Planned })
}

// Complete reports whether nothing that was asked for was refused, not
// supported, or has failed.
func (h *Hardening) Complete() bool {
	return !slices.ContainsFunc(h.Steps, func(s Step) bool {
		return s.Outcome == Refused || s.Outcome == NotSupported || s.Outcome == Failed
	})
}

// Apply makes the changes that are planned, each by itself: what fails is noted
// in its step, and the rest goes on. It returns early only when ctx ends, with
// the steps not made still planned.
func (h *Hardening) Apply(ctx context.Context) error {
	for i := range h.Steps {
		s := &h.Steps[i]
		if s.Outcome != Planned {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s.made(s.apply(ctx))
	}
	return nil
}

// made notes what became of a change.
func (s *Step) made(err error) {
	if err == nil {
		s.Outcome = Changed
		return
	}
	s.After, s.Note = s.Before, err.Error()
	switch refusalState(err) {
	case Unknown:
		s.Outcome = Refused
	case Unsupported:
		s.Outcome = NotSupported
	default:
		s.Outcome = Failed
	}
}
