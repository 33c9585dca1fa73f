package main

import (
	"slices"
	"testing"
)

func TestRows(t *testing.T) {
	w := &work{
		peer: "peer", base: "base",
		metrics: []metric{
			{name: "p50", unit: "µs", aims: []aim{{subject: "fast", ratio: 1}, {subject: "slow", ratio: 1}, {subject: "big", ratio: 9, value: 30}}},
			{name: "beside", unit: "µs", aside: true},
		},
	}
	samples := map[string][][]float64{
		"base": {{10, 10, 20}, {0, 0, 0}},
		"peer": {{20, 30, 40}, {1, 1, 1}},
		"fast": {{15, 40, 30}, {1, 1, 1}},
		"slow": {{31, 31, 41}, {1, 1, 1}},
		"big":  {{50, 50, 50}, {1, 1, 1}},
	}
	var contenders []contender
	for _, name := range []string{"base", "peer", "fast", "slow", "big"} {
		contenders = append(contenders, contender{name: name})
	}
	rows := w.rows(contenders, samples)
	if len(rows) != 9 { // what is only told, and is nothing, is left out
		t.Fatalf("%d rows, want 9", len(rows))
	}
	for i, want := range []struct {
		subject string
		samples []float64
		ratio   Spread // zero: none
		aim     string
		reached bool
	}{
		{"base", []float64{10, 10, 20}, Spread{}, "", false},
		{"peer", []float64{10, 20, 20}, Spread{}, "", false},
		{"fast", []float64{5, 30, 10}, Spread{0.5, 0.5, 1.5}, "≤ 1.0 ×", true},
		{"slow", []float64{21, 21, 21}, Spread{1.05, 1.05, 2.1}, "≤ 1.0 ×", false},
		{"big", []float64{40, 40, 30}, Spread{1.5, 2, 4}, "≤ 9.0 × and ≤ 30 µs", false},
	} {
		r := rows[i]
		ratio := Spread{}
		if r.Ratio != nil {
			ratio = *r.Ratio
		}
		if r.Subject != want.subject || !slices.Equal(r.Samples, want.samples) || ratio != want.ratio || r.Aim != want.aim || r.Reached != want.reached {
			t.Errorf("row %d is %+v with ratio %+v, want %+v", i, r, ratio, want)
		}
	}
	for _, r := range rows[5:] {
		if r.Ratio != nil || r.Aim != "" {
			t.Errorf("%s, which is only told, is %+v", r.Subject, r)
		}
	}
}

// Nothing reaches an aim that was not put in proportion.
func TestAimWithoutAPeer(t *testing.T) {
	w := &work{peer: "peer", metrics: []metric{{aims: []aim{{subject: "we", ratio: 1}}}}}
	rows := w.rows([]contender{{name: "we"}}, map[string][][]float64{"we": {{1}}})
	if rows[0].Reached || rows[0].Verdict() != "no" {
		t.Errorf("is reached: %+v", rows[0])
	}
}

// The works have names that -only can tell apart, and aims for contenders who are there.
func TestWorks(t *testing.T) {
	b := &bench{options: &options{amounts: usual()}}
	names := map[string]bool{}
	for _, w := range works(b) {
		if w.name == "" || w.title == "" || w.how == "" || names[w.name] {
			t.Errorf("work %q lacks something, or is there twice", w.name)
		}
		names[w.name] = true
	}
	if len(names) != 10 {
		t.Errorf("%d works, want 10", len(names))
	}
}
