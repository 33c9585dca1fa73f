package tokens

import (
	"context"
	"fmt"
	"time"
)

// Quota limits how many open tokens one holder has: those that are not used
// up, revoked or expired. It is exact over all gates.
type Quota struct {
	// Name says whose tokens it counts, such as "caller" or "subject".
	Name string
	// Holder is who that is; of any length.
	Holder string
	// Open is how many there may be; 0 sets no limit.
	Open int64
}

// QuotaError is a mint that would exceed a quota.
type QuotaError struct {
	Quota
	// Until is when, at the latest, a token of the holder expires; the zero
	// time if that is not known.
	Until time.Time
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("%s has %d open tokens, which is the limit", e.Name, e.Open)
}

// holdFor is how long a place is kept for a mint that is under way. A gate that
// dies between the two leaves it taken so long.
const holdFor = time.Minute

// places names the sorted set of the tokens that count, by when they stop.
func (q *Quota) places() string { return "s3g:quota:" + digest(q.Name+" "+q.Holder) }

// admit takes a place in each quota, or in none. It returns the quotas in which
// the token had none before: to give back another would free that of a token
// that lives.
func (s *Store) admit(ctx context.Context, id ID, quotas []Quota) (taken []Quota, err error) {
	for i := range quotas {
		q := &quotas[i]
		if q.Open <= 0 {
			continue
		}
		added, err := s.place(ctx, id, q)
		if err != nil {
			s.leave(ctx, id, taken)
			return nil, err
		}
		if added {
			taken = append(taken, *q)
		}
	}
	return taken, nil
}

// place takes a place in one quota, and reports whether the token had none. When
// it is full, tokens that nobody can use any more make room.
func (s *Store) place(ctx context.Context, id ID, q *Quota) (added bool, err error) {
	for tried := false; ; tried = true {
		key := q.places()
		status, r, err := answer(s.scripts.Write(ctx, admitScript, key, []string{key}, string(id), q.Open, s.opts.holdFor.Milliseconds()))
		if err != nil {
			return false, err
		}
		if status == "ok" || status == "there" {
			return status == "ok", nil
		}
		full := &QuotaError{Quota: *q, Until: r.Time(1)}
		if tried {
			return false, full
		}
		freed, err := s.clear(ctx, key)
		if err != nil {
			return false, err
		}
		if !freed {
			return false, full
		}
	}
}

// clear takes dead tokens from the places, and reports whether there were any.
func (s *Store) clear(ctx context.Context, key string) (freed bool, err error) {
	members, err := s.rdb.ZRange(ctx, key, 0, -1).Result()
	if err != nil {
		return false, unproven(err)
	}
	for len(members) > 0 {
		n := min(len(members), listBatch)
		ids := make([]ID, n)
		for i, m := range members[:n] {
			ids[i] = ID(m)
		}
		members = members[n:]
		found, err := s.statuses(ctx, ids)
		if err != nil {
			return false, err
		}
		var dead []any
		for i, st := range found {
			// One that is not known is being minted, or its place lapses.
			if st != nil && st.State != Active && st.State != Pending {
				dead = append(dead, string(ids[i]))
			}
		}
		if len(dead) == 0 {
			continue
		}
		if err := s.rdb.ZRem(ctx, key, dead...).Err(); err != nil {
			return false, unproven(err)
		}
		freed = true
	}
	return freed, nil
}

// hold keeps the places of a token that is minted. If Redis is lost right now,
// they lapse: a holder may then have more tokens, and none is lost.
func (s *Store) hold(ctx context.Context, g *Grant, quotas []Quota) {
	for i := range quotas {
		if q := &quotas[i]; q.Open > 0 {
			key := q.places()
			if _, _, err := s.scripts.Read(ctx, holdScript, key, []string{key}, string(g.ID), g.ExpiresAt.UnixMilli()); err != nil {
				s.opts.Logger.Warn("a token does not count against its quota", "quota", q.Name, "token", string(g.ID), "err", err)
			}
		}
	}
}

// leave gives places back that admit took for a token that was not minted. What
// fails lapses.
func (s *Store) leave(ctx context.Context, id ID, quotas []Quota) {
	for i := range quotas {
		if q := &quotas[i]; q.Open > 0 {
			s.rdb.ZRem(context.WithoutCancel(ctx), q.places(), string(id))
		}
	}
}
