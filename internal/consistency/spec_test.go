package consistency_test

import (
	"testing"
	"time"
)

// at is a step that one client takes between two moments.
func at(client int, begin, end moment, k kind, number int) event {
	return event{client: client, step: step{k, number}, begin: begin * time.Millisecond, end: end * time.Millisecond}
}

// What the specification permits, and what it does not.
func TestSpecification(t *testing.T) {
	mint := at(0, 0, 1, mints, 1)
	for _, test := range []struct {
		name string
		past history
		want bool
	}{
		{"one use", history{mint, at(0, 2, 3, charges, 1), at(0, 4, 5, used, 0)}, true},
		{"two copies of one use", history{mint, at(0, 2, 5, charges, 1), at(1, 3, 4, charges, 1)}, false},
		{"any number of copies", history{at(0, 0, 1, mints, 0), at(0, 2, 3, charges, 1), at(0, 4, 5, charges, 1)}, true},
		{"used although nobody has it", history{mint, at(0, 2, 3, used, 0), at(0, 4, 5, charges, 1)}, false},
		{"used by somebody who comes at the same time", history{mint, at(0, 2, 5, used, 0), at(1, 3, 6, charges, 1)}, true},
		{"used by somebody who heard nothing", history{mint, at(1, 2, 2, opens, 0), at(0, 3, 4, used, 0)}, true},
		{"a use that is handed back", history{mint, at(1, 2, 2, opens, 0), at(0, 3, 4, used, 0), at(0, 5, 6, charges, 1)}, true},
		{"used by somebody who comes later", history{mint, at(0, 3, 4, used, 0), at(1, 5, 5, opens, 0)}, false},
		{"a copy while a rule is made", history{mint, at(1, 2, 6, imposes, 0), at(0, 3, 4, charges, 1)}, true},
		{"a copy after a rule was made", history{mint, at(1, 2, 3, imposes, 0), at(0, 4, 5, charges, 1)}, false},
		{"a copy after a rule was seen", history{mint, at(1, 2, 9, imposes, 0), at(0, 3, 4, revoked, 0), at(0, 5, 6, charges, 1)}, false},
		{"a copy after a rule was seen on one gate", history{mint, at(1, 2, 2, doubts, 0), at(0, 3, 4, revoked, 0), at(0, 5, 6, charges, 1), at(1, 9, 9, imposes, 0)}, true},
		{"a copy after a lift", history{mint, at(1, 2, 3, imposes, 0), at(1, 4, 5, releases, 0), at(0, 6, 7, charges, 1)}, true},
		{"revoked after a lift", history{mint, at(1, 2, 3, imposes, 0), at(1, 4, 5, releases, 0), at(0, 6, 7, revoked, 0)}, false},
		{"a copy under another rule", history{mint, at(1, 2, 3, imposes, 0), at(2, 2, 3, imposes, 1), at(1, 4, 5, releases, 0), at(0, 6, 7, charges, 1)}, false},
		{"a rule that may have been lifted", history{mint, at(1, 2, 3, imposes, 0), at(1, 4, 4, doubts, 0), at(0, 5, 6, revoked, 0), at(0, 7, 8, charges, 1)}, true},
		{"revoked without a rule", history{mint, at(0, 2, 3, revoked, 0)}, false},
		{"a copy that was begun in time", history{mint, at(0, 2, 9, admits, 0), at(0, 2, 9, charges, 1), at(9, 5, 6, expires, 0)}, true},
		{"a copy after the end", history{mint, at(9, 2, 3, expires, 0), at(0, 4, 5, admits, 0), at(0, 4, 5, charges, 1)}, false},
		{"expired too early", history{mint, at(0, 2, 3, expired, 0), at(9, 4, 5, expires, 0)}, false},
		{"shown too many uses", history{mint, at(0, 2, 3, shows, 1)}, false},
		{"shown a use that may be", history{mint, at(1, 2, 2, opens, 0), at(0, 3, 4, shows, 1), at(0, 5, 6, shows, 0)}, true},
		{"shown too few", history{mint, at(0, 2, 3, charges, 1), at(0, 4, 5, shows, 0)}, false},
		{"all bytes", history{at(0, 0, 1, mints, 20), at(0, 2, 3, charges, 10), at(0, 4, 5, charges, 10)}, true},
		{"a byte too much", history{at(0, 0, 1, mints, 20), at(0, 2, 3, charges, 11), at(1, 2, 3, charges, 10)}, false},
		{"an answer without reason", history{mint, at(0, 2, 3, odd, 0)}, false},
	} {
		if got := test.past.fits(); got != test.want {
			t.Errorf("%s: fits: %v, want %v", test.name, got, test.want)
		}
	}
}
