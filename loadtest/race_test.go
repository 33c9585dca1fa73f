package loadtest

import (
	"io"
	"testing"
)

func TestJudgeRace(t *testing.T) {
	won, gone, busy, cut := outcome{received: 1}, outcome{err: &statusError{410}}, outcome{err: &statusError{409}}, outcome{err: io.ErrUnexpectedEOF}
	for _, test := range []struct {
		name           string
		outcomes       []outcome
		winner, losers bool
		fails          bool
	}{
		{"one", []outcome{gone, won, gone}, true, true, false},
		{"two", []outcome{won, won, gone}, false, true, false},
		{"nobody", []outcome{gone, gone, gone}, false, true, true},
		{"one whose connection broke", []outcome{gone, cut, gone}, true, true, true},
		{"one, and one who was told to wait", []outcome{won, busy}, true, false, false},
	} {
		w := &world{checks: &checks{}}
		w.checks.expect(losersGone)
		o := w.judgeRace(1, "tok_1", test.outcomes)
		held := map[string]bool{}
		for _, i := range w.checks.list() {
			held[i.Name] = i.Broken == 0
		}
		if held[oneWinner] != test.winner || held[losersGone] != test.losers || (o.err != nil) != test.fails {
			t.Errorf("%s: %v, %v", test.name, held, o.err)
		}
	}
}
