package tokens

import (
	"cmp"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"s3gate/internal/fault"
)

// CacheOptions say which grants a [Store] keeps in memory, so that a request
// for one does not ask Redis. Kept are those of tokens without limit of uses
// that have neither a passcode nor a limit of transfers, and only after Redis
// has permitted a request. The zero CacheOptions keep none.
type CacheOptions struct {
	// MaxEntries is how many grants are kept at most; 0 keeps none.
	MaxEntries int
	// MaxBytes is how many bytes of memory they may take, by an estimate that
	// is rather too high; 0 means 64 MiB. A little more may be there until
	// what is over has been thrown out, which happens in the background.
	MaxBytes int64
	// MaxAge is how long after it was asked Redis is asked again; 0 means one
	// minute. What is changed in Redis by hand, and its clock when somebody
	// sets it, counts after that time at the latest.
	MaxAge time.Duration
	// Valid says whether what is kept may be served now, and in which life of
	// Redis: what was read in another is not served. It is asked for every
	// request and must be safe for concurrent use. ok must have been true at a
	// moment in which life was not over. Nil keeps nothing.
	Valid func() (life int64, ok bool)
	// Clock says how much time has passed, and should also run while the
	// machine is suspended: expiry is judged by the time of Redis when it was
	// asked and by what has passed since then. It must be safe for concurrent
	// use. Nil means Go's monotonic clock, which does not.
	Clock func() time.Duration
}

// CacheStats is what has become of look-ups of grants that may be kept, since
// the store was made, and what is kept now. The zero CacheStats is that of a
// store that keeps none.
type CacheStats struct {
	// Hits were answered from memory.
	Hits uint64
	// Misses were permitted by Redis and would have been hits, but the grant
	// was not in memory or too old, or Valid said no. Look-ups of other tokens
	// are in neither, nor are those that were refused or had no answer.
	Misses uint64
	// Entries is how many grants are kept, and Bytes what is counted against
	// MaxBytes for them. Both are estimates while requests run.
	Entries int
	Bytes   uint64
}

// CacheStats returns how much memory has saved.
func (s *Store) CacheStats() CacheStats {
	c := s.cache
	if c == nil {
		return CacheStats{}
	}
	return CacheStats{
		Hits: c.hits.Load(), Misses: c.misses.Load(),
		Entries: c.entries.EstimatedSize(), Bytes: c.entries.WeightedSize(),
	}
}

// Forget throws out what this store keeps in memory of a token. A look-up that
// begins after it has returned asks Redis, and the answer to one that was asked
// before is not kept.
func (s *Store) Forget(id ID) {
	if s.cache == nil {
		return
	}
	defer s.cache.drop()()
	if fault.On(fault.StaleCache) {
		return
	}
	s.cache.entries.Invalidate(id)
}

// ForgetFunc is Forget for the tokens of all grants that match. Match is called
// for every grant that is kept; it must not change them or call the store.
func (s *Store) ForgetFunc(match func(*Grant) bool) {
	if s.cache == nil {
		return
	}
	defer s.cache.drop()()
	for id, k := range s.cache.entries.All() {
		if match(&k.grant) && !fault.On(fault.StaleCache) {
			s.cache.entries.Invalidate(id)
		}
	}
}

// grantCache is what a store keeps in memory. A nil grantCache keeps nothing.
type grantCache struct {
	opts         CacheOptions
	entries      *otter.Cache[ID, *kept]
	hits, misses atomic.Uint64

	// drops counts drops. It grows under mu before anything is dropped, and
	// grants are put in under mu: so either a drop comes after the grant and
	// finds it, or the grant comes after the drop and is not put in if it was
	// asked for before.
	mu    sync.Mutex
	drops atomic.Uint64
}

// kept is a grant in memory. It is not changed, and shared by all requests.
type kept struct {
	grant  Grant
	weight uint32
	asked
	now     time.Time     // of Redis, not before the question was sent
	expires time.Duration // when the token does, by the clock
}

// asked is a question to Redis, of which the answer may be kept.
type asked struct {
	sent  time.Duration // by the clock
	life  int64         // of Redis, before it was sent
	valid bool
	drops uint64
}

