package web

import "time"

// moment is a time as a page has it: for its script, in words, and how far away
// it is, "" for one that is over.
type moment struct{ Machine, Text, Away string }

func (l Language) moment(t time.Time) moment {
	t = t.UTC()
	return moment{t.Format(time.RFC3339), t.Format(l.Say("2 January 2006, 15:04 UTC")), l.away(time.Until(t))}
}

// away says how far in the future something is, in the largest unit of which that
// are two at least.
func (l Language) away(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d <= 0:
		return ""
	case d >= 2*365*day:
		return l.Say("in {0} years", int64(d/(365*day)))
	case d >= 60*day:
		return l.Say("in {0} months", int64(d/(30*day)))
	case d >= 2*day:
		return l.Say("in {0} days", int64(d/day))
	case d >= 2*time.Hour:
		return l.Say("in {0} hours", int64(d/time.Hour))
	case d >= 2*time.Minute:
		return l.Say("in {0} minutes", int64(d/time.Minute))
	}
	return l.Say("in {0} seconds", int64(max(1, d/time.Second)))
}

// size writes one in bytes for people, and exactly where that is something else.
func (l Language) size(n int64) (short, exact string) {
	switch {
	case n < 0:
		return l.Say("not known"), ""
	case n < 1000:
		return l.Say("{0} bytes", n), ""
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.95 {
		value, unit = value/1000, unit+1
	}
	return l.orEnglish().write(value) + " " + [...]string{"kB", "MB", "GB", "TB", "PB", "EB"}[unit], l.Say("{0} bytes", n)
}
