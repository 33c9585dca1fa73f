package consistency_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"s3gate/client"
)

// What clients do.
type verb int

const (
	redeem    verb = iota // download
	glimpse               // download the first byte
	head                  // HEAD
	validate              // GET with an If-None-Match that spares the download
	show                  // ask the API
	withdraw              // revoke the token
	banish                // revoke its subject, of which it is the only token
	lift                  // end a rule
	verbCount = iota
)

// weights are how often each of them is done.
type weights [verbCount]int

var usual = weights{redeem: 50, glimpse: 10, head: 8, validate: 6, show: 10, withdraw: 3, banish: 3, lift: 10}

// task is one thing that one client does.
type task struct {
	verb verb
	gate int
}

// plan is what is to happen to one token. It follows from the seed and the
// token's number.
type plan struct {
	number  int
	key     string
	uses    int64
	life    time.Duration
	window  string // "" is none
	gate    int    // mints it
	clients [][]task
}

const (
	clients = 4 // that use one token at the same time
	tasks   = 5 // of each
	// opsOf is about how many operations are done on one token: those, and what it
	// takes to mint it and to have a last word on it.
	opsOf = clients*tasks + 6
)

func newPlan(seed uint64, number, gates int, often weights) plan {
	rng := rand.New(rand.NewPCG(seed, uint64(number)))
	p := plan{number: number, key: "small", life: time.Hour, gate: rng.IntN(gates)}
	p.uses = []int64{0, 1, 1, 2, 3, 5, 8}[rng.IntN(7)]
	if rng.IntN(6) == 0 {
		p.key = "large"
	}
	if rng.IntN(8) == 0 {
		p.life = 200*time.Millisecond + time.Duration(rng.IntN(1000))*time.Millisecond
	}
	if p.uses > 0 && rng.IntN(6) == 0 {
		p.window = "1s"
	}
	total := 0
	for _, w := range often {
		total += w
	}
	for range clients {
		var list []task
		for range tasks {
			n, v := rng.IntN(total), verb(0)
			for ; n >= often[v]; v++ {
				n -= often[v]
			}
			list = append(list, task{v, rng.IntN(gates)})
		}
		p.clients = append(p.clients, list)
	}
	return p
}

// subject is one token, and what clients have heard of it.
type subject struct {
	w     *world
	plan  plan
	token *client.Token

	mu       sync.Mutex
	heard    history
	rules    int       // that were begun
	known    []imposed // that can be lifted
	revoking []ruling  // what was answered with success
	lifting  []ruling
}

// imposed is a rule whose ID a client knows.
type imposed struct {
	number int
	id     string
	verb   verb
}

// ruling is the making of a rule, or its end.
type ruling struct {
	event
	verb verb // that makes such rules
}

func (s *subject) now() moment { return time.Since(s.w.begin) }

// record adds steps that happen somewhere between two moments.
func (s *subject) record(c int, begin, end moment, note string, steps ...step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range steps {
		s.heard = append(s.heard, event{c, w, begin, end, note})
	}
}

// history is everything that was heard, with the rules placed as the
// specification has it.
func (s *subject) history() history {
	all := slices.Clone(s.heard)
	place := func(r ruling, atOnce bool) {
		if !atOnce {
			doubt := r.event
			doubt.client, doubt.step.kind, doubt.end = clients, doubts, r.begin
			all = append(all, doubt)
			r.begin = r.end
		}
		all = append(all, r.event)
	}
	for _, r := range s.revoking {
		overlaps := func(l ruling) bool { return l.begin <= r.end && r.begin <= l.end }
		place(r, r.verb == withdraw && s.plan.uses > 0 && !slices.ContainsFunc(s.lifting, overlaps))
	}
	for _, l := range s.lifting {
		place(l, l.verb == withdraw)
	}
	slices.SortFunc(all, func(a, b event) int { return cmp.Compare(a.begin, b.begin) })
	return all
}

