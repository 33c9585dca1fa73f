package duration_test

import (
	"testing"
	"time"

	"s3gate/internal/duration"
)

func TestParse(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"90s", 90 * time.Second, true},
		{"1h30m", 90 * time.Minute, true},
		{"30d", 30 * day, true},
		{"1d12h", 36 * time.Hour, true},
		{"0s", 0, true},
		{"0d", 0, true},
		{"36500d", 36500 * day, true},
		{"", 0, false},
		{"d", 0, false},
		{"3600", 0, false},
		{"-1h", 0, false},
		{"1d-1h", 0, false},
		{"1.5d", 0, false},
		{"70000d", 0, false},
		{"1h2d", 0, false},
		{"99999999h", 0, false},
	}
	for _, tt := range tests {
		got, err := duration.Parse(tt.in)
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("Parse(%q) = %v, %v; want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func TestFormat(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m",
		24 * time.Hour: "1d", 36 * time.Hour: "1d12h", 3650 * 24 * time.Hour: "3650d", 200 * time.Millisecond: "200ms", 100 * time.Hour: "4d4h",
		time.Hour + time.Second: "1h0m1s",
	} {
		got := duration.Format(in)
		if again, err := duration.Parse(got); got != want || err != nil || again != in {
			t.Errorf("Format(%v) = %q, which is %v (%v); want %q", in, got, again, err, want)
		}
	}
}
