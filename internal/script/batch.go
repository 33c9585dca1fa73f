package script

import (
	"context"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/fault"
)

// Call is one of many calls of a script; the fields are the arguments of
// [Runner.Write].
type Call struct {
	Name string
	Keys []string
	Args []any
}

// Result is what has become of a [Call], as [Runner.Write] returns it.
type Result struct {
	Status string
	Reply  Reply
	Err    error
}

// WriteAll is [Runner.Write] for many calls of one script. What goes to one
// server goes there in one round trip, over one connection, and one
// acknowledgement of its replicas proves all of it. The results are in the order
// of the calls; each stands for itself.
func (r *Runner) WriteAll(ctx context.Context, s *Script, calls []Call) []Result {
	results := make([]Result, len(calls))
	parts := map[pipeliner][]int{}
	for i, call := range calls {
		on, err := r.server(ctx, call.Keys[0], "")
		if err != nil {
			results[i].Err = err
			continue
		}
		parts[on] = append(parts[on], i)
	}
	for on, part := range parts {
		r.writePart(ctx, on, s, calls, part, results)
	}
	return results
}

// writePart runs those calls that go to one server.
func (r *Runner) writePart(ctx context.Context, on pipeliner, s *Script, calls []Call, part []int, results []Result) {
	names, replies := make([]string, len(part)), make([]*redis.Cmd, len(part))
	var wait *redis.Cmd
	decide := r.version(s)
	// The error is that of the first command that failed; each has its own.
	_, _ = on.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ScriptLoad(ctx, s.texts[decide]) // redis.Script's own Load would forget its hash
		for n, i := range part {
			names[n] = NewCall(calls[i].Name)
			replies[n] = p.EvalSha(ctx, decide.Hash(), calls[i].Keys, append([]any{names[n]}, calls[i].Args...)...)
		}
		if r.acks.Replicas > 0 && !fault.On(fault.NoWait) {
			wait = r.wait(ctx, p)
		}
		return nil
	})
	proof := r.acknowledged(wait)
	for n, i := range part {
		raw, err := replies[n].Slice()
		if elsewhere(err) {
			results[i].Status, results[i].Reply, results[i].Err = r.Write(ctx, s, calls[i].Name, calls[i].Keys, calls[i].Args...)
			continue
		}
		if err == nil {
			err = proof
		}
		results[i].Status, results[i].Reply, results[i].Err = Check(raw, err, names[n])
	}
}

// elsewhere reports whether a call has to be made again by itself: its slot is
// on another server, or on the move, or the script was not taken.
func elsewhere(err error) bool {
	if err == nil {
		return false
	}
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || passing(err) || redis.HasErrorPrefix(err, "NOSCRIPT")
}
