// Package script runs the Lua scripts by which Redis decides, on one server,
// behind sentinels or in a Cluster, and makes sure that what they have written
// survives the loss of the primary, as far as that is asked for.
package script

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/fault"
)

// Script is one decision. It is immutable, and safe for concurrent use.
type Script struct {
	flagged *redis.Script // as it stands in the file
	plain   *redis.Script // without a first line that names flags
	texts   map[*redis.Script]string
}

// Load reads lua/{name}.lua. It panics if that is not there: scripts are
// embedded. A first line "#!lua flags=allow-oom" lets the script write also when
// the memory of Redis is full.
func Load(sources fs.FS, name string) *Script {
	text, err := fs.ReadFile(sources, "lua/"+name+".lua")
	if err != nil {
		panic(err)
	}
	s := &Script{flagged: redis.NewScript(string(text))}
	s.plain = s.flagged
	s.texts = map[*redis.Script]string{s.flagged: string(text)}
	if first, rest, ok := strings.Cut(string(text), "\n"); ok && strings.HasPrefix(first, "#!") {
		s.plain = redis.NewScript("\n" + rest)
		s.texts[s.plain] = "\n" + rest
	}
	s.named(name)
	return s
}

// Queue adds the script to a pipeline. It travels as a whole, since a pipeline
// cannot fall back on that, and without its flags.
func (s *Script) Queue(ctx context.Context, p redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
	return s.plain.Eval(ctx, p, keys, args...)
}

// Acks is what proves that a write is not lost with the primary.
type Acks struct {
	// Replicas is how many replicas must have acknowledged it; with 0 none is
	// asked. A primary that was cut off from its replicas can then not prove
	// anything any more, also not while it takes itself for the primary.
	Replicas int
	// Timeout is how long they may take; 0 means a second. It should be less
	// than the client's ReadTimeout.
	Timeout time.Duration
}

// Runner runs scripts. It is safe for concurrent use.
type Runner struct {
	rdb   redis.Scripter
	acks  Acks
	plain atomic.Bool // the server knows no flags
}

// NewRunner returns a runner on a go-redis client. With acks.Replicas that must
// be a [redis.Client] or a [redis.ClusterClient], or behave like one.
func NewRunner(rdb redis.Scripter, acks Acks) *Runner {
	if acks.Timeout == 0 {
		acks.Timeout = time.Second
	}
	return &Runner{rdb: rdb, acks: acks}
}

// ErrUnacknowledged is a write that fewer replicas have than were asked for. It
// may have an effect, or be lost.
var ErrUnacknowledged = errors.New("not acknowledged by enough replicas")

// Read runs a script whose effect need not be proven. Name is the beginning of
// the call's name, which is passed as the first argument and comes back as the first
// element of the reply: a reply meant for another command, as on a connection
// that lost its place, is an error and decides nothing. The second element is
// returned as the status, the others after it.
//
// All keys must be in one Cluster slot. Whatever the error, the script may have
// run, and more than once.
func (r *Runner) Read(ctx context.Context, s *Script, name string, keys []string, args ...any) (status string, rest Reply, err error) {
	return r.run(ctx, s, name, keys, args, func(args []any) ([]any, error) {
		return r.version(s).Run(ctx, r.rdb, keys, args...).Slice()
	})
}

// Write is like [Runner.Read] for a script whose effect counts: it returns
// without error only when enough replicas have acknowledged it. A script that is
// run again must write again, also if that changes nothing: what is asked for is
// an acknowledgement of the last write.
func (r *Runner) Write(ctx context.Context, s *Script, name string, keys []string, args ...any) (status string, rest Reply, err error) {
	if r.acks.Replicas == 0 || fault.On(fault.NoWait) {
		return r.Read(ctx, s, name, keys, args...)
	}
	return r.run(ctx, s, name, keys, args, func(args []any) ([]any, error) {
		return r.proven(ctx, s, keys, args)
	})
}

func (r *Runner) run(ctx context.Context, s *Script, name string, keys []string, args []any,
	attempt func(args []any) ([]any, error),
) (string, Reply, error) {
	call := NewCall(name)
	args = append([]any{call}, args...)
	raw, err := attempt(args)
	if err != nil && s.plain != s.flagged && strings.Contains(err.Error(), "compiling script") {
		r.plain.Store(true) // before Redis 7, and embedded
		raw, err = attempt(args)
	}
	if err != nil {
		r.reload(ctx) // a Cluster may have another primary meanwhile
	}
	return Check(raw, err, call)
}

// NewCall names one call of a script: the name alone would let one call be
// answered with what another was told.
func NewCall(name string) string { return name + "." + strconv.FormatUint(rand.Uint64(), 36) }

// Check reads what a script has answered to a call.
func Check(raw []any, err error, call string) (string, Reply, error) {
	if err != nil {
		return "", nil, err
	}
	reply := Reply(raw)
	if reply.Text(0) != call || reply.Text(1) == "" {
		return "", nil, errors.New("reply for another command")
	}
	return reply.Text(1), reply[2:], nil
}

func (r *Runner) version(s *Script) *redis.Script {
	if r.plain.Load() {
		return s.plain
	}
	return s.flagged
}

// once runs a script on one server and waits for its replicas, in one round
// trip and, because that is what WAIT speaks of, on one connection.
func (r *Runner) once(ctx context.Context, on pipeliner, asking bool, s *Script, keys []string, args []any) ([]any, error) {
	decide := r.version(s)
	raw, err := r.pipe(ctx, on, asking, func(p redis.Pipeliner) *redis.Cmd {
		return p.EvalSha(ctx, decide.Hash(), keys, args...)
	})
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return r.pipe(ctx, on, asking, func(p redis.Pipeliner) *redis.Cmd {
			return decide.Eval(ctx, p, keys, args...)
		})
	}
	return raw, err
}

func (r *Runner) pipe(ctx context.Context, on pipeliner, asking bool, add func(redis.Pipeliner) *redis.Cmd) ([]any, error) {
	var reply, wait *redis.Cmd
	// The error is that of the first command that failed; each has its own.
	_, _ = on.Pipelined(ctx, func(p redis.Pipeliner) error {
		if asking {
			p.Do(ctx, "ASKING")
		}
		reply = add(p)
		wait = r.wait(ctx, p)
		return nil
	})
	raw, err := reply.Slice()
	if err != nil {
		return nil, err
	}
	if err := r.acknowledged(wait); err != nil {
		return nil, err
	}
	return raw, nil
}

// wait asks for the replicas at the end of a pipeline.
func (r *Runner) wait(ctx context.Context, p redis.Pipeliner) *redis.Cmd {
	return p.Do(ctx, "WAIT", r.acks.Replicas, r.acks.Timeout.Milliseconds())
}

// acknowledged says whether enough replicas have what was written before; nil
// asks none.
func (r *Runner) acknowledged(wait *redis.Cmd) error {
	if wait == nil {
		return nil
	}
	have, err := wait.Int()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnacknowledged, err)
	}
	if have < r.acks.Replicas {
		return fmt.Errorf("%w: %d of %d", ErrUnacknowledged, have, r.acks.Replicas)
	}
	return nil
}
