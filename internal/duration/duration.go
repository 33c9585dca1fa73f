// Package duration reads and writes durations as people do: Go's form, and days.
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

// Format writes a duration as Parse reads it, in its largest units: 30d, 1h30m,
// 1.5s. It is not for durations below zero.
func Format(d time.Duration) string {
	const day = 24 * time.Hour
	text := ""
	if days := d / day; days > 0 {
		text = strconv.FormatInt(int64(days), 10) + "d"
		if d -= days * day; d == 0 {
			return text
		}
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}

func invalid(s string) error {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return fmt.Errorf("%q is not a duration such as 90s, 1h30m or 30d", s)
}
