package tokens

import (
	"context"
	"time"

	"s3gate/internal/fault"
	"s3gate/internal/script"
)

// Object is the object that a download gives out, as S3 names it.
type Object struct {
	// Key is its key, for an upload into a drop box; "" means the grant's.
	Key string
	// Size is its length in bytes.
	Size int64
	// ETag is its strong ETag with quotes, and VersionID its version; "" if S3
	// gave none.
	ETag, VersionID string
}

// pinned reports whether a later request can be held to this very object.
func (o *Object) pinned() bool {
	return o.VersionID != "" || len(o.ETag) > 0 && o.ETag[0] == '"'
}

// Open is a use that was begun and may go on.
type Open struct {
	// Object is what it is a copy of. No other may be given out.
	Object Object
	// Left is how many bytes it had left when it was asked.
	Left int64

	use string // the nonce of the request that began it
}

// Where redeem.lua answers what, after the status.
const (
	redeemNow  = 9
	redeemLeft = 10
)

// readOpen reads the open use of redeem.lua's answer; nil if there is none.
func readOpen(r script.Reply) *Open {
	if len(r) <= redeemLeft+1 {
		return nil
	}
	return &Open{
		Left: r.Number(redeemLeft), use: r.Text(redeemLeft + 1),
		Object: Object{Size: r.Number(redeemLeft + 2), ETag: r.Text(redeemLeft + 3), VersionID: r.Text(redeemLeft + 4)},
	}
}

// Slice is how many bytes of an open use are reserved at a time for one
// request. A gate that dies forfeits at most so many for each, and a write.
const Slice = 4 << 20

const (
	// maxOpenRequests is how many requests one open use is good for, which
	// bounds what Redis keeps of it.
	maxOpenRequests = 10_000
	// stallPatience is how long a running request waits for Redis when it
	// needs more bytes of its use.
	stallPatience = time.Minute
)

// meter is what a request may give out of an open use.
type meter struct {
	use     string
	granted int64 // bytes reserved for this request so far
	most    int64 // bytes that it could give out
	touched time.Time
	asked   time.Time // when Redis was last asked, with an answer or without
}

// stale reports whether the use needs to be kept open: also a request that
// gives out little at a time does that. A Redis that is away is not asked for
// every chunk.
func (m *meter) stale(window time.Duration) bool {
	return time.Since(m.touched) > window/2 && time.Since(m.asked) > min(window/4, time.Minute)
}

// Pin charges the use before the first byte of a download is given out, as
// Charge does, and fixes the object that it is a copy of: the first request of
// a use decides, and another that has seen a different object gets
// [ErrChanged]. The caller is about to give out length bytes from the byte
// first on. An object that S3 names neither by version nor by a strong ETag
// cannot be held on to, so its use cannot be resumed. Other errors: those of
// Charge, and [ErrInUse] if the use to go on with was handed back meanwhile.
func (u *Use) Pin(ctx context.Context, o Object, first, length int64) error {
	u.of, u.span = o, Span{first, first + length}
	if u.Grant.ResumeWindow == 0 || u.Open == nil && !o.pinned() {
		return u.Charge(ctx)
	}
	if !u.held {
		return errNotHeld
	}
	m := &meter{use: u.nonce, most: length, touched: time.Now()}
	if u.Open != nil {
		m.use = u.Open.use
	} else if err := u.store.watch(ctx, u); err != nil {
		return err
	}
	// From here on the request may be known to Redis, also after an error.
	u.meter = m
	status, r, err := u.store.prove(ctx, pinScript, u.Grant.ID, u.openKeys(), u.nonce, m.use,
		o.Size, o.ETag, o.VersionID, min(u.store.opts.slice, length), maxOpenRequests, u.ask.Request, u.ask.Client)
	if err == nil {
		err = statusError(status)
	}
	if err != nil {
		return err
	}
	u.charged(true)
	m.granted = r.Number(0)
	return nil
}

func (u *Use) openKeys() []string {
	id := u.Grant.ID
	return append(useKeys(id, u.nonce), openKey(id), openUseKey(id, u.meter.use))
}

// Stored says what an upload has stored, for its receipt. It comes before
// Commit.
func (u *Use) Stored(o Object) { u.of, u.span = o, Span{0, o.Size} }

// Allow asks how many bytes the request may have given out in all, if it wants
// that to be total. The answer is total for a use that is not resumed, and
// less than total when the open use has no more. When Redis cannot be asked
// Allow waits, up to a minute. Errors: those of Charge, and that of ctx.
func (u *Use) Allow(ctx context.Context, total int64) (int64, error) {
	m := u.meter
	if m == nil {
		return total, nil
	}
	if total <= m.granted && !m.stale(time.Duration(u.Grant.ResumeWindow)) {
		return total, nil
	}
	for begin, pause := time.Now(), 50*time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := u.extend(ctx, max(total, min(m.granted+u.store.opts.slice, m.most)))
		switch {
		case err == nil, total <= m.granted && isUnproven(err):
			return min(total, m.granted), nil
		case !isUnproven(err) || time.Since(begin) > stallPatience:
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (u *Use) extend(ctx context.Context, wanted int64) error {
	id, m := u.Grant.ID, u.meter
	m.asked = time.Now()
	status, r, err := u.store.prove(ctx, extendScript, id,
		[]string{recordKey(id), cancelledKey(id, u.nonce), openKey(id), openUseKey(id, m.use)}, u.nonce, m.use, wanted)
	if err == nil {
		err = statusError(status)
	}
	if err != nil {
		return err
	}
	m.granted, m.touched = r.Number(0), time.Now()
	return nil
}

// End ends a download that has given out so many body bytes. Without a Commit
// before, or without having been charged, the use is handed back; so is one
// that may be resumed and has given out no byte of an object that has some. It
// returns the receipt, and whether the use has ended with this request: one
// that may be resumed ends later, and is then reported to Options.Ended.
func (u *Use) End(ctx context.Context, bytes int64) (Receipt, bool) {
	if u.meter != nil && bytes <= 0 && u.of.Size > 0 {
		u.given = false
	}
	if u.over {
		return Receipt{}, false
	}
	u.over = true
	if fault.On(fault.RefundAfterByte) && bytes < u.of.Size {
		u.given, u.held = false, true
	}
	if !u.given {
		u.Refund(ctx)
		return Receipt{}, false
	}
	r := u.receipt(bytes)
	if u.meter != nil {
		u.endOpen(ctx, bytes)
		return r, false
	}
	if u.Grant.Limited() {
		u.store.settler.settle(ctx, &settlement{id: u.Grant.ID, nonce: u.nonce, outcome: keepReceipt, receipt: r.encode(&u.Grant), ended: r.Ended})
	}
	return r, true
}

// endOpen tells Redis how a request of an open use has ended.
func (u *Use) endOpen(ctx context.Context, bytes int64) {
	if !u.held {
		return
	}
	u.held = false
	u.store.settler.settle(ctx, &settlement{
		id: u.Grant.ID, nonce: u.nonce, outcome: endRequest,
		use: u.meter.use, first: u.span.From, bytes: bytes, given: u.given,
	})
}
