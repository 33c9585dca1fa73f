package tokens

import (
	"context"
	"fmt"
	"time"

	"s3gate/internal/script"
)

// TriesError says that a token's passcode was tried too often.
type TriesError struct {
	// Wait is how long until it may be tried again.
	Wait time.Duration
}

func (e *TriesError) Error() string {
	return fmt.Sprintf("passcode was tried too often, wait %s", e.Wait)
}

// Try is one try at a token's passcode.
type Try struct {
	store *Store
	id    ID
	nonce string
}

// Try counts a try at the passcode of a token, over all gates, and must come
// before the passcode is compared: then tries that race cannot be more than
// are allowed. Of one that was right, [Try.Passed] takes it back. Errors: a
// [*TriesError] once Options.PasscodeTries of the last Options.PasscodeWindow
// were wrong or are not decided yet, [ErrUnproven].
func (s *Store) Try(ctx context.Context, id ID) (*Try, error) {
	t := &Try{s, id, newNonce()}
	status, r, err := t.tell(ctx, "try")
	switch {
	case err != nil:
		return nil, err
	case status == "tries":
		return nil, &TriesError{time.Duration(r.Number(0)) * time.Millisecond}
	}
	return t, statusError(status)
}

// Passed takes back what was counted, because the passcode was right. Of
// others nothing is forgotten, so that somebody who knows the passcode does
// not give new tries to somebody who does not. Errors: [ErrUnproven], with
// which the try may stay counted.
func (t *Try) Passed(ctx context.Context) error {
	status, _, err := t.tell(ctx, "passed")
	if err != nil {
		return err
	}
	return statusError(status)
}

func (t *Try) tell(ctx context.Context, what string) (string, script.Reply, error) {
	o := t.store.adjusted.Load()
	return t.store.run(ctx, tryScript, t.id, []string{triesKey(t.id)},
		t.nonce, o.PasscodeTries, o.PasscodeWindow.Milliseconds(), what)
}
