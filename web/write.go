package web

import "time"

// moment is a time as a page has it: for its script, and in words.
type moment struct{ Machine, Text string }

func (l Language) moment(t time.Time) moment {
	t = t.UTC()
	return moment{t.Format(time.RFC3339), t.Format(l.Say("2 January 2006, 15:04 UTC"))}
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
