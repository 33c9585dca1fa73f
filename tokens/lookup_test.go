package tokens_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

// spy notes what Redis is told.
type spy struct {
	tokens.Redis
	told []string
}

func (s *spy) EvalSha(_ context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	s.told = append(s.told, keys...)
	for _, a := range args {
		if text, ok := a.(string); ok {
			s.told = append(s.told, text)
		}
	}
	return redis.NewCmdResult(nil, errors.New("away"))
}

// A token is looked up by its hash, and compared nowhere: how long an answer
// takes depends on the hash, which whoever guesses cannot steer towards that of
// a token that exists (T12). Tokens that differ in one character have nothing in
// common.
func TestLookupIsByHash(t *testing.T) {
	seen := map[string]tokens.Token{}
	for range 200 {
		token := tokens.Generate()
		s := &spy{}
		store := tokens.New(s, tokens.Options{BusyWait: -1})
		store.Look(t.Context(), token, tokens.Ask{Operation: tokens.Get})
		store.Close(t.Context())
		if len(s.told) == 0 {
			t.Fatal("Redis was not asked")
		}
		secret := strings.TrimPrefix(token.Reveal(), tokens.Prefix)
		for _, text := range s.told {
			for i := range len(secret) - 8 {
				if strings.Contains(text, secret[i:i+8]) {
					t.Fatalf("Redis is told a part of the token: %q", text)
				}
			}
		}
		hash := string(token.ID())[4:12]
		if other, ok := seen[hash]; ok {
			t.Errorf("%s and %s begin alike", token.ID(), other.ID())
		}
		seen[hash] = token
	}
}
