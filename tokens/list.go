package tokens

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
)

// Query selects tokens. Zero fields select all.
type Query struct {
	// Subject, Issuer, IssuedBy and Bucket must be equal; Prefix begins the key.
	Subject, Issuer, IssuedBy, Bucket, Prefix string
	// Labels must all be there, with these values.
	Labels map[string]string
	// ExpiresFrom and ExpiresBefore bound when the token expires, to the
	// millisecond.
	ExpiresFrom, ExpiresBefore time.Time
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
	index := q.index()
	page := Page{}
	for scanned := 0; scanned < maxScanned; {
		members, err := s.membersBelow(ctx, index, last)
		if err != nil {
			return Page{}, err
		}
		found, err := s.read(ctx, index.key, members)
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
		(q.Issuer == "" || q.Issuer == st.Issuer) &&
		(q.IssuedBy == "" || q.IssuedBy == st.IssuedBy) &&
		(q.Bucket == "" || q.Bucket == st.Bucket) &&
		strings.HasPrefix(st.Key+st.Prefix, q.Prefix) &&
		(q.State == "" || q.State == st.State) &&
		q.hasLabels(st.Labels) &&
		(q.Match == nil || q.Match(&st.Grant))
}

func (q *Query) hasLabels(labels map[string]string) bool {
	for name, want := range q.Labels {
		if value, ok := labels[name]; !ok || value != want {
			return false
		}
	}
	return true
}

// span is a part of an index, by expiry.
type span struct{ key, top, end string }

// index is where the tokens are that q selects.
func (q *Query) index() span {
	s := span{key: indexKey, top: "+", end: "-"}
	if q.Subject != "" {
		s.key = subjectKey(q.Subject)
	}
	if !q.ExpiresBefore.IsZero() {
		s.top = "(" + string(expiryBound(q.ExpiresBefore))
	}
	if !q.ExpiresFrom.IsZero() {
		s.end = "[" + string(expiryBound(q.ExpiresFrom))
	}
	return s
}

// membersBelow returns the next batch of an index's members before last, from
// the highest down; last "" begins at the top.
func (s *Store) membersBelow(ctx context.Context, in span, last string) ([]string, error) {
	if last != "" {
		in.top = "(" + last
	}
	members, err := s.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: in.key, Start: in.top, Stop: in.end, ByLex: true, Rev: true, Count: listBatch,
	}).Result()
	if err != nil {
		return nil, unproven(err)
	}
	return members, nil
}

// read returns the statuses of an index's members: nil for one without a
// record, or whose token stands in the index elsewhere because it expires at
// another time now, which is then dropped.
func (s *Store) read(ctx context.Context, index string, members []string) ([]*Status, error) {
	ids := make([]ID, len(members))
	for i, m := range members {
		if len(m) != memberLen {
			return nil, unproven(fmt.Errorf("index member of %d bytes", len(m)))
		}
		ids[i] = idOf([]byte(m[6:]))
	}
	found, err := s.statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	var orphans []any
	for i, st := range found {
		if st == nil || !st.standsAt(members[i]) {
			orphans = append(orphans, members[i])
			found[i] = nil
		}
	}
	s.dropOrphans(ctx, index, orphans)
	return found, nil
}

// statuses reads those of several tokens in one round trip: nil for one without
// a record.
func (s *Store) statuses(ctx context.Context, ids []ID) ([]*Status, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	calls := make([]string, len(ids))
	replies := make([]*redis.Cmd, len(ids))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			calls[i] = script.NewCall(string(id))
			replies[i] = showScript.Queue(ctx, p, showKeys(id), calls[i], "")
		}
		return nil
	})
	if err != nil {
		return nil, unproven(err)
	}
	found := make([]*Status, len(ids))
	for i, cmd := range replies {
		raw, err := cmd.Slice()
		status, r, err := script.Check(raw, err, calls[i])
		if err != nil {
			return nil, unproven(err)
		}
		if status == "unknown" {
			continue
		}
		st, err := readStatus(ids[i], r)
		if err != nil {
			return nil, err
		}
		found[i] = &st
	}
	return found, nil
}

// dropOrphans forgets index entries without a record. An entry younger than
// its record would be one of a mint under way, so those whose tokens are not
// yet expired stay; failure is harmless.
func (s *Store) dropOrphans(ctx context.Context, index string, orphans []any) {
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
		s.rdb.ZRem(ctx, index, dead...)
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
