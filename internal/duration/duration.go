// Package duration reads durations as people write them: Go's form, and days.
package duration

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads "90s", "1h30m", "30d" or "1d12h". A day is 24 hours. The error
// quotes the text.
func Parse(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "", s
	}
	var total time.Duration
	if found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, invalid(s)
		}
		total = time.Duration(n) * 24 * time.Hour
	}
	if rest != "" || !found {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || total+d < total {
			return 0, invalid(s)
		}
		total += d
	}
	return total, nil
}

func invalid(s string) error {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return fmt.Errorf("%q is not a duration such as 90s, 1h30m or 30d", s)
}