func newGrantCache(opts CacheOptions) *grantCache {
	if opts.MaxEntries <= 0 || opts.Valid == nil {
		return nil
	}
	opts.MaxBytes = cmp.Or(opts.MaxBytes, 64<<20)
	opts.MaxAge = cmp.Or(opts.MaxAge, time.Minute)
	if opts.Clock == nil {
		start := time.Now()
		opts.Clock = func() time.Duration { return time.Since(start) }
	}
	// One bound holds both limits: a grant weighs what it takes, and at least
	// the share of bytes of each if there are as many as may be.
	share := max(1, min(opts.MaxBytes/int64(opts.MaxEntries), math.MaxUint32))
	opts.MaxBytes = min(opts.MaxBytes, share*int64(opts.MaxEntries))
	return &grantCache{opts: opts, entries: otter.Must(&otter.Options[ID, *kept]{
		MaximumWeight: uint64(opts.MaxBytes),
		Weigher:       func(_ ID, k *kept) uint32 { return max(k.weight, uint32(share)) },
	})}
}

// mayKeep reports whether nothing but the grant decides on a request: no count
// is kept in Redis.
func mayKeep(g *Grant) bool {
	return !g.Limited() && g.ResumeWindow == 0 && g.MaxConcurrent == 0 && g.Passcode.IsZero()
}

// find returns a grant that is in memory and permits the operation now, and the
// time by the clock. Everything else is for Redis to answer.
func (c *grantCache) find(id ID, op Operation) (k *kept, now time.Duration) {
	if c == nil {
		return nil, 0
	}
	k, ok := c.entries.GetIfPresent(id)
	if !ok || k.grant.Operation != op {
		return nil, 0
	}
	now = c.opts.Clock()
	if now >= k.expires || now-k.sent >= c.opts.MaxAge {
		return nil, 0
	}
	if life, ok := c.opts.Valid(); !ok || life != k.life {
		return nil, 0
	}
	c.hits.Add(1)
	return k, now
}

// ask comes before a question to Redis.
func (c *grantCache) ask() (a asked) {
	if c == nil {
		return asked{}
	}
	a.drops = c.drops.Load()
	a.life, a.valid = c.opts.Valid()
	a.sent = c.opts.Clock()
	return a
}

// keep puts a grant in that Redis has permitted a request by, unless what has
// happened since it was asked forbids that; record is the length of its
// encoded form.
func (c *grantCache) keep(a asked, u *Use, record int) {
	if c == nil || !mayKeep(&u.Grant) {
		return
	}
	c.misses.Add(1)
	if !a.valid {
		return
	}
	k := &kept{grant: u.Grant, asked: a, now: u.now, weight: weigh(&u.Grant, record)}
	// Redis has cut its time to a millisecond.
	k.expires = a.sent + u.ExpiresIn - time.Millisecond
	if int64(k.weight) > c.opts.MaxBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops.Load() == a.drops {
		c.entries.Set(u.Grant.ID, k)
	}
}

// drop begins to throw something out; the caller calls end after it.
func (c *grantCache) drop() (end func()) {
	c.mu.Lock()
	c.drops.Add(1)
	return c.mu.Unlock
}

// What a grant takes in memory: itself and its place in the cache, and for each
// of its lists and labels an allocation and what a map leaves empty. The tests
// measure it.
const (
	keptBytes = 1060
	listBytes = 128
)

// weigh estimates how many bytes a grant takes whose record has so many.
func weigh(g *Grant, record int) uint32 {
	lists := len(g.Labels) + len(g.Clients) + len(g.Upload.ContentTypes) + len(g.Upload.Metadata) + len(g.Upload.ClientMetadata)
	return uint32(min(keptBytes+listBytes*lists+2*record, math.MaxUint32))
}

// fromMemory answers a request without Redis, if that is possible; else it
// returns nil.
func (s *Store) fromMemory(id ID, ask Ask, nonce string) *Use {
	k, now := s.cache.find(id, ask.Operation)
	if k == nil {
		return nil
	}
	return &Use{
		Grant: k.grant, store: s, ask: ask, nonce: nonce, begun: time.Now(),
		now: k.now.Add(now - k.sent), ExpiresIn: k.expires - now,
	}
}
