package loadtest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// operation is one unit of load. It is called from many goroutines, each time with
// another number.
type operation func(ctx context.Context, n uint64) outcome

// outcome is what became of an operation.
type outcome struct {
	// err is why it failed; nil if it did not.
	err error
	// received and sent are bytes of bodies.
	received, sent int64
	// first is when the first byte of an answer came; the zero time is unknown.
	first time.Time
	// took is how long it took, if that is not the time since it was due.
	took time.Duration
}

// attack does operations until the time is over or ctx is done, and waits for those
// that run. vegeta keeps the pace and the workers; what it takes for requests are our
// operations.
func attack(ctx context.Context, cfg Config, op operation, r *recorder) {
	// Operations end by their own time-out, so that those that run at the end are
	// judged like all others.
	pace := schedule{rate: cfg.Rate, ramp: cfg.Ramp, most: cfg.Operations}
	loop := &loop{ctx: context.WithoutCancel(ctx), cfg: cfg, op: op, recorder: r, schedule: pace, began: time.Now()}
	workers := uint64(cfg.Workers)
	first := workers
	if cfg.Rate > 0 {
		first = min(workers, 16) // vegeta begins more when all are busy
	}
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: loop}), vegeta.Workers(first), vegeta.MaxWorkers(workers), vegeta.MaxBody(0),
	)
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	r.begin(loop.began)
	// The target is never connected to: the loop answers in its place.
	aim := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: "http://operation.invalid/"})
	for range attacker.Attack(aim, pace, cfg.Warmup+cfg.Duration, "") {
	}
	r.end(time.Now())
}

// loop turns vegeta's requests into operations.
type loop struct {
	ctx      context.Context
	cfg      Config
	op       operation
	recorder *recorder
	schedule schedule
	began    time.Time
}

var nothing = http.Response{Status: "200 OK", StatusCode: http.StatusOK, Body: http.NoBody}

func (l *loop) RoundTrip(r *http.Request) (*http.Response, error) {
	n, err := strconv.ParseUint(r.Header.Get("X-Vegeta-Seq"), 10, 64)
	if err != nil {
		return nil, err
	}
	due := time.Now()
	if l.cfg.Rate > 0 {
		due = l.began.Add(l.schedule.due(n))
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.Timeout)
	defer cancel()
	l.recorder.started()
	l.recorder.done(due, l.op(ctx, n))
	answer := nothing
	return &answer, nil
}
