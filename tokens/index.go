package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
)

// An index is a sorted set with one member for each token: 6 bytes of expiry
// in milliseconds, big-endian, and the 16 bytes of the ID. All scores are
// zero, so Redis orders the members by their bytes: by expiry, and no two
// alike. indexKey names that of all tokens.
const indexKey = "s3g:tokens"

// subjectKey names the index of one subject's tokens. It does not tell whose.
func subjectKey(subject string) string { return "s3g:subject:" + digest(subject) }

// digest stands for a text of any length in the name of a key.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

const memberLen = 6 + idBytes

func member(g *Grant) (string, error) {
	raw, err := g.ID.raw()
	if err != nil {
		return "", err
	}
	return string(expiryBound(g.ExpiresAt)) + string(raw), nil
}

// standsAt reports whether a member is the one of the grant as it is now.
func (g *Grant) standsAt(m string) bool {
	now, err := member(g)
	return err == nil && now == m
}

func expiryBound(t time.Time) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(max(0, t.UnixMilli())))
	return b[2:]
}

// addition is what one index gets.
type addition struct {
	members []any
	purge   int64 // milliseconds; when the last of them is gone
}

// index adds grants, and forgets tokens whose records are gone for good. It
// comes before the records: a reader drops an entry without a record, but
// nobody would ever find a record without an entry.
func (s *Store) index(ctx context.Context, now time.Time, grants ...*Grant) error {
	indexes := map[string]*addition{}
	for _, g := range grants {
		m, err := member(g)
		if err != nil {
			return err
		}
		for _, key := range indexesOf(g) {
			a := indexes[key]
			if a == nil {
				a = &addition{}
				indexes[key] = a
			}
			a.members = append(a.members, m)
			a.purge = max(a.purge, g.ExpiresAt.Add(s.opts.Retention).UnixMilli())
		}
	}
	gone := string(expiryBound(now.Add(-s.opts.Retention)))
	calls := make([]string, 0, len(indexes))
	replies := make([]*redis.Cmd, 0, len(indexes))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for key, a := range indexes {
			call := script.NewCall(key)
			calls = append(calls, call)
			replies = append(replies, indexScript.Queue(ctx, p, []string{key}, append([]any{call, gone, a.purge}, a.members...)...))
		}
		return nil
	})
	if err != nil {
		return unproven(err)
	}
	for i, cmd := range replies {
		raw, err := cmd.Slice()
		if _, _, err := script.Check(raw, err, calls[i]); err != nil {
			return unproven(err)
		}
	}
	return nil
}

// indexesOf are the indexes that hold a grant.
func indexesOf(g *Grant) []string {
	if g.Subject == "" {
		return []string{indexKey}
	}
	return []string{indexKey, subjectKey(g.Subject)}
}
