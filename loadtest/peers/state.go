package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"s3gate/client"
)

// gatesOnRedis are gates with a Redis and tokens of their own.
type gatesOnRedis struct {
	redis  *server
	gates  []*server
	tokens []string
}

// gatesOn starts a Redis, mints tokens and starts gates. The tokens are minted by a
// gate that may use every core and ends then.
func (b *bench) gatesOn(ctx context.Context, gates, tokens int) (*gatesOnRedis, error) {
	up, err := b.upstream(ctx, false)
	if err != nil {
		return nil, err
	}
	w := &gatesOnRedis{}
	if w.redis, err = b.redis(ctx); err != nil {
		return nil, err
	}
	minter, err := b.gate(ctx, anyCore, w.redis, up, false)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if w.tokens, err = mintMany(ctx, minter, tokens); err != nil {
		return nil, err
	}
	minter.stop()
	b.say("%s tokens were minted in %v", thousands(tokens), time.Since(began).Round(time.Millisecond))
	for range gates {
		g, err := b.gate(ctx, subjectCore, w.redis, up, b.logs)
		if err != nil {
			return nil, err
		}
		w.gates = append(w.gates, g)
	}
	return w, nil
}

const (
	batch         = 1000 // tokens that the API mints at once
	parallelMints = 4
	parallelRules = 64
)

// mintMany mints limited tokens for the small object, in batches.
func mintMany(ctx context.Context, gate *server, n int) ([]string, error) {
	all := make([]string, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelMints)
	for from := 0; from < n; from += batch {
		piece := all[from:min(from+batch, n)]
		group.Go(func() error { return mintBatch(ctx, gate, piece) })
	}
	return all, group.Wait()
}

func mintBatch(ctx context.Context, gate *server, tokens []string) error {
	requests := make([]client.MintRequest, len(tokens))
	for i := range requests {
		requests[i] = downloads(smallObject, true)
	}
	var results []client.BatchResult
	err := whenAvailable(ctx, func() (err error) { results, err = gate.api.MintBatch(ctx, requests); return err })
	if err != nil {
		return fmt.Errorf("minting a batch: %w", err)
	}
	if len(results) != len(tokens) {
		return fmt.Errorf("minting a batch: must have %d results, has %d", len(tokens), len(results))
	}
	for i, r := range results {
		if r.Token != nil {
			tokens[i] = r.Token.Token
			continue
		}
		// Redis has not answered for this one; another will do.
		path, err := mint(ctx, gate, requests[i])
		if err != nil {
			return err
		}
		tokens[i] = path[1:]
	}
	return nil
}

// revokeMany makes rules that cover none of the tokens.
func revokeMany(ctx context.Context, gate *server, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRules)
	for i := range n {
		group.Go(func() error {
			rule := client.Rule{Subject: fmt.Sprintf("somebody-%d@example.com", i), Reason: "a rule among many"}
			return whenAvailable(ctx, func() error { _, err := gate.api.RevokeBy(ctx, rule); return err })
		})
	}
	return group.Wait()
}

// contender asks for its tokens at random.
func (b *bench) stateContender(ctx context.Context, name string, w *gatesOnRedis) (contender, error) {
	t := &target{servers: w.gates, redis: w.redis, size: b.small, request: func(int) []byte {
		return getRequest("/" + w.tokens[rand.IntN(len(w.tokens))])
	}}
	return contender{name: name, gate: w.gates[0], measure: func(ctx context.Context) ([]float64, error) {
		c, err := t.closedLoop(ctx, b.clients, b.stateRequests)
		return c.perRequest(b.stateRequests), err
	}}, t.verify(ctx, hashOf(b.small))
}

// counted names a contender by how many of something there are.
func counted(n int, what string) string {
	if n == 1 {
		what = what[:len(what)-1]
	}
	return thousands(n) + " " + what
}

func (b *bench) tokensWork() *work {
	return b.stateWork("tokens", "many tokens in Redis",
		fmt.Sprintf("%s GETs of %s with limited tokens, each for one of all at random. Each number of tokens has a Redis and a gate of its own, which take turns.",
			thousands(b.stateRequests), size(b.small)),
		"tokens", b.tokens(),
		func(ctx context.Context, n int) (*gatesOnRedis, error) { return b.gatesOn(ctx, 1, n) })
}

func (b *bench) rulesWork() *work {
	return b.stateWork("rules", "many revocation rules", "The same with 1,000 tokens, and rules that cover none of them.",
		"rules", []int{0, b.rules},
		func(ctx context.Context, n int) (*gatesOnRedis, error) {
			w, err := b.gatesOn(ctx, 1, 1000)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			if err := revokeMany(ctx, w.gates[0], n); err != nil {
				return nil, fmt.Errorf("making rules: %w", err)
			}
			b.say("%s rules were made in %v", thousands(n), time.Since(began).Round(time.Millisecond))
			return w, nil
		})
}

func (b *bench) gatesWork() *work {
	return b.stateWork("gates", "many gates on one Redis", "The same with 1,000 tokens and no rules, spread over the gates, whose CPU time is that of all together.",
		"gates", b.gates,
		func(ctx context.Context, n int) (*gatesOnRedis, error) { return b.gatesOn(ctx, n, 1000) })
}

// stateWork compares several amounts of one thing with the first.
func (b *bench) stateWork(name, title, how, what string, amounts []int, start func(context.Context, int) (*gatesOnRedis, error)) *work {
	return &work{
		name: name, title: title, how: how, peer: counted(amounts[0], what), metrics: cpuPer(microsPerRequest),
		prepare: func(ctx context.Context) ([]contender, error) {
			var all []contender
			for _, n := range amounts {
				w, err := start(ctx, n)
				if err != nil {
					return nil, err
				}
				c, err := b.stateContender(ctx, counted(n, what), w)
				if err != nil {
					return nil, err
				}
				all = append(all, c)
			}
			return all, nil
		},
	}
}
