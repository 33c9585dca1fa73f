package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is a report with everything that a page may have.
func sample() *Report {
	r := &Report{Began: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC), Took: "9m", Command: "go run ./loadtest/peers", Logs: true, Rounds: 3,
		Machine: Machine{CPU: "A processor", Cores: 2, Kernel: "6.1", System: "A system", Load: "0.10"}, Versions: []Version{{"nginx", "1.2"}}}
	r.add(&work{name: "get-4k", title: "small downloads", how: "Many GETs."}, []Row{
		{Subject: gateUnlimited, Metric: "CPU", Unit: microsPerRequest, Peer: nginxLua, Ratio: &Spread{0.8, 0.9, 1.2}, Value: Spread{30, 31, 35},
			Samples: []float64{30, 31, 35}, Aim: "≤ 1.0 ×", Reached: true},
		{Subject: nginxLua, Metric: "CPU", Unit: microsPerRequest, Value: Spread{33, 34, 36}, Samples: []float64{34, 33, 36}},
	}, nil)
	r.add(&work{name: "put-1g", title: "large uploads", how: "One PUT."}, nil, errors.New("nobody answers"))
	return r
}

func TestReport(t *testing.T) {
	r := sample()
	for _, tt := range []struct {
		name  string
		write func(*bytes.Buffer) error
		want  []string
	}{
		{"table", func(b *bytes.Buffer) error { return r.table(b) },
			[]string{"get-4k s3gate, unlimited CPU 31.0 µs/request 0.80–0.90–1.20 nginx + Lua ≤ 1.0 × yes", "put-1g FAILED: nobody answers"}},
		{"page", func(b *bytes.Buffer) error { return r.page(b) },
			[]string{"| [small downloads](#get-4k) | s3gate, unlimited | CPU | nginx + Lua | ≤ 1.0 × | 0.80–0.90–1.20 | 31.0 µs/request | yes |",
				"| processor | A processor, 2 cores |", "| 0.10: of what else ran |", "| nginx | 1.2 |", "```sh elsewhere\ngo run ./loadtest/peers\n```\n", "31 January 2030, 12:00 UTC", "    nobody answers", "write their access logs",
				"| s3gate, unlimited | CPU | 30.0–31.0–35.0 µs/request | 0.80–0.90–1.20 | nginx + Lua |\n| nginx + Lua | CPU |"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			text := b.String()
			if tt.name == "table" { // widths are for eyes
				text = strings.Join(strings.Fields(text), " ")
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("has no %q:\n%s", want, b.String())
				}
			}
			if strings.Contains(b.String(), "smoke") {
				t.Error("says that it was a smoke run")
			}
		})
	}
	var b bytes.Buffer
	if err := r.json(&b); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(b.Bytes(), &again); err != nil || !reflect.DeepEqual(&again, r) {
		t.Errorf("read back it is %+v, %v", again, err)
	}
	if err := r.failed(); err == nil || err.Error() != "put-1g: nobody answers" {
		t.Errorf("what failed: %v", err)
	}
}

// Whoever reads numbers of a smoke run is told.
func TestSmokeRunSaysSo(t *testing.T) {
	r := sample()
	r.Quick = true
	for name, write := range map[string]func(*bytes.Buffer) error{
		"table": func(b *bytes.Buffer) error { return r.table(b) },
		"page":  func(b *bytes.Buffer) error { return r.page(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil || !strings.Contains(b.String(), "the numbers mean nothing") {
			t.Errorf("%s: %v:\n%s", name, err, b.String())
		}
	}
}
