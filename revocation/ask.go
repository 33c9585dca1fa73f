package revocation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"s3gate/tokens"
)

// What gates ask each other, through Redis. A gate sees a question when it
// renews its lease, so an answer takes a third of a lease.
const (
	askRunning = "running" // which transfers run
	askCut     = "cut "    // and the ID of a request: end its transfer
)

// questionMemory is longer than anybody waits for answers.
const questionMemory = 30 * time.Second

// maxAnswer is how many transfers a gate tells of, so that Redis is not filled
// with them.
const maxAnswer = 1000

// Fleet is the transfers of all gates. It is safe for concurrent use.
type Fleet struct {
	// Member is this gate's part, and Transfers those that run on it.
	Member    *Member
	Transfers *Transfers
}

// Overview is what all gates have said of their transfers.
type Overview struct {
	// Running are the transfers, the longest first.
	Running []Running
	// Silent names gates that did not answer: stopped, cut off or frozen, so
	// that what runs there waits, or of a version that does not.
	Silent []string
	// Complete says that nothing else runs: every gate has answered, and none
	// has more than it tells of, which is a thousand.
	Complete bool
}

// told is a gate's answer about its transfers.
type told struct {
	Running []Running `json:"running"`
	More    bool      `json:"more,omitempty"`
}

// Running asks every gate what runs there. If Redis cannot be reached the
// Overview is that of this gate alone.
func (f *Fleet) Running(ctx context.Context) Overview {
	answers, silent, err := f.Member.ask(ctx, askRunning)
	if err != nil {
		own := f.Transfers.Running(nil)
		for i := range own {
			own[i].Gate = f.Member.opts.Name
		}
		return Overview{Running: own}
	}
	all := Overview{Silent: silent, Complete: len(silent) == 0, Running: []Running{}}
	for _, a := range answers {
		var t told
		if json.Unmarshal([]byte(a.text), &t) != nil {
			all.Complete = false
			continue
		}
		for _, r := range t.Running {
			r.Gate = a.gate
			all.Running = append(all.Running, r)
		}
		all.Complete = all.Complete && !t.More
	}
	slices.SortFunc(all.Running, longestFirst)
	return all
}

// Outcome is what became of a transfer that was to be cut.
type Outcome struct {
	// Stopped says that it was cut, and Late that it is an upload past
	// stopping. If it is neither no gate that has answered runs it.
	Stopped bool `json:"stopped"`
	Late    bool `json:"late"`
	// Bytes of body had gone to the client, or come from it, when it ended; 0 also if
	// its gate does not say.
	Bytes int64 `json:"bytes,omitempty"`
	// Gate names the gate that ran it.
	Gate string `json:"gate,omitempty"`
}

// ErrNoTransfer: no gate runs the transfer.
var ErrNoTransfer = errors.New("no such transfer")

// Cut ends a transfer, wherever it runs. Its token goes on working. Errors:
// [ErrNoTransfer]; tokens.ErrUnproven if it may run on a gate that did not
// answer.
func (f *Fleet) Cut(ctx context.Context, id string) (Outcome, error) {
	if o := f.Transfers.cutOne(id); o != (Outcome{}) {
		o.Gate = f.Member.opts.Name
		return o, nil
	}
	answers, silent, err := f.Member.ask(ctx, askCut+id)
	if err != nil {
		return Outcome{}, err
	}
	for _, a := range answers {
		var o Outcome
		if json.Unmarshal([]byte(a.text), &o) == nil && o != (Outcome{}) {
			o.Gate = a.gate
			return o, nil
		}
	}
	if len(silent) > 0 {
		return Outcome{}, fmt.Errorf("%w: silent: %s", tokens.ErrUnproven, strings.Join(silent, ", "))
	}
	return Outcome{}, ErrNoTransfer
}

func (ts *Transfers) cutOne(id string) Outcome {
	var hit *Transfer
	stopped, late := ts.Cut(func(t *Transfer) bool {
		if t.ID == id {
			hit = t
		}
		return t.ID == id
	})
	o := Outcome{Stopped: stopped > 0, Late: len(late) > 0}
	if o != (Outcome{}) {
		o.Bytes = hit.moved()
	}
	return o
}

