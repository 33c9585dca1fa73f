package tokens_test

import (
	"strconv"

	"s3gate/tokens"
)

// copied is what one use has given out.
type copied struct {
	bytes   int64
	objects map[tokens.Object]bool
	begun   bool
	dead    int64 // requests that died, and may hold a slice
	open    int64 // requests that have not ended
}

func (w *openWorld) copies() map[string]*copied {
	all := map[string]*copied{}
	for _, r := range w.requests {
		if !r.pinning {
			continue
		}
		c := all[r.use]
		if c == nil {
			c = &copied{objects: map[tokens.Object]bool{}}
			all[r.use] = c
		}
		c.bytes += r.wrote
		if r.begun() {
			c.begun = true
			c.objects[r.of] = true
		}
		if r.dead {
			c.dead++
		}
		if r.stage != ended {
			c.open++
		}
	}
	return all
}

// check is the invariant.
func (w *openWorld) check() {
	begun := int64(0)
	for use, c := range w.copies() {
		if c.begun {
			begun++
		}
		if len(c.objects) > 1 {
			w.t.Fatalf("use %q has given out parts of %v", use, c.objects)
		}
		for o := range c.objects {
			if budget := o.Size + min(o.Size, w.slack); c.bytes > budget {
				w.t.Fatalf("use %q has given out %d bytes of %d", use, c.bytes, budget)
			}
		}
	}
	if begun > w.max {
		w.t.Fatalf("%d uses begun of %d", begun, w.max)
	}
}

// settleAll lets everything arrive, and then counts.
func (w *openWorld) settleAll() {
	for len(w.flying) > 0 {
		w.flying[0].run()
		w.flying = w.flying[1:]
	}
	direct := func(_ string, _ *request, run func() (int64, error)) (int64, error) { return run() }
	for _, r := range w.requests {
		if r.dead || r.stage != charged && r.stage != settling {
			continue
		}
		r.stage = settling
		if err := w.tellEnd(r, direct); err != nil {
			w.t.Fatal(err)
		}
		r.stage = ended
	}
	w.check()
	_, _, key, _ := tokens.Keys(w.id, "")
	counted := map[string]bool{}
	for _, use := range w.rdb.SMembers(bg, key).Val() {
		counted[use] = true
	}
	copies := w.copies()
	for use, c := range copies {
		if c.begun && !counted[use] && !w.forgotten() {
			w.t.Fatalf("use %q was begun and is not charged", use)
		}
		w.checkBytes(use, c)
	}
	for use := range counted {
		// What was reported a day later was taken for dead.
		if c := copies[use]; c == nil || !c.begun && c.dead == 0 && w.reports(use) == 0 {
			w.t.Fatalf("use %q is charged, but nothing was given out: %+v", use, c)
		}
	}
	w.checkReceipts(copies)
}

// forgotten reports whether Redis has forgotten the token.
func (w *openWorld) forgotten() bool {
	record, _, _, _ := tokens.Keys(w.id, "")
	return w.rdb.Exists(bg, record).Val() == 0
}

// checkBytes compares what Redis counts of a use that is not yet reported.
func (w *openWorld) checkBytes(use string, c *copied) {
	_, one, _ := tokens.OpenKeys(w.id, use)
	fields := w.rdb.HGetAll(bg, one).Val()
	if len(fields) == 0 {
		return
	}
	n, err := strconv.ParseInt(fields["n"], 10, 64)
	if err != nil || n < c.bytes || n > c.bytes+c.dead*modelSlack {
		w.t.Fatalf("use %q counts %d bytes, %v; given out were %d, and %d requests died", use, n, err, c.bytes, c.dead)
	}
}

// modelSlack is the most that a request may have reserved and not given out:
// a slice, and what was left for a write that was larger.
const modelSlack = modelSlice + modelWrite - 1

// reports is how often a use was reported.
func (w *openWorld) reports(use string) int {
	n := 0
	for _, r := range w.told.list() {
		if r.Use == tokens.MarkOf(use) {
			n++
		}
	}
	return n
}

// checkReceipts: each use has one receipt at most, which counts every byte.
func (w *openWorld) checkReceipts(copies map[string]*copied) {
	for _, r := range w.told.list() {
		for use, c := range copies {
			if r.Use == tokens.MarkOf(use) && (w.reports(use) > 1 || r.Bytes < c.bytes) {
				w.t.Fatalf("use %q is reported %d times, with %d bytes; given out were %d", use, w.reports(use), r.Bytes, c.bytes)
			}
		}
	}
}
