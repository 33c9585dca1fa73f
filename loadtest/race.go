package loadtest

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"s3gate/client"
)

// prepareRace lets several clients ask for a single use at the same moment. The
// operation takes as long as the one who got it.
func prepareRace(ctx context.Context, w *world) (operation, error) {
	w.checks.expect(oneWinner, losersGone, rightBytes)
	key, err := w.furnish(ctx)
	return func(ctx context.Context, n uint64) outcome {
		once := int64(1)
		t, err := w.mint(ctx, "get", key, func(r *client.MintRequest) { r.MaxUses = &once })
		if err != nil {
			return outcome{err: err}
		}
		return w.race(ctx, n, t)
	}, err
}

// race asks with all clients at once, each on a connection of its own.
func (w *world) race(ctx context.Context, n uint64, t *client.Token) outcome {
	outcomes := make([]outcome, w.cfg.Clients)
	var start, over sync.WaitGroup
	start.Add(1)
	for i := range outcomes {
		over.Go(func() {
			start.Wait()
			outcomes[i] = w.get(ctx, w.link(t), 0, 0)
		})
	}
	start.Done()
	over.Wait()
	return w.judgeRace(n, t.ID, outcomes)
}

// judgeRace demands one whole download, and that everybody else was told 410. A
// client whose connection broke may have been the winner: then nobody else may be.
func (w *world) judgeRace(n uint64, id string, outcomes []outcome) (winner outcome) {
	won, broken := 0, 0
	winner.err = errors.New("nobody got the single use")
	for _, o := range outcomes {
		var status *statusError
		switch {
		case o.err == nil:
			won++
			winner = o
		case errors.As(o.err, &status):
			w.checks.hold(losersGone, status.status == http.StatusGone, "race %d for %s: %d", n, id, status.status)
		default:
			broken++
			winner.err = errors.Join(winner.err, o.err)
		}
	}
	ok := won == 1 || won == 0 && broken > 0
	w.checks.hold(oneWinner, ok, "race %d for %s: %d of %d clients got it", n, id, won, len(outcomes))
	return winner
}
