package tokens

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

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
	at := u.now.Add(time.Since(u.begun)).Add(time.Duration(u.Grant.ResumeWindow))
	err = s.rdb.ZAdd(ctx, watchKey, redis.Z{Member: string(raw) + u.nonce, Score: float64(at.UnixMilli())}).Err()
	if err != nil {
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
	n := 0
	for ctx.Err() == nil {
		due := s.due(ctx)
		for _, member := range due {
			if len(member) <= idBytes {
				s.rdb.ZRem(ctx, watchKey, member)
				continue
			}
			if s.reportClosed(ctx, member, idOf([]byte(member[:idBytes])), member[idBytes:]) {
				n++
			}
		}
		if len(due) < sweepMost {
			break
		}
	}
	return n
}

// due takes some uses to look at off the list, for a while.
func (s *Store) due(ctx context.Context) []string {
	status, r, err := s.run(ctx, dueScript, "sweep", []string{watchKey}, sweepMost, s.opts.sweepAgain.Milliseconds())
	if err != nil || statusError(status) != nil {
		return nil // Redis is away: they stay due
	}
	members := make([]string, len(r))
	for i := range r {
		members[i] = r.Text(i)
	}
	return members
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
		now, err := s.Now(ctx)
		if err == nil {
			at := now.Add(time.Duration(r.Number(0)) * time.Millisecond)
			s.rdb.ZAdd(ctx, watchKey, redis.Z{Member: member, Score: float64(at.UnixMilli())})
		}
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
	s.rdb.ZRem(ctx, watchKey, member)
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
