package main

import "time"

// amounts are how much is done in one turn of a server.
type amounts struct {
	small, medium, large, upload int64         // sizes of objects in bytes
	requests                     int           // of the small object
	mediumRequests               int           // of the medium one
	largeRequests                int           // of the large one
	clients                      int           // connections for the small and medium ones
	rate                         int           // requests a second at low load
	low                          time.Duration // of low load
	slow                         []int         // downloads that are open at a time, in steps
	settle                       time.Duration // before memory is read
	mostTokens                   int           // in Redis
	stateRequests                int           // spread over all tokens
	rules                        int           // of revocation
	gates                        []int         // on one Redis
	profiled                     time.Duration // of a CPU profile
}

// usual is what is measured.
func usual() amounts {
	return amounts{
		small: 4 << 10, medium: 1 << 20, large: 256 << 20, upload: 1 << 30,
		requests: 20_000, mediumRequests: 1_000, largeRequests: 4, clients: 8,
		rate: 200, low: 3 * time.Second,
		slow: []int{1_000, 5_000}, settle: 2 * time.Second,
		mostTokens: 1_000_000, stateRequests: 5_000, rules: 10_000, gates: []int{1, 2, 4},
		profiled: 5 * time.Second,
	}
}

// small is just enough to see that everything works.
func small() amounts {
	return amounts{
		small: 4 << 10, medium: 1 << 20, large: 4 << 20, upload: 8 << 20,
		requests: 200, mediumRequests: 20, largeRequests: 2, clients: 4,
		rate: 200, low: 250 * time.Millisecond,
		slow: []int{20, 50}, settle: 100 * time.Millisecond,
		mostTokens: 2_000, stateRequests: 200, rules: 50, gates: []int{1, 2},
		profiled: time.Second,
	}
}

// tokens are the numbers of tokens that are compared: a thousand, a hundred times as
// many and ten times those, as far as the most goes.
func (a *amounts) tokens() []int {
	var all []int
	for _, n := range []int{1_000, 100_000} {
		if n < a.mostTokens {
			all = append(all, n)
		}
	}
	return append(all, a.mostTokens)
}
