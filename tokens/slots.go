package tokens

import (
	"context"
	"errors"
	"time"
)

const (
	// slotLife is how long a slot stands that nobody keeps: what a gate that
	// dies holds back.
	slotLife = 10 * time.Second
	// slotRefresh is how often a slot is kept, so that two lost commands do
	// not lose it.
	slotRefresh = 3 * time.Second
	// slotWait bounds taking a slot, which does not end with the client.
	slotWait = 5 * time.Second
	// slotTimeout bounds the other commands: an answer may wait for them.
	slotTimeout = time.Second
)

// Slot is the place of one transfer among those that a token may have at a
// time, over all gates. Its owner calls Release once the transfer is over. A
// nil Slot is that of a token without such a limit.
type Slot struct {
	store *Store
	id    ID
	nonce string
	stop  chan struct{}
	done  chan struct{}
}

// Occupy takes one of max slots of the token and keeps it until it is
// released; if the gate dies it lapses after ten seconds. When all are taken
// it waits for one, up to Options.BusyWait: a client may have its last byte
// before Redis knows of it. With max 0 it returns nil at once. Errors:
// [ErrTooMany], [ErrUnproven].
//
// A slot that Redis has lost, or that cannot be kept, never ends the transfer
// that has it.
func (s *Store) Occupy(ctx context.Context, id ID, max int64) (*Slot, error) {
	if max <= 0 {
		return nil, nil
	}
	slot := &Slot{store: s, id: id, nonce: newNonce(), stop: make(chan struct{}), done: make(chan struct{})}
	deadline := time.Now().Add(s.adjusted.Load().BusyWait)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		// A client that goes away must not leave a slot behind of which nobody
		// knows.
		err := slot.take(context.WithoutCancel(ctx), max, slotWait)
		if err == nil {
			go slot.keep()
			return slot, nil
		}
		if !errors.Is(err, ErrTooMany) || time.Until(deadline) < pause {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// take runs slot.lua.
func (l *Slot) take(ctx context.Context, max int64, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, _, err := l.store.run(ctx, slotScript, l.id, []string{slotsKey(l.id)},
		l.nonce, max, slotLife.Milliseconds())
	if err != nil {
		return err
	}
	return statusError(status)
}

// keep refreshes the slot until it is released.
func (l *Slot) keep() {
	defer close(l.done)
	ticker := time.NewTicker(slotRefresh)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			if err := l.take(context.Background(), 0, slotTimeout); err != nil {
				l.store.opts.Logger.Warn("keeping a transfer slot", "token", string(l.id), "err", err)
			}
		}
	}
}

// Release gives the slot back. It does so also when ctx is done; if Redis
// cannot be told, the slot lapses. It is called once.
func (l *Slot) Release(ctx context.Context) {
	if l == nil {
		return
	}
	close(l.stop)
	<-l.done // or a refresh under way would take the slot again
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), slotTimeout)
	defer cancel()
	if err := l.store.rdb.ZRem(ctx, slotsKey(l.id), l.nonce).Err(); err != nil {
		l.store.opts.Logger.Warn("giving a transfer slot back", "token", string(l.id), "err", err)
	}
}
