package revocation

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
	"s3gate/tokens"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	appendScript  = load("append")
	renewScript   = load("renew")
	loadScript    = load("load")
	membersScript = load("members")
	leaveScript   = load("leave")
	effectScript  = load("effect")
	pruneScript   = load("prune")
	askScript     = load("ask")
	replyScript   = load("reply")
	answersScript = load("answers")
)

func load(name string) *script.Script { return script.Load(sources, name) }

// The log's keys are in one Cluster slot.
const (
	rulesKey     = "s3g:{rev}:rules"     // hash: rule ID -> "gen seq version rule"
	headKey      = "s3g:{rev}:head"      // hash: the place of the last entry
	logKey       = "s3g:{rev}:log"       // stream: the last entries
	questionsKey = "s3g:{rev}:questions" // hash: ID -> question to all gates
	membersKey   = "s3g:{rev}:members"   // hash: gate -> "renewals gen seq durability name"
)

// maxLog is about how many entries the stream keeps. A gate that has missed
// more loads the whole set.
const maxLog = 10_000

// Redis is what the log needs of a go-redis client: a standalone, Sentinel or
// Cluster client serves. It must be safe for concurrent use. What cannot be
// asked how it is configured is taken to be reliable, and to lose what it has.
type Redis interface {
	redis.Scripter
	XRead(ctx context.Context, a *redis.XReadArgs) *redis.XStreamSliceCmd
}

// place is a position and the hash of everything that led to it.
type place struct {
	Position
	chain string
}

// entry is one entry of the log.
type entry struct {
	seq       int64
	gen       int64
	chain     string
	id, value string
}

// follows reports whether the entry comes right after p.
func (e *entry) follows(p place) bool {
	return e.seq == p.Seq+1 && e.chain == link(p.chain, e.id, e.value)
}

// link is the hash of the log with one more entry.
func link(chain, id, value string) string {
	sum := sha1.Sum([]byte(chain + id + " " + value))
	return hex.EncodeToString(sum[:])
}

// log speaks with Redis about rules. It keeps nothing.
type log struct {
	rdb     Redis
	scripts *script.Runner
}

// run executes a script whose effect may be lost with the primary.
func (l log) run(ctx context.Context, what *script.Script, keys []string, args ...any) (string, script.Reply, error) {
	return answer(l.scripts.Read(ctx, what, "rev", keys, args...))
}

// prove executes a script whose effect must not be lost.
func (l log) prove(ctx context.Context, what *script.Script, keys []string, args ...any) (string, script.Reply, error) {
	return answer(l.scripts.Write(ctx, what, "rev", keys, args...))
}

func answer(status string, r script.Reply, err error) (string, script.Reply, error) {
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", tokens.ErrUnproven, err)
	}
	return status, r, nil
}

// appended is what append.lua answers.
type appended struct {
	head    Position
	at      Position // of the rule
	now     time.Time
	fresh   bool // Redis has just begun a new life
	members map[string]string

	doubtful bool // it has begun another since, and may have lost the rule
}

// append adds a rule. A rule with a position keeps it.
func (l log) append(ctx context.Context, r *Rule, known int64, watch time.Duration) (appended, error) {
	gen, seq := "", ""
	if r.Position != (Position{}) {
		gen, seq = strconv.FormatInt(r.Position.Gen, 10), strconv.FormatInt(r.Position.Seq, 10)
	}
	_, reply, err := l.prove(ctx, appendScript, []string{rulesKey, headKey, logKey, membersKey},
		r.ID, r.Version, gen, seq, encodeRule(r), known, maxLog, watch.Milliseconds())
	if err != nil {
		return appended{}, err
	}
	return appended{
		head:  Position{reply.Number(0), reply.Number(1)},
		at:    Position{reply.Number(3), reply.Number(4)},
		now:   time.UnixMilli(reply.Number(5)).UTC(),
		fresh: reply.Text(6) == "1", members: reply.Pairs(7),
	}, nil
}

// renewed is what renew.lua answers.
type renewed struct {
	off      bool // the place is not on the chain
	settling bool
	head     place
	now      time.Time // of Redis
	longest  time.Duration
	// questions are what other gates ask, by their IDs.
	questions map[string]string
	entries   []entry
}

const renewMost = 500

