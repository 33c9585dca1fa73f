package gate

import (
	"testing"
	"time"

	"s3gate/internal/config"
	"s3gate/revocation"
)

func replica(priority string) map[string]string {
	return map[string]string{"ip": "192.0.2.1", "port": "6379", "slave-priority": priority}
}

func TestUnequalPriorities(t *testing.T) {
	for _, test := range []struct {
		name       string
		priorities []string
		want       bool
	}{
		{"none", nil, false},
		{"one", []string{"100"}, false},
		{"equal", []string{"100", "100", "100"}, false},
		{"different", []string{"100", "100", "10"}, true},
		{"one that is never promoted", []string{"0", "100"}, false},
		{"two of three", []string{"10", "0", "100"}, true},
		{"one that is not told", []string{"", "100"}, false},
	} {
		var replicas []map[string]string
		for _, p := range test.priorities {
			replicas = append(replicas, replica(p))
		}
		if got := unequal(replicas); (got != nil) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// While no sentinel answers what was found stands.
func TestPrioritiesStand(t *testing.T) {
	silent := config.Redis{Addrs: []string{"127.0.0.1:1"}, Master: "main", Replicas: 2, MinAcks: 1, Timeout: 200 * time.Millisecond}
	var p priorities
	if err := p.check(t.Context(), silent); err != nil {
		t.Errorf("nothing was found, and the sentinels are silent: %v", err)
	}
	p.wrong.Store(&revocation.PriorityError{Replica: "192.0.2.1:6379", Priority: 10, Other: 100})
	if err := p.check(t.Context(), silent); err == nil {
		t.Error("what was found does not stand")
	}
	all := silent
	all.MinAcks = 2
	if err := p.check(t.Context(), all); err != nil {
		t.Errorf("where every replica has to acknowledge: %v", err)
	}
}
