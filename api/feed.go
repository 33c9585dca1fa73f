package api

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxFollowers is how many may follow one feed of this gate.
const maxFollowers = 100

// errCrowded is the answer to one more.
var errCrowded = errors.New("as many follow as may")

// feed looks at something again and again while somebody follows it, once for all
// of them. Who is too slow misses looks, and nothing is kept for them. It is safe
// for concurrent use.
type feed[T any] struct {
	look func(context.Context) (T, error)
	pace time.Duration

	mu        sync.Mutex
	followers map[*follower[T]]struct{}
	stop      context.CancelFunc
}

// follower hears of looks.
type follower[T any] struct {
	latest T
	fresh  chan struct{} // has one, or none, if latest was not taken
}

// follow begins to look if nobody else follows. The caller must leave.
func (f *feed[T]) follow() (*follower[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.followers) >= maxFollowers {
		return nil, errCrowded
	}
	if len(f.followers) == 0 {
		f.followers = map[*follower[T]]struct{}{}
		ctx, stop := context.WithCancel(context.Background())
		f.stop = stop
		go f.run(ctx)
	}
	one := &follower[T]{fresh: make(chan struct{}, 1)}
	f.followers[one] = struct{}{}
	return one, nil
}

func (f *feed[T]) leave(one *follower[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, one)
	if len(f.followers) == 0 {
		f.stop()
	}
}

// run looks until ctx is done. A look that fails tells nobody anything.
func (f *feed[T]) run(ctx context.Context) {
	pace := time.NewTicker(f.pace)
	defer pace.Stop()
	for ctx.Err() == nil {
		if seen, err := f.look(ctx); err == nil {
			f.tell(ctx, seen)
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

func (f *feed[T]) tell(ctx context.Context, seen T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return // the followers are those of another run
	}
	for one := range f.followers {
		one.latest = seen
		select {
		case one.fresh <- struct{}{}:
		default:
		}
	}
}

// take returns the latest look.
func (f *feed[T]) take(one *follower[T]) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return one.latest
}
