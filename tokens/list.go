package tokens

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
)

// indexKey names a sorted set with one member for each token: 6 bytes of
// expiry in milliseconds, big-endian, and the 16 bytes of the ID. All scores
// are zero, so Redis orders the members by their bytes: by expiry, and no two
// alike.
const indexKey = "s3g:tokens"

const memberLen = 6 + idBytes

func member(g *Grant) (string, error) {
	raw, err := g.ID.raw()
	if err != nil {
		return "", err
	}
	return string(expiryBound(g.ExpiresAt)) + string(raw), nil
}

func expiryBound(t time.Time) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(max(0, t.UnixMilli())))
	return b[2:]
}

// index adds g and forgets tokens whose records are gone for good.
func (s *Store) index(ctx context.Context, g *Grant, now time.Time) error {
	m, err := member(g)
	if err != nil {
		return err
	}
	return s.addToIndex(ctx, now, redis.Z{Member: m})
}

func (s *Store) addToIndex(ctx context.Context, now time.Time, members ...redis.Z) error {
	if err := s.rdb.ZAdd(ctx, indexKey, members...).Err(); err != nil {
		return unproven(err)
	}
	purged := string(expiryBound(now.Add(-s.opts.Retention)))
	if err := s.rdb.ZRemRangeByLex(ctx, indexKey, "-", "("+purged).Err(); err != nil {
		return unproven(err)
	}
	return nil
}

// Query selects tokens. Zero fields select all.
type Query struct {
	// Subject and Bucket must be equal; Prefix begins the key.
	Subject, Bucket, Prefix string
	// State is what has become of the token.
	State State
	// Match says of a grant whether it is selected; nil selects all. It must
	// not block.
	Match func(*Grant) bool
	// Limit is the number of tokens in a page; 0 means 50.
	Limit int
	// Cursor continues where a page ended; "" begins.
	Cursor string
}

// Page is one page of tokens, the one that expires last first.
type Page struct {
	Tokens []Status
	// Next is the cursor of the next page; "" means that this is the last. A
	// page may hold fewer tokens than the limit, even none, and yet not be
	// the last: at most 1,000 are looked at for one page.
	Next string
}

// ErrCursor is returned by List for a cursor that no page has given.
var ErrCursor = errors.New("malformed cursor")

const (
	listBatch  = 100
	maxScanned = 1000
)

// List returns one page of the tokens that q selects. Pages stay consistent
// while tokens are minted: none is shown twice. Errors: [ErrCursor],
// [ErrUnproven].
func (s *Store) List(ctx context.Context, q Query) (Page, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	last, err := decodeCursor(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	page := Page{}
	for scanned := 0; scanned < maxScanned; {
		members, err := s.membersBelow(ctx, last)
		if err != nil {
			return Page{}, err
		}
		found, err := s.read(ctx, members)
		if err != nil {
			return Page{}, err
		}
		for i, m := range members {
			last = m
			if st := found[i]; st != nil && q.selects(st) {
				page.Tokens = append(page.Tokens, *st)
			}
			if len(page.Tokens) == limit {
				page.Next = encodeCursor(last)
				return page, nil
			}
		}
		if len(members) < listBatch {
			return page, nil
		}
		scanned += len(members)
	}
	page.Next = encodeCursor(last)
	return page, nil
}

func (q *Query) selects(st *Status) bool {
	return (q.Subject == "" || q.Subject == st.Subject) &&
		(q.Bucket == "" || q.Bucket == st.Bucket) &&
		strings.HasPrefix(st.Key+st.Prefix, q.Prefix) &&
		(q.State == "" || q.State == st.State) &&
		(q.Match == nil || q.Match(&st.Grant))
}

// membersBelow returns the next batch of index members before last, from the
// highest down; last "" begins at the top.
func (s *Store) membersBelow(ctx context.Context, last string) ([]string, error) {
	top := "+"
	if last != "" {
		top = "(" + last
	}
	members, err := s.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: indexKey, Start: top, Stop: "-", ByLex: true, Rev: true, Count: listBatch,
	}).Result()
	if err != nil {
		return nil, unproven(err)
	}
	return members, nil
}

// read returns the statuses of index members in one round trip: nil for one
// without a record, or whose token expires at another time, which is then dropped
// from the index.
func (s *Store) read(ctx context.Context, members []string) ([]*Status, error) {
	if len(members) == 0 {
		return nil, nil
	}
	ids := make([]ID, len(members))
	calls := make([]string, len(members))
	replies := make([]*redis.Cmd, len(members))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, m := range members {
			if len(m) != memberLen {
				return fmt.Errorf("index member of %d bytes", len(m))
			}
			ids[i] = idOf([]byte(m[6:]))
			calls[i] = script.NewCall(string(ids[i]))
			replies[i] = showScript.Queue(ctx, p, showKeys(ids[i]), calls[i], "")
		}
		return nil
	})
	if err != nil {
		return nil, unproven(err)
	}
	found := make([]*Status, len(members))
	var orphans []any
	for i, cmd := range replies {
		raw, err := cmd.Slice()
		status, r, err := script.Check(raw, err, calls[i])
		if err != nil {
			return nil, unproven(err)
		}
		if status == "unknown" {
			orphans = append(orphans, members[i])
			continue
		}
		st, err := readStatus(ids[i], r)
		if err != nil {
			return nil, err
		}
		if now, err := member(&st.Grant); err != nil || now != members[i] {
			// It stands in the index elsewhere, too: its expiry has changed.
			orphans = append(orphans, members[i])
			continue
		}
		found[i] = &st
	}
	s.dropOrphans(ctx, orphans)
	return found, nil
}

// dropOrphans forgets index entries without a record. An entry younger than
// its record would be one of a mint under way, so those whose tokens are not
// yet expired stay; failure is harmless.
func (s *Store) dropOrphans(ctx context.Context, orphans []any) {
	if len(orphans) == 0 {
		return
	}
	now, err := s.Now(ctx)
	if err != nil {
		return
	}
	bound := string(expiryBound(now))
	var dead []any
	for _, m := range orphans {
		if m.(string)[:6] < bound {
			dead = append(dead, m)
		}
	}
	if len(dead) > 0 {
		s.rdb.ZRem(ctx, indexKey, dead...)
	}
}

func encodeCursor(member string) string { return base64.RawURLEncoding.EncodeToString([]byte(member)) }

func decodeCursor(cursor string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 0 && len(raw) != memberLen {
		return "", ErrCursor
	}
	return string(raw), nil
}
