package tokens

import (
	"cmp"
	"time"
)

// Adjustable is what of [Options] may change while a store is used; its fields
// are those of the Options.
type Adjustable struct {
	Limits         Limits
	PasscodeTries  int
	PasscodeWindow time.Duration
	BusyWait       time.Duration
}

// Adjust replaces what may change. What is under way ends as it began. It is safe
// for concurrent use.
func (s *Store) Adjust(a Adjustable) {
	a.Limits = a.Limits.withDefaults()
	a.PasscodeTries = cmp.Or(a.PasscodeTries, 10)
	a.PasscodeWindow = cmp.Or(a.PasscodeWindow, 15*time.Minute)
	a.BusyWait = cmp.Or(a.BusyWait, time.Second)
	s.adjusted.Store(&a)
}

// adjustable takes what may change out of the options, where it would be out of
// date.
func (o *Options) adjustable() Adjustable {
	a := Adjustable{o.Limits, o.PasscodeTries, o.PasscodeWindow, o.BusyWait}
	o.Limits, o.PasscodeTries, o.PasscodeWindow, o.BusyWait = Limits{}, 0, 0, 0
	return a
}
