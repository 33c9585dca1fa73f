package leakwatch

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/record.lua
var recordSource string

//go:embed lua/told.lua
var toldSource string

//go:embed lua/lead.lua
var leadSource string

var (
	recordScript = redis.NewScript(recordSource)
	toldScript   = redis.NewScript(toldSource)
	leadScript   = redis.NewScript(leadSource)
)

// Keys in Redis, in one Cluster slot.
const (
	keyPrefix    = "s3g:{leaks}:"
	findingKey   = keyPrefix + "f:" // a finding, by ID
	indexKey     = keyPrefix + "index"
	orderKey     = keyPrefix + "order"   // in which findings are forgotten
	buriedKey    = keyPrefix + "buried"  // IDs of those that were told and are forgotten
	pendingKey   = keyPrefix + "pending" // IDs of those about which something is tried again, and when
	beginKey     = keyPrefix + "begin"   // when the watch was first started
	positionKey  = keyPrefix + "at:"     // by source
	malformedKey = keyPrefix + "malformed"
	leaderKey    = keyPrefix + "leader"
)

// ErrStore is an error of reading findings from Redis.
var ErrStore = errors.New("findings cannot be read")

// Redis is a [Store] that all gates share. It is safe for concurrent use.
type Redis struct {
	// RDB is the client. Required.
	RDB redis.UniversalClient
	// Most is how many findings are kept, and MaxAge for how long after their last
	// request; 0 means 10,000 and 90 days. Refused requests that nobody has signed, as
	// everybody can send them, go first, then other refused ones, then the oldest. Of
	// those that were told the ID is kept for ten times as many.
	Most   int
	MaxAge time.Duration
}

func (s *Redis) maxAge() time.Duration { return cmp.Or(s.MaxAge, 90*24*time.Hour) }
func (s *Redis) most() int             { return cmp.Or(s.Most, 10_000) }

// maxParts is for how many parts of logs a finding remembers what they said; later
// ones are all counted.
const maxParts = 1000

// step is what one weight more is in the order, so that no time is.
const step = 10_000_000_000_000 // the year 2286, in milliseconds

// weight says how much it is worth to keep a finding: the least what everybody can
// cause who knows the name of a bucket.
func (f *Finding) weight() int {
	switch {
	case f.Outcome != Refused || f.Kind != Presigned && f.Kind != Form:
		return 2
	case f.Requester != "":
		return 1
	}
	return 0
}

// Record is that of a [Store]. What is older than MaxAge is not kept, and counts as
// told.
func (s *Redis) Record(ctx context.Context, f Finding, part string) (Finding, bool, error) {
	if f.Last.Before(time.Now().Add(-s.maxAge())) {
		return f, true, nil
	}
	count := f.Count
	f.Count, f.Taken = 0, nil
	raw, err := json.Marshal(&f)
	if err != nil {
		return f, false, fmt.Errorf("recording a finding: %w", err)
	}
	out, err := recordScript.Run(ctx, s.RDB, []string{findingKey + f.ID, indexKey, orderKey, buriedKey, pendingKey}, f.ID, raw, part, count,
		f.First.UnixMilli(), f.Last.UnixMilli(), s.most(), s.maxAge().Milliseconds(), findingKey, maxParts, f.weight(), step).StringSlice()
	if err != nil || len(out) != 5 {
		return f, false, fmt.Errorf("recording a finding: %w", cmp.Or(err, errors.New("unexpected answer of Redis")))
	}
	whole, err := readFinding(out[0], out[1], out[2], out[3], "")
	return whole, out[4] == "1", err
}

// readFinding reads what is kept of a finding.
func readFinding(raw, count, first, last, taken string) (f Finding, err error) {
	if err := json.Unmarshal([]byte(raw), &f); err != nil {
		return f, fmt.Errorf("reading a finding: %w", err)
	}
	if taken != "" {
		if err := json.Unmarshal([]byte(taken), &f.Taken); err != nil {
			return f, fmt.Errorf("reading a finding: %w", err)
		}
	}
	var errs [3]error
	var from, to int64
	f.Count, errs[0] = strconv.ParseInt(count, 10, 64)
	from, errs[1] = strconv.ParseInt(first, 10, 64)
	to, errs[2] = strconv.ParseInt(last, 10, 64)
	f.First, f.Last = time.UnixMilli(from).UTC(), time.UnixMilli(to).UTC()
	return f, errors.Join(errs[:]...)
}

