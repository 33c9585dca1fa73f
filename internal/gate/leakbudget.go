package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"s3gate/guard/leakwatch"
	"s3gate/s3client"
)

// leakBudgets bound what is done about findings of each kind and outcome, so that
// those that everybody can cause use up nothing of what others need.
type leakBudgets map[leakClass]leakBudget

type leakClass struct {
	kind    leakwatch.Kind
	outcome leakwatch.Outcome
}

// leakBudget bounds what is done, and how often it is tried, which costs requests to
// the store also where nothing is to be done.
type leakBudget struct{ done, tried *rate.Limiter }

// triesPerAction is how many tries there are for each thing that may be done.
const triesPerAction = 10

func newLeakBudgets(anHour int) leakBudgets {
	hourly := func(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(float64(n)/3600), n) }
	all := leakBudgets{}
	for _, kind := range leakwatch.Kinds() {
		for _, outcome := range leakwatch.Outcomes() {
			all[leakClass{kind, outcome}] = leakBudget{hourly(anHour), hourly(anHour * triesPerAction)}
		}
	}
	return all
}

// actOnLeak does one thing about a finding, if the budget has room for it, of which
// only what is done takes some. It was pending since a time, which is zero the first
// time. One thing is done at a time.
func (g *Gate) actOnLeak(ctx context.Context, action leakwatch.Action, f *leakwatch.Finding, since time.Time) leakwatch.Taken {
	g.leaks.acting.Lock()
	defer g.leaks.acting.Unlock()
	dry, now := g.cfg.Guard.Leaks.DryRun, time.Now().UTC().Truncate(time.Millisecond)
	t := leakwatch.Taken{Action: action, DryRun: dry, At: now}
	budget := g.leaks.budgets[leakClass{f.Kind, f.Outcome}]
	var err error
	if !dry && (budget.done.Tokens() < 1 || !budget.tried.Allow()) {
		err = fmt.Errorf("not done yet: guard.leaks.max_actions is %d an hour for each kind and outcome", g.cfg.Guard.Leaks.MaxActions)
		t.Pending = true
	} else {
		t.Tokens, err = g.leakAction(ctx, action, f, dry)
		t.Pending = !dry && err != nil && leakFailure(err)
		if !dry && (len(t.Tokens) > 0 || err == nil && action == leakwatch.Lock) {
			budget.done.Allow()
		}
	}
	if err == nil {
		return t
	}
	t.Error = err.Error()
	if t.Pending && !since.IsZero() {
		t.At, t.Pending = since, now.Sub(since) < leakwatch.RetriedFor
	}
	return t
}

// leakFailure reports whether an error of an action is a failure, of which there may
// be none the next time. What the gate itself has decided against wraps no error.
func leakFailure(err error) bool {
	return errors.Unwrap(err) != nil || errors.As(err, new(*s3client.Error)) || errors.As(err, new(net.Error))
}

// actAgainOnLeak does what is pending, as long as the settings still say so, and
// reports whether anything is not pending any more.
func (g *Gate) actAgainOnLeak(ctx context.Context, f *leakwatch.Finding) (all []leakwatch.Taken, settled bool) {
	do := leakwatch.Choose(g.leaks.rules, f)
	for _, t := range f.Taken {
		if t.Pending {
			switch was := t.Tokens; {
			case slices.Contains(do, t.Action):
				t = g.actOnLeak(ctx, t.Action, f, t.At)
				t.Tokens = append(was, t.Tokens...)
			default:
				t.Pending = false
			}
			settled = settled || !t.Pending
		}
		all = append(all, t)
	}
	return all, settled
}
