package leakwatch

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lead has one gate at a time do something. It is safe for concurrent use by gates
// that share a Redis.
//
// A gate that stands still for longer than For, and then goes on before it
// notices, does so beside the next one for a moment. Nothing breaks: what both read
// is found once.
type Lead struct {
	// RDB is the client. Required.
	RDB redis.UniversalClient
	// For is how long the lead of a gate lasts that has died; 0 means 30 s. A third
	// of it is how often it is renewed.
	For time.Duration
	// Logger hears of Redis being away; nil discards.
	Logger *slog.Logger
}

// Run calls do whenever this gate leads, until ctx is done. The context of do ends
// with the lead; do must then return.
func (l *Lead) Run(ctx context.Context, do func(context.Context)) {
	lasts, name := l.For, rand.Text()
	if lasts == 0 {
		lasts = 30 * time.Second
	}
	for ctx.Err() == nil {
		leads, err := l.ask(ctx, name, lasts)
		if err != nil && ctx.Err() == nil && l.Logger != nil {
			l.Logger.Warn("asking who reads the logs", "err", err)
		}
		if !leads {
			pause(ctx, lasts/3)
			continue
		}
		l.lead(ctx, name, lasts, do)
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = l.ask(release, name, 0) // else it runs out
}

// lead runs do while the lead lasts.
func (l *Lead) lead(ctx context.Context, name string, lasts time.Duration, do func(context.Context)) {
	leading, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(leading)
	}()
	tick := time.NewTicker(lasts / 3)
	defer tick.Stop()
	for until := time.Now().Add(lasts); ; {
		select {
		case <-done:
			pause(ctx, lasts/3)
			return
		case <-leading.Done():
			<-done
			return
		case <-tick.C:
		}
		asked := time.Now()
		leads, err := l.ask(leading, name, lasts)
		switch {
		case leads:
			until = asked.Add(lasts)
		case err == nil || time.Now().After(until.Add(-lasts/3)):
			stop()
		}
	}
}

func (l *Lead) ask(ctx context.Context, name string, lasts time.Duration) (bool, error) {
	leads, err := leadScript.Run(ctx, l.RDB, []string{leaderKey}, name, lasts.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("taking the lead: %w", err)
	}
	return leads == 1, nil
}