// Told is that of a [Store]. What is pending is due again after a while; see
// [Redis.Due].
func (s *Redis) Told(ctx context.Context, id string, taken []Taken) error {
	return s.told(ctx, id, taken, time.Now())
}

func (s *Redis) told(ctx context.Context, id string, taken []Taken, now time.Time) error {
	raw, err := json.Marshal(taken)
	if err == nil {
		again := int64(0)
		if at := retryAt(taken, now); !at.IsZero() {
			again = at.UnixMilli()
		}
		err = toldScript.Run(ctx, s.RDB, []string{findingKey + id, buriedKey, pendingKey}, id, raw, now.UnixMilli(), again,
			s.maxAge().Milliseconds(), s.most()).Err()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("noting that a finding was told: %w", err)
	}
	return nil
}

// Begin returns when it was called first, by whichever gate, to the millisecond.
func (s *Redis) Begin(ctx context.Context) (time.Time, error) {
	err := s.RDB.SetNX(ctx, beginKey, time.Now().UnixMilli(), 0).Err()
	if err == nil {
		var ms int64
		if ms, err = s.RDB.Get(ctx, beginKey).Int64(); err == nil {
			return time.UnixMilli(ms).UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("reading when the leak watch began: %w", err)
}

// maxLooked is how many findings a query looks at, the latest first, and listBatch how
// many it reads at a time.
const (
	maxLooked = 20_000
	listBatch = 500
)

// Findings is that of a [Store]. Of more than 20,000 findings since the query's
// beginning it looks at the latest.
func (s *Redis) Findings(ctx context.Context, q Query) ([]Finding, error) {
	found := []Finding{}
	p := pages{from: "-inf", to: "+inf"}
	if !q.Since.IsZero() {
		p.from = strconv.FormatInt(q.Since.UnixMilli(), 10)
	}
	for looked := 0; looked < maxLooked; looked += listBatch {
		ids, err := p.next(ctx, s.RDB)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
		read := make([]*redis.SliceCmd, len(ids))
		_, err = s.RDB.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range ids {
				read[i] = p.HMGet(ctx, findingKey+id, "json", "count", "first", "last", "taken")
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
		for _, r := range read {
			if f, ok := listed(r.Val()); ok && q.selects(&f) && len(found) < q.limit() {
				found = append(found, f)
			}
		}
		if len(ids) < listBatch || len(found) == q.limit() {
			break
		}
	}
	return found, nil
}

// pages goes through the index from the latest to the earliest. It goes on behind the
// last finding by its time, so that what comes meanwhile moves nothing.
type pages struct {
	from, to string // scores
	same     int64  // how many of the score to were had
}

// next returns the IDs of up to [listBatch] findings.
func (p *pages) next(ctx context.Context, rdb redis.UniversalClient) (ids []string, err error) {
	all, err := rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
		Key: indexKey, Start: p.to, Stop: p.from, ByScore: true, Rev: true, Offset: p.same, Count: listBatch,
	}).Result()
	for _, z := range all {
		ids = append(ids, z.Member.(string))
		if score := strconv.FormatFloat(z.Score, 'f', -1, 64); score != p.to {
			p.to, p.same = score, 0
		}
		p.same++
	}
	return ids, err
}

// listed reads one finding of a list; one that is forgotten, or that nobody can
// read, is left out.
func listed(values []any) (Finding, bool) {
	var text [5]string
	for i, v := range values {
		text[i], _ = v.(string)
	}
	f, err := readFinding(text[0], text[1], text[2], text[3], text[4])
	return f, err == nil
}

// Position is that of a [Store].
func (s *Redis) Position(ctx context.Context, source string) (string, error) {
	text, err := s.RDB.Get(ctx, positionKey+source).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("reading the position of %s: %w", source, err)
	}
	return text, nil
}

// SavePosition is that of a [Store].
func (s *Redis) SavePosition(ctx context.Context, source, position string) error {
	if err := s.RDB.Set(ctx, positionKey+source, position, 0).Err(); err != nil {
		return fmt.Errorf("saving the position of %s: %w", source, err)
	}
	return nil
}

// Malformed is that of a [Store]. It keeps the last hundred.
func (s *Redis) Malformed(ctx context.Context, log string, line []byte) error {
	_, err := s.RDB.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.LPush(ctx, malformedKey, sample(log, line))
		p.LTrim(ctx, malformedKey, 0, maxMalformed-1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("keeping a malformed line: %w", err)
	}
	return nil
}
