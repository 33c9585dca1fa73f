package tokens

import (
	"context"
	"time"

	"s3gate/internal/script"
)

// watchKey names a sorted set of the uses that are open, on all tokens, by
// the time when somebody should look whether they still are. Members are the
// 16 bytes of the token's ID and the nonce.
const watchKey = "s3g:open"

const (
	// sweepEvery is how often a gate looks for uses whose window has closed.
	sweepEvery = time.Second
	// sweepMost is how many it takes at a time, and sweepAgain after how long
	// another gate takes them if this one dies.
	sweepMost  = 100
	sweepAgain = 30 * time.Second
)

// watch notes that u will have to be reported when its window closes. It comes
// before the use is charged, so that a gate that dies leaves a trace.
func (s *Store) watch(ctx context.Context, u *Use) error {
	raw, err := u.Grant.ID.raw()
	if err != nil {
		return unproven(err)
	}
	if err := s.watched.Add(ctx, time.Duration(u.Grant.ResumeWindow), string(raw)+u.nonce); err != nil {
		return unproven(err)
	}
	return nil
}

// sweep reports uses whose window has closed, until ctx is done.
func (s *Store) sweep(ctx context.Context) {
	defer close(s.swept)
	tick := time.NewTicker(s.opts.sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.Sweep(ctx)
	}
}

// Sweep reports the uses whose window has closed, as the store also does by
// itself about once a second, and returns how many that were.
func (s *Store) Sweep(ctx context.Context) int {
	return s.watched.Each(ctx, sweepMost, s.opts.sweepAgain, func(member string) bool {
		if len(member) <= idBytes {
			s.watched.Remove(ctx, member)
			return false
		}
		return s.reportClosed(ctx, member, idOf([]byte(member[:idBytes])), member[idBytes:])
	})
}

// reportClosed looks at one use that is due. The report comes before it is
// noted as made: a gate that dies in between makes another report twice, and
// none is lost.
func (s *Store) reportClosed(ctx context.Context, member string, id ID, use string) bool {
	status, r, err := s.run(ctx, closedScript, id, []string{recordKey(id), reservedKey(id), openKey(id), openUseKey(id, use)}, use)
	if err != nil {
		return false
	}
	switch status {
	case "open":
		_ = s.watched.Add(ctx, time.Duration(r.Number(0))*time.Millisecond, member)
		return false
	case "closed":
		g, err := readGrant(id, r)
		if err != nil {
			return false
		}
		fields := make([]script.Reply, 0, len(r))
		for i := redeemNow + 1; i < len(r); i++ {
			fields = append(fields, script.Reply{r[i]})
		}
		receipt := closedReceipt(&g, use, fields, r.Time(redeemNow))
		if ctx.Err() != nil {
			return false // the store closes: another reports it
		}
		if s.opts.Ended != nil {
			s.opts.Ended(receipt)
		}
		if s.keepReceipt(ctx, id, use, receipt.Ended, receipt.encode(&g)) != nil {
			return true // told again later
		}
	}
	s.watched.Remove(ctx, member)
	return status == "closed"
}

// keepReceipt has Redis keep a receipt, in place of the open use if there was
// one.
func (s *Store) keepReceipt(ctx context.Context, id ID, use string, ended time.Time, receipt string) error {
	status, _, err := s.run(ctx, receiptScript, id, []string{recordKey(id), receiptsKey(id), openKey(id), openUseKey(id, use)},
		use, ended.UnixMilli(), receipt, s.opts.Receipts)
	if err != nil {
		return err
	}
	if status == "unknown" {
		return nil // the token is forgotten, and so may its receipts be
	}
	return statusError(status)
}
