package events

import (
	"sync"
	"time"
)

// refusals counts refusals of one kind together. It is safe for concurrent use,
// and holds no more than one window of a bounded number of kinds.
type refusals struct {
	window time.Duration
	most   int

	mu    sync.Mutex
	began time.Time
	kinds map[refusalKind]*Refused
	rest  *Refused // those beyond most
}

// refusalKind is what refusals have in common that are told together.
type refusalKind struct {
	reason, token, client string
}

func newRefusals(window time.Duration, most int) *refusals {
	return &refusals{window: window, most: most, kinds: map[refusalKind]*Refused{}, began: time.Now()}
}

// manyReasons is the reason of refusals of many kinds.
const manyReasons = "Various"

// add counts a refusal. The first of its kind comes back, to be told now.
func (f *refusals) add(r Refused) (Refused, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Count = 1
	kind := refusalKind{r.Reason, r.Token, r.Client}
	switch known := f.kinds[kind]; {
	case known != nil:
		known.Count++
		return r, false
	case len(f.kinds) >= f.most && !(r.Canary && len(f.kinds) < 2*f.most): // a flood hides no canary
		if f.rest == nil {
			f.rest = &Refused{Reason: manyReasons}
		}
		f.rest.Count++
		return r, false
	}
	counted := r
	counted.Count = 0
	f.kinds[kind] = &counted
	return r, true
}

// flush ends the window, and returns what was counted and not told in it.
func (f *refusals) flush() []Refused {
	f.mu.Lock()
	defer f.mu.Unlock()
	var told []Refused
	since := f.began.UTC().Truncate(time.Millisecond)
	for _, r := range f.kinds {
		if r.Count > 0 {
			r.Since = since
			told = append(told, *r)
		}
	}
	if f.rest != nil {
		f.rest.Since = since
		told = append(told, *f.rest)
	}
	f.kinds, f.rest, f.began = map[refusalKind]*Refused{}, nil, time.Now()
	return told
}
