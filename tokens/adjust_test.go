package tokens_test

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/tokens"
)

// What is adjusted counts from then on, and zero means the default again.
func TestAdjust(t *testing.T) {
	t.Parallel()
	s := newStore(t, newClient(t, miniredis.RunT(t).Addr(), 0), tokens.Options{PasscodeTries: 2, BusyWait: time.Nanosecond})
	token := mint(t, s, 5)
	grant := tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "a", MaxUses: 5}
	try := func() error { _, err := s.Try(t.Context(), token.ID()); return err }
	var field *tokens.FieldError
	var tries *tokens.TriesError

	s.Adjust(tokens.Adjustable{Limits: tokens.Limits{MaxUses: 4}, PasscodeTries: 1})
	if _, _, err := s.Mint(t.Context(), grant, time.Hour); !errors.As(err, &field) || field.Field != "max_uses" {
		t.Errorf("five uses where four are permitted: %v", err)
	}
	redeem(t, s, token) // which was minted before
	if err := try(); err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.As(err, &tries) {
		t.Errorf("a second try where one is permitted: %v", err)
	}

	s.Adjust(tokens.Adjustable{})
	if _, _, err := s.Mint(t.Context(), grant, time.Hour); err != nil {
		t.Errorf("five uses where many are permitted: %v", err)
	}
	for n := range 9 {
		if err := try(); err != nil {
			t.Fatalf("try %d: %v", n+2, err)
		}
	}
	if err := try(); !errors.As(err, &tries) {
		t.Errorf("an eleventh try: %v", err)
	}
}