// mint makes the token; it reports whether the gate said so.
func (s *subject) mint(ctx context.Context) bool {
	s.w.operations.Add(1)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := s.now()
	token, err := s.w.gates[s.plan.gate].at.Load().api.Mint(ctx, client.MintRequest{
		Operation: "get", Bucket: "docs", Key: s.plan.key, MaxUses: &s.plan.uses,
		ExpiresIn: s.plan.life.String(), Subject: s.name(), ResumeWindow: s.plan.window,
	})
	if err != nil {
		return false
	}
	end := s.now()
	s.token = token
	most := int(s.plan.uses)
	if s.plan.window != "" {
		most *= 2 * len(objects[s.plan.key])
	}
	s.record(0, begin, end, token.ID+" "+s.plan.window, step{mints, most})
	// Redis keeps milliseconds of a clock that is set now and then.
	const grain = 2 * time.Millisecond
	s.record(clients, begin+s.plan.life-grain, end+s.plan.life+grain, "its time is over", step{expires, 0})
	return true
}

func (s *subject) name() string { return fmt.Sprintf("subject-%d", s.plan.number) }

// run does what is planned.
func (s *subject) run(ctx context.Context) {
	var wg sync.WaitGroup
	for c, list := range s.plan.clients {
		wg.Go(func() {
			for _, t := range list {
				s.do(ctx, c, t)
			}
		})
	}
	wg.Wait()
}

func (s *subject) do(ctx context.Context, c int, t task) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.w.operations.Add(1)
	at := s.w.gates[t.gate].at.Load()
	switch t.verb {
	case redeem, glimpse, head, validate:
		s.request(ctx, c, t, at)
	case show:
		begin := s.now()
		if status, err := at.api.Show(ctx, s.token.ID); err == nil && s.plan.window == "" {
			s.record(c, begin, s.now(), s.w.gates[t.gate].name+" shows "+status.State, step{shows, int(status.Uses)})
		}
	case withdraw, banish:
		s.revoke(ctx, c, t, at)
	case lift:
		s.lift(ctx, c, t, at)
	}
}

// revoke makes a rule.
func (s *subject) revoke(ctx context.Context, c int, t task, at *addresses) {
	s.mu.Lock()
	number := s.rules
	s.rules++
	s.mu.Unlock()
	begin := s.now()
	var receipt *client.Receipt
	var err error
	if t.verb == withdraw {
		receipt, err = at.api.Revoke(ctx, s.token.ID, "")
	} else {
		receipt, err = at.api.RevokeBy(ctx, client.Rule{Subject: s.name()})
	}
	end := s.now()
	name := map[verb]string{withdraw: "the token", banish: "its subject"}[t.verb]
	note := fmt.Sprintf("%s revokes %s", s.w.gates[t.gate].name, name)
	if err != nil {
		s.record(clients, begin, begin, note+": "+err.Error(), step{doubts, number})
		return
	}
	note += fmt.Sprintf(": acknowledged by %d, without %d", len(receipt.AcknowledgedBy), len(receipt.ExpiredLeases))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = append(s.known, imposed{number, receipt.ID, t.verb})
	s.revoking = append(s.revoking, ruling{event{c, step{imposes, number}, begin, end, note}, t.verb})
}

// lift ends the oldest rule that is known.
func (s *subject) lift(ctx context.Context, c int, t task, at *addresses) {
	s.mu.Lock()
	if len(s.known) == 0 {
		s.mu.Unlock()
		return
	}
	rule := s.known[0]
	s.mu.Unlock()
	begin := s.now()
	_, err := at.api.Lift(ctx, rule.id, "")
	end := s.now()
	note := s.w.gates[t.gate].name + " lifts a rule"
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		s.record(c, begin, end, note+": "+err.Error(), step{odd, rule.number})
	}
	if err != nil {
		s.record(clients, begin, begin, note+": "+err.Error(), step{doubts, rule.number})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = slices.DeleteFunc(s.known, func(k imposed) bool { return k == rule })
	s.lifting = append(s.lifting, ruling{event{c, step{releases, rule.number}, begin, end, note}, rule.verb})
}

// settle asks until there is an answer that says something, now that nothing
// is broken any more. It reports whether there was one in time.
func (s *subject) settle(ctx context.Context, gate int, most time.Duration) bool {
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		before := len(s.heard)
		s.do(ctx, 0, task{redeem, gate})
		if len(s.heard) > before && s.heard[before].step.kind != opens {
			return true
		}
	}
	return false
}