// Answer answers what other gates ask; "" is the answer to what it does not
// understand. It is for MemberOptions.Answer.
func (ts *Transfers) Answer(question string) string {
	var answer any
	id, cut := strings.CutPrefix(question, askCut)
	switch {
	case cut:
		answer = ts.cutOne(id)
	case question == askRunning:
		all := ts.Running(nil)
		answer = told{all[:min(len(all), maxAnswer)], len(all) > maxAnswer}
	default:
		return ""
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return ""
	}
	return string(text)
}

// answered is what one gate has answered.
type answered struct{ gate, text string }

// ask asks every gate, and returns when all have answered or their leases have
// run out; those that were silent are named. Errors: tokens.ErrUnproven.
func (m *Member) ask(ctx context.Context, question string) (answers []answered, silent []string, err error) {
	id := ulid.Make().String()
	members, err := m.log.ask(ctx, id, question)
	if err != nil {
		return nil, nil, err
	}
	deadline := m.opts.Clock() + m.opts.Lease + m.opts.Lease/10
	m.wake()
	for len(members) > 0 {
		who, err := m.log.answers(ctx, id)
		if ctx.Err() != nil || m.opts.Clock() >= deadline || err == nil && containsAll(who, members) {
			break
		}
		pause(ctx, m.opts.Lease/50)
	}
	// Also when nobody waits for the answers any more: gates read all questions
	// with every renewal.
	texts, err := m.log.endQuestion(context.WithoutCancel(ctx), id)
	if err != nil {
		return nil, nil, err
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("%w: %w", tokens.ErrUnproven, ctx.Err())
	}
	for member, renewal := range members {
		gate := readRenewal(renewal).name
		if text, ok := texts[member]; ok {
			answers = append(answers, answered{gate, text})
		} else {
			silent = append(silent, gate)
		}
	}
	slices.SortFunc(answers, func(a, b answered) int { return cmp.Compare(a.gate, b.gate) })
	slices.Sort(silent)
	return answers, silent, nil
}

func containsAll(who []string, members map[string]string) bool {
	for id := range maps.Keys(members) {
		if !slices.Contains(who, id) {
			return false
		}
	}
	return true
}

// answer answers the questions that are new. That may take a while, and does
// not hold up the lease.
func (m *Member) answer(ctx context.Context, questions map[string]string) {
	seen := map[string]bool{}
	for id, question := range questions {
		seen[id] = true
		if m.seen[id] {
			continue
		}
		m.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*m.opts.Lease)
			defer cancel()
			if err := m.log.reply(ctx, id, m.id, m.opts.Answer(question)); err != nil {
				m.opts.Logger.Warn("answering another gate", "err", err)
			}
		})
	}
	m.seen = seen
}

func questionKey(id string) string { return "s3g:{rev}:answers:" + id }

func (l log) ask(ctx context.Context, id, question string) (map[string]string, error) {
	_, reply, err := l.run(ctx, askScript, []string{questionsKey, membersKey}, id, question, questionMemory.Milliseconds())
	if err != nil {
		return nil, err
	}
	return reply.Pairs(0), nil
}

func (l log) reply(ctx context.Context, id, member, answer string) error {
	_, _, err := l.run(ctx, replyScript, []string{questionKey(id)}, member, answer, questionMemory.Milliseconds())
	return err
}

// answers says who has answered.
func (l log) answers(ctx context.Context, id string) ([]string, error) {
	_, reply, err := l.run(ctx, answersScript, []string{questionsKey, questionKey(id)}, id, "")
	if err != nil {
		return nil, err
	}
	who := make([]string, len(reply))
	for i := range reply {
		who[i] = reply.Text(i)
	}
	return who, nil
}

// endQuestion reads the answers, by the IDs of the gates.
func (l log) endQuestion(ctx context.Context, id string) (map[string]string, error) {
	_, reply, err := l.run(ctx, answersScript, []string{questionsKey, questionKey(id)}, id, "1")
	if err != nil {
		return nil, err
	}
	return reply.Pairs(0), nil
}
