package loadtest

import (
	"context"
	"slices"
	"strings"
)

// Scenario is a kind of load.
type Scenario struct {
	// Name is what it is called by.
	Name string
	// About says what an operation is, in a sentence.
	About string
	// Workers and Size are what [Config] has unless it says otherwise; Size is in
	// bytes, and 1 where there are no objects.
	Workers int
	Size    int64
}

// scenario is one with what it does: prepare makes what its operations need.
type scenario struct {
	about   string
	workers int
	size    int64
	prepare func(context.Context, *world) (operation, error)
}

// The scenarios that are not like the others: mixed consists of them.
const (
	mixed       = "mixed"
	slowClients = "slow-clients"
)

// scenarios are all that there are, by name.
func scenarios() map[string]*scenario {
	return map[string]*scenario{
		mixed:            {"one of several of the others, by weights", 16, 4 << 10, prepareMixed},
		"slow-clients":   {"a download that takes 4 KiB a second until the run ends", 5000, 16 << 20, prepareSlow},
		"tus":            {"a token for one upload, and 16 MiB by tus, which breaks off once", 4, 16 << 20, prepareTus},
		"download-small": {"a GET of 4 KiB by a link without limit of uses", 16, 4 << 10, prepareDownload},
		"download-large": {"a GET of 64 MiB by a link without limit of uses", 4, 64 << 20, prepareDownload},
		"range-video": {"a GET of a range, as a player asks for a video of 64 MiB that somebody watches and skips in",
			16, 64 << 20, prepareVideo},
		"upload-many":     {"a token for one upload, and a PUT of 64 KiB with it", 8, 64 << 10, prepareUpload},
		"upload-large":    {"a token for one upload, and a PUT of 256 MiB with it", 2, 256 << 20, prepareUpload},
		"mint":            {"a new token", 16, 1, prepareMint},
		"single-use-race": {"a token for one use, and several clients who GET it at the same time", 8, 4 << 10, prepareRace},
		"revoke-storm": {"several downloads by one link, which is revoked in the middle of them",
			4, 8 << 20, prepareStorm},
	}
}

// Scenarios lists what can be run, by name.
func Scenarios() []Scenario {
	var list []Scenario
	for name, s := range scenarios() {
		list = append(list, Scenario{name, s.about, s.workers, s.size})
	}
	slices.SortFunc(list, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func names() (list []string) {
	for _, s := range Scenarios() {
		list = append(list, s.Name)
	}
	return list
}