func (l log) renew(ctx context.Context, member, name string, at place, watch, longest time.Duration) (renewed, error) {
	status, reply, err := l.prove(ctx, renewScript, []string{headKey, logKey, membersKey, questionsKey},
		member, name, at.Seq, at.chain, renewMost, watch.Milliseconds(), at.Gen, longest.Milliseconds())
	if err != nil {
		return renewed{}, err
	}
	switch status {
	case "off":
		return renewed{off: true}, nil
	case "ok", "settling":
	default:
		return renewed{}, fmt.Errorf("%w: unexpected answer", tokens.ErrUnproven)
	}
	r := renewed{settling: status == "settling", head: readPlace(reply), now: time.UnixMilli(reply.Number(3)).UTC()}
	r.longest = time.Duration(reply.Number(4)) * time.Millisecond
	entries := 6 + 2*int(reply.Number(5))
	r.questions = reply[:min(entries, len(reply))].Pairs(6)
	for i := entries; i+4 < len(reply); i += 5 {
		r.entries = append(r.entries, entry{
			seq: reply.Number(i), gen: reply.Number(i + 1), chain: reply.Text(i + 2), id: reply.Text(i + 3), value: reply.Text(i + 4),
		})
	}
	return r, nil
}

// load reads all rules. One that cannot be read is an error: it may cover
// anything.
func (l log) load(ctx context.Context) (place, []*Rule, error) {
	_, reply, err := l.run(ctx, loadScript, []string{rulesKey, headKey})
	if err != nil {
		return place{}, nil, err
	}
	var rules []*Rule
	for id, value := range reply.Pairs(3) {
		r, err := decodeRule(id, value)
		if err != nil {
			return place{}, nil, err
		}
		rules = append(rules, r)
	}
	return readPlace(reply), rules, nil
}

// leave takes a gate off the list that has been silent since it was seen.
func (l log) leave(ctx context.Context, member, seen string) error {
	_, _, err := l.run(ctx, leaveScript, []string{membersKey}, member, seen)
	return err
}

// prune forgets rules.
func (l log) prune(ctx context.Context, ids []string) error {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	_, _, err := l.run(ctx, pruneScript, []string{rulesKey}, args...)
	return err
}

// Effect is what a rule has stopped.
type Effect struct {
	// Stopped is the number of transfers that were stopped.
	Stopped int
	// Committing are the IDs of uploads past stopping.
	Committing []string
}

// effectMemory is longer than a revocation waits for the gates.
const effectMemory = 10 * time.Minute

// effect adds what this gate has stopped by a rule, and returns what all
// have.
func (l log) effect(ctx context.Context, rule string, e Effect) (Effect, error) {
	args := []any{e.Stopped, effectMemory.Milliseconds()}
	for _, id := range e.Committing {
		args = append(args, id)
	}
	_, reply, err := l.run(ctx, effectScript, []string{"s3g:{rev}:effect:" + rule}, args...)
	if err != nil {
		return e, err
	}
	all := Effect{Stopped: int(reply.Number(0))}
	for i := 1; i < len(reply); i++ {
		all.Committing = append(all.Committing, reply.Text(i))
	}
	return all, nil
}

// encodeRule is the form of a rule in Redis, where its position and version
// stand before it.
func encodeRule(r *Rule) string {
	kept := *r
	kept.ID, kept.Position, kept.Version = "", Position{}, 0
	text, err := json.Marshal(kept)
	if err != nil {
		panic(err) // texts, numbers and times
	}
	return string(text)
}

var errUnreadable = errors.New("unreadable revocation rule")

func decodeRule(id, value string) (*Rule, error) {
	r := new(Rule)
	parts := strings.SplitN(value, " ", 4)
	if len(parts) != 4 || json.Unmarshal([]byte(parts[3]), r) != nil {
		return nil, fmt.Errorf("%w: %w: %s", tokens.ErrUnproven, errUnreadable, id)
	}
	r.ID = id
	for i, into := range []*int64{&r.Position.Gen, &r.Position.Seq, &r.Version} {
		n, err := strconv.ParseInt(parts[i], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %w: %s", tokens.ErrUnproven, errUnreadable, id)
		}
		*into = n
	}
	return r, nil
}

// readPlace reads gen, seq and chain at the beginning.
func readPlace(r script.Reply) place { return place{Position{r.Number(0), r.Number(1)}, r.Text(2)} }
