package main

import (
	"math"
	"slices"
)

// Spread is the least, the middle and the greatest of some numbers.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// spread returns that of at least one number. Of an even number of them the median is
// the mean of the two in the middle.
func spread(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}

// ratios puts two servers in proportion, round by round. There is none for a round in
// which the peer took nothing, or less, as added latency may.
func ratios(subject, peer []float64) []float64 {
	var all []float64
	for i := range min(len(subject), len(peer)) {
		if r := subject[i] / peer[i]; peer[i] > 0 && !math.IsInf(r, 0) && !math.IsNaN(r) {
			all = append(all, r)
		}
	}
	return all
}

// less subtracts round by round.
func less(values, base []float64) []float64 {
	all := make([]float64, min(len(values), len(base)))
	for i := range all {
		all[i] = values[i] - base[i]
	}
	return all
}
