package loadtest

import (
	"context"
	"hash/maphash"
	"sync"
)

func prepareMint(_ context.Context, w *world) (operation, error) {
	w.checks.expect(uniqueTokens)
	seed := maphash.MakeSeed()
	var seen sync.Map // hashes of tokens: 64 bits are enough for some millions
	return func(ctx context.Context, _ uint64) outcome {
		t, err := w.mint(ctx, "get", "none", nil)
		if err != nil {
			return outcome{err: err}
		}
		_, twice := seen.LoadOrStore(maphash.String(seed, t.Token), nil)
		w.checks.hold(uniqueTokens, !twice, "%s", t.ID)
		return outcome{}
	}, nil
}
