package main

import (
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"one", []float64{3}, Spread{3, 3, 3}},
		{"odd", []float64{5, 1, 2}, Spread{1, 2, 5}},
		{"even", []float64{4, 1, 3, 2}, Spread{1, 2.5, 4}},
		{"below zero", []float64{-1, -3, 2}, Spread{-3, -1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.values)
			if got := spread(tt.values); got != tt.want {
				t.Errorf("is %+v, want %+v", got, tt.want)
			}
			if !slices.Equal(tt.values, before) {
				t.Error("the values were put in another order")
			}
		})
	}
}

func TestRatios(t *testing.T) {
	for _, tt := range []struct {
		name          string
		subject, peer []float64
		want          []float64
	}{
		{"round by round", []float64{1, 9, 4}, []float64{2, 3, 4}, []float64{0.5, 3, 1}},
		{"a peer that took nothing", []float64{1, 9}, []float64{0, 3}, []float64{3}},
		{"a peer that took less than nothing", []float64{1, 9}, []float64{-2, 3}, []float64{3}},
		{"no peer", []float64{1}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ratios(tt.subject, tt.peer); !slices.Equal(got, tt.want) {
				t.Errorf("are %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		value float64
		want  string
	}{{0, "0"}, {12345.6, "12346"}, {99.94, "99.9"}, {9.994, "9.99"}, {0.123, "0.12"}, {0.0456, "0.046"}, {-3.456, "-3.46"}} {
		if got := number(tt.value); got != tt.want {
			t.Errorf("%v is written %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{4 << 10: "4 KiB", 1 << 20: "1 MiB", 1 << 30: "1 GiB", 1 << 31: "2 GiB", 1000: "1000 bytes"} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for most, want := range map[int][]int{1_000_000: {1_000, 100_000, 1_000_000}, 100_000: {1_000, 100_000}, 10: {10}} {
		if got := (&amounts{mostTokens: most}).tokens(); !slices.Equal(got, want) {
			t.Errorf("with at most %d tokens there are %v, want %v", most, got, want)
		}
	}
}
