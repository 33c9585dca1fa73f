package main

import (
	"context"
	"fmt"
)

// work is one kind of load, which contenders take turns in.
type work struct {
	name  string // for -only
	title string
	how   string // for the page: what is done, and what the number is
	peer  string // the contender that others are put in proportion to
	base  string // one that is subtracted from all others; "" is none
	// metrics are what one turn gives, in the order of its values.
	metrics []metric
	// prepare starts what is needed, looks whether it answers rightly, and returns
	// the contenders in the order of their turns.
	prepare  func(context.Context) ([]contender, error)
	repeated int // turns that have failed
}

// metric is one number of a turn. Less is better.
type metric struct {
	name, unit string
	aims       []aim
	aside      bool // only told, not put in proportion
}

// aim is what is to be reached by the medians.
type aim struct {
	subject string
	ratio   float64 // to the peer, at most
	value   float64 // in the metric's unit, at most; 0 is no such aim
}

// text says it as the page does, of a metric in a unit.
func (a aim) text(unit string) string {
	text := fmt.Sprintf("≤ %.1f ×", a.ratio)
	if a.value > 0 {
		text += fmt.Sprintf(" and ≤ %g %s", a.value, unit)
	}
	return text
}

// contender is who takes turns.
type contender struct {
	name    string
	measure func(context.Context) ([]float64, error) // one turn
	gate    *server                                  // for profiles; nil has none
}

// The contenders.
const (
	gateUnlimited = "s3gate, unlimited"
	gateLimited   = "s3gate, limited"
	gateOnly      = "s3gate"
	nginxLua      = "nginx + Lua"
	nginxPlain    = "nginx"
	haproxyPlain  = "HAProxy"
	direct        = "direct"
)

// Row is what became of one contender of a work, by one metric.
type Row struct {
	Subject string `json:"subject"`
	Metric  string `json:"metric"`
	Unit    string `json:"unit"`
	// Peer is who it was put in proportion to; "" where it is the peer itself, or
	// stands for itself.
	Peer string `json:"peer,omitempty"`
	// Ratio is that to the peer in the same round; nil if there is no peer.
	Ratio *Spread `json:"ratio,omitempty"`
	// Value is in Unit, and Samples are its values by round.
	Value   Spread    `json:"value"`
	Samples []float64 `json:"samples"`
	// Aim is what is to be reached by the medians; "" is none.
	Aim     string `json:"aim,omitempty"`
	Reached bool   `json:"reached,omitempty"`
}

// rows makes them of samples by contender, metric and round.
func (w *work) rows(contenders []contender, samples map[string][][]float64) []Row {
	var all []Row
	for i, m := range w.metrics {
		for _, c := range contenders {
			row := Row{Subject: c.name, Metric: m.name, Unit: m.unit, Samples: w.values(samples, c.name, i)}
			row.Value = spread(row.Samples)
			if m.aside && row.Value.Max == 0 {
				continue // nothing to tell, as of Redis behind who asks none
			}
			if !m.aside && c.name != w.peer && c.name != w.base {
				row.compare(w.peer, w.values(samples, w.peer, i))
			}
			for _, a := range m.aims {
				if a.subject == c.name {
					row.judge(a)
				}
			}
			all = append(all, row)
		}
	}
	return all
}

// values are those of a contender, less the base.
func (w *work) values(samples map[string][][]float64, name string, metric int) []float64 {
	if len(samples[name]) == 0 {
		return nil
	}
	if w.base == "" || name == w.base {
		return samples[name][metric]
	}
	return less(samples[name][metric], samples[w.base][metric])
}

func (r *Row) compare(peer string, values []float64) {
	if all := ratios(r.Samples, values); len(all) > 0 {
		s := spread(all)
		r.Peer, r.Ratio = peer, &s
	}
}

// judge says whether an aim is reached. Without a ratio nobody knows, so it is not.
func (r *Row) judge(a aim) {
	r.Aim = a.text(r.Unit)
	r.Reached = r.Ratio != nil && r.Ratio.Median <= a.ratio && (a.value == 0 || r.Value.Median <= a.value)
}
