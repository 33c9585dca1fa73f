package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

// againParts are about requests that may come again, and about many at once.
var againParts = []part{
	{"a request that comes again", testReserve},
	{"a key is for one request", testReserveKeys},
	{"a request whose gate has died", testReserveDied},
	{"a request that comes twice at once", testReserveRacers},
	{"a key is given back", testAbandon},
	{"a request whose client is gone", testReserveGone},
	{"a mint secret is rotated", testReserveRotated},
	{"nothing secret in a dump of requests", testReserveDump},
	{"many are minted", testMintAll},
	{"many are minted or none", testMintAllRefuses},
	{"a token that was minted before", testMintChosen},
}

const (
	oneSecret   = "the first mint secret, of 32 bytes and more"
	otherSecret = "another mint secret, of 32 bytes and more too"
)

func z(member string) redis.Z { return redis.Z{Member: member} }

// repeating is a store that takes requests that come again.
func (b *backend) repeating(t testing.TB, change ...func(*tokens.Options)) *tokens.Store {
	opts := tokens.Options{MintSecrets: [][]byte{[]byte(oneSecret)}}
	for _, c := range change {
		c(&opts)
	}
	return b.store(t, opts)
}

func under(secrets ...string) func(*tokens.Options) {
	return func(o *tokens.Options) {
		o.MintSecrets = nil
		for _, secret := range secrets {
			o.MintSecrets = append(o.MintSecrets, []byte(secret))
		}
	}
}

func asking(key, body string) tokens.Request {
	return tokens.Request{Issuer: "https://id.example", Subject: "ada", Key: key, Body: []byte(body)}
}

func reserve(t testing.TB, s *tokens.Store, r tokens.Request) *tokens.Reservation {
	t.Helper()
	got, err := s.Reserve(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func testReserve(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.repeating(t), b.repeating(t)
	first := reserve(t, s, asking("k", "body"))
	if first.Answer != nil {
		t.Fatalf("a new request has the answer %q", first.Answer)
	}
	tokenOf := func(r *tokens.Reservation, i int) string { return r.Token(i).Reveal() }
	if a, b := tokenOf(first, 0), tokenOf(first, 1); a == b || !parses(a) || !parses(b) || a != tokenOf(first, 0) {
		t.Errorf("tokens %s and %s", a, b)
	}
	if got, err := first.Finish(ctx, []byte("answer")); err != nil || string(got) != "answer" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, store := range []*tokens.Store{s, other} {
		again := reserve(t, store, asking("k", "body"))
		if string(again.Answer) != "answer" || tokenOf(again, 0) != tokenOf(first, 0) || tokenOf(again, 7) != tokenOf(first, 7) {
			t.Errorf("again: %q with %s", again.Answer, tokenOf(again, 0))
		}
	}
	if _, err := b.store(t, tokens.Options{}).Reserve(ctx, asking("k", "body")); !errors.Is(err, tokens.ErrNoSecret) {
		t.Errorf("without a secret: %v, want ErrNoSecret", err)
	}
	// After its time a key is another request's.
	short := b.repeating(t, func(o *tokens.Options) { o.IdempotencyWindow = 50 * time.Millisecond })
	brief := reserve(t, short, asking("brief", "body"))
	if _, err := brief.Finish(ctx, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	b.elapse(80 * time.Millisecond)
	later := reserve(t, short, asking("brief", "another body"))
	if later.Answer != nil || tokenOf(later, 0) == tokenOf(brief, 0) {
		t.Error("a key is remembered beyond its time")
	}
}

func parses(text string) bool {
	_, err := tokens.Parse(text)
	return err == nil
}

func testReserveKeys(t *testing.T, b *backend) {
	s := b.repeating(t)
	seen := map[string]string{}
	base := asking("k", "body")
	for name, r := range map[string]tokens.Request{
		"the key": base, "another key": asking("k2", "body"),
		"another subject": {Issuer: base.Issuer, Subject: "bob", Key: "k", Body: base.Body},
		"another issuer":  {Issuer: "x", Subject: "ada", Key: "k", Body: base.Body},
		// What looks alike when it is written one after the other.
		"shifted": {Issuer: base.Issuer + "a", Subject: "da", Key: "k", Body: base.Body},
		"swapped": {Issuer: base.Issuer, Subject: "adak", Key: "", Body: base.Body},
	} {
		text := reserve(t, s, r).Token(0).Reveal()
		if before, there := seen[text]; there {
			t.Errorf("%s and %s have one token", name, before)
		}
		seen[text] = name
	}
	if _, err := s.Reserve(t.Context(), asking("k", "another body")); !errors.Is(err, tokens.ErrOtherRequest) {
		t.Errorf("another body: %v, want ErrOtherRequest", err)
	}
	if _, err := s.Reserve(t.Context(), asking("k", "body")); !errors.Is(err, tokens.ErrUnderWay) {
		t.Errorf("while the first is answered: %v, want ErrUnderWay", err)
	}
}

// testReserveDied: a gate dies between reserving and minting, or between minting
// and telling.
func testReserveDied(t *testing.T, b *backend) {
	ctx := t.Context()
	brief := func(o *tokens.Options) { *o = o.UnderWay(40 * time.Millisecond) }
	s, other := b.repeating(t, brief), b.repeating(t, brief)
	died := reserve(t, s, asking("k", "body"))
	g := tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "k"}
	if m, err := s.MintAll(ctx, []tokens.Minting{{Grant: g, Life: time.Hour, Token: died.Token(0)}}); err != nil || m[0].Err != nil {
		t.Fatal(m, err)
	}
	if _, err := other.Reserve(ctx, asking("k", "body")); !errors.Is(err, tokens.ErrUnderWay) {
		t.Errorf("too early: %v, want ErrUnderWay", err)
	}
	b.elapse(60 * time.Millisecond)
	again := reserve(t, other, asking("k", "body"))
	if again.Answer != nil || again.Token(0).Reveal() != died.Token(0).Reveal() {
		t.Errorf("the retry has the answer %q and another token", again.Answer)
	}
	m, err := other.MintAll(ctx, []tokens.Minting{{Grant: g, Life: time.Hour, Token: again.Token(0)}})
	if err != nil || m[0].Err != nil || m[0].Token.ID() != died.Token(0).ID() {
		t.Fatalf("finishing: %+v, %v", m, err)
	}
	// Who has taken it over does not give back what another may have minted.
	again.Abandon(ctx)
	third := reserve(t, other, asking("k", "body"))
	if third.Token(0).Reveal() != died.Token(0).Reveal() {
		t.Error("the key of a token that may be there was given back")
	}
	if got, err := third.Finish(ctx, []byte("third")); err != nil || string(got) != "third" {
		t.Fatal(got, err)
	}
	// The dead one was only slow.
	if got, err := died.Finish(ctx, []byte("first")); err != nil || string(got) != "third" {
		t.Errorf("a late answer: %q, %v; want the one that was given", got, err)
	}
	died.Leave(ctx)
	if last := reserve(t, s, asking("k", "body")); string(last.Answer) != "third" {
		t.Errorf("at last: %q", last.Answer)
	}
}

// testReserveRacers: one request on two gates at once is minted once.
func testReserveRacers(t *testing.T, b *backend) {
	ctx := t.Context()
	stores := []*tokens.Store{b.repeating(t), b.repeating(t)}
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			for {
				r, err := stores[i%2].Reserve(ctx, asking("k", "body"))
				if errors.Is(err, tokens.ErrUnderWay) {
					time.Sleep(time.Millisecond)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				answer := r.Answer
				if answer == nil {
					if answer, err = r.Finish(ctx, fmt.Appendf(nil, "by %d", i)); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				answers[string(answer)+r.Token(0).Reveal()]++
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	if len(answers) != 1 {
		t.Errorf("answers %v", answers)
	}
}

func testAbandon(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.repeating(t)
	first := reserve(t, s, asking("k", "wrong"))
	first.Abandon(ctx)
	second := reserve(t, s, asking("k", "right"))
	if second.Token(0).Reveal() == first.Token(0).Reveal() {
		t.Error("a new request has the token of another")
	}
	first.Abandon(ctx) // not its own any more
	// Nor is the answer: the tokens of the one that is there are others.
	if got, err := first.Finish(ctx, []byte("late")); err != nil || string(got) != "late" {
		t.Errorf("a late answer: %q, %v", got, err)
	}
	second.Leave(ctx)
	third := reserve(t, s, asking("k", "right"))
	if third.Token(0).Reveal() != second.Token(0).Reveal() {
		t.Error("a request that was left has another token")
	}
	if third.Answer != nil {
		t.Errorf("a request that is under way has the answer %q of another", third.Answer)
	}
	if _, err := s.Reserve(ctx, asking("k", "wrong")); !errors.Is(err, tokens.ErrOtherRequest) {
		t.Errorf("after it was left: %v, want ErrOtherRequest", err)
	}
}

func testReserveRotated(t *testing.T, b *backend) {
	ctx := t.Context()
	before, during := b.repeating(t), b.repeating(t, under(otherSecret, oneSecret))
	after := b.repeating(t, under(otherSecret))
	first := reserve(t, before, asking("k", "body"))
	if _, err := first.Finish(ctx, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	again := reserve(t, during, asking("k", "body"))
	if string(again.Answer) != "answer" || again.Token(0).Reveal() != first.Token(0).Reveal() {
		t.Errorf("under the previous secret: %q", again.Answer)
	}
	if _, err := during.Reserve(ctx, asking("k", "another body")); !errors.Is(err, tokens.ErrOtherRequest) {
		t.Errorf("another body: %v, want ErrOtherRequest", err)
	}
	if _, err := after.Reserve(ctx, asking("k", "body")); !errors.Is(err, tokens.ErrForgottenSecret) {
		t.Errorf("without it: %v, want ErrForgottenSecret", err)
	}
	fresh := reserve(t, during, asking("new", "body"))
	if _, err := fresh.Finish(ctx, []byte("new answer")); err != nil {
		t.Fatal(err)
	}
	if got := reserve(t, after, asking("new", "body")); string(got.Answer) != "new answer" {
		t.Errorf("a request under the new secret: %q", got.Answer)
	}
}

// testReserveDump: of requests that come again Redis has neither tokens nor what
// they are derived from, nor a passcode (T13).
func testReserveDump(t *testing.T, b *backend) {
	ctx := t.Context()
	const passcode = "canary-passcode-4711"
	s := b.repeating(t)
	hash, err := tokens.HashPasscode(passcode)
	if err != nil {
		t.Fatal(err)
	}
	r := reserve(t, s, asking("canary-key", "passcode "+passcode))
	g := tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "k", Passcode: hash}
	if m, err := s.MintAll(ctx, []tokens.Minting{{Grant: g, Life: time.Hour, Token: r.Token(0)}}); err != nil || m[0].Err != nil {
		t.Fatal(m, err)
	}
	if _, err := r.Finish(ctx, []byte("kept answer")); err != nil {
		t.Fatal(err)
	}
	dump := dumpAll(t, b.client(t))
	if !strings.Contains(dump, "kept answer") || len(dump) < 300 {
		t.Fatalf("this is no dump: %q", dump)
	}
	for what, secret := range map[string]string{
		"token": r.Token(0).Reveal()[4:26], "mint secret": oneSecret[:16], "passcode": passcode, "key": "canary-key",
	} {
		if strings.Contains(dump, secret) {
			t.Errorf("the dump has the %s", what)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", r, r, *r); strings.Contains(text, oneSecret[:16]) || strings.Contains(text, r.Token(0).Reveal()) {
		t.Errorf("a reservation prints as %s", text)
	}
}

func testMintAll(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	all := make([]tokens.Minting, 250)
	for i := range all {
		all[i] = tokens.Minting{Grant: tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: fmt.Sprint("k", i), MaxUses: 1}, Life: time.Hour + time.Duration(i)*time.Second}
	}
	minted, err := s.MintAll(ctx, all)
	if err != nil || len(minted) != len(all) {
		t.Fatalf("%d, %v", len(minted), err)
	}
	for i, m := range minted {
		if m.Err != nil || m.Grant.ID != m.Token.ID() || m.Grant.Key != all[i].Grant.Key || m.Grant.Version != 1 || m.Grant.IssuedAt.IsZero() {
			t.Fatalf("%d: %+v", i, m)
		}
		if i%50 == 0 {
			redeem(t, s, m.Token).Commit(ctx)
		}
	}
	if ids := collect(t, s, tokens.Query{Limit: 100}, nil); len(ids) != len(all) || ids[0] != minted[249].Token.ID() {
		t.Errorf("%d are listed", len(ids))
	}
}

func testMintAllRefuses(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	good := tokens.Minting{Grant: tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "k"}, Life: time.Hour}
	bad := good
	bad.Grant.Key = ""
	_, err := s.MintAll(t.Context(), []tokens.Minting{good, good, bad})
	var item *tokens.ItemError
	var field *tokens.FieldError
	if !errors.As(err, &item) || item.Item != 2 || !errors.As(err, &field) || field.Field != "key" {
		t.Errorf("%v, want an error of the key of item 2", err)
	}
	if keys := b.client(t).Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("a refused batch leaves %q", keys)
	}
	if err := s.Check(t.Context(), bad.Grant, time.Hour); !errors.As(err, &field) {
		t.Errorf("checking: %v, want a field's error", err)
	}
	if err := s.Check(t.Context(), good.Grant, time.Hour); err != nil {
		t.Error(err)
	}
}

func testMintChosen(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	m := tokens.Minting{Grant: tokens.Grant{Operation: tokens.Get, Bucket: "media", Key: "k", MaxUses: 3}, Life: time.Hour, Token: tokens.Generate()}
	first, err := s.MintAll(ctx, []tokens.Minting{m})
	if err != nil || first[0].Err != nil {
		t.Fatal(first, err)
	}
	redeem(t, s, m.Token).Commit(ctx)
	b.elapse(5 * time.Millisecond)
	m.Life = 2 * time.Hour // as much later as it comes
	again, err := s.MintAll(ctx, []tokens.Minting{m})
	if err != nil || again[0].Err != nil || !again[0].Grant.ExpiresAt.Equal(first[0].Grant.ExpiresAt) {
		t.Errorf("%+v, %v; want the grant that is there", again, err)
	}
	wantUses(t, s, m.Token, 1, 0)
	if ids := collect(t, s, tokens.Query{}, nil); len(ids) != 1 {
		t.Errorf("listed %v", ids)
	}
}

// testReserveGone: a client gives up, or an answer of Redis is lost, and the
// request is free for the next try at once.
func testReserveGone(t *testing.T, b *backend) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s := b.repeating(t)
	if got, err := reserve(t, s, asking("gone", "body")).Finish(gone, []byte("answer")); err != nil || string(got) != "answer" {
		t.Errorf("for a client that is gone: %q, %v", got, err)
	}
	if again := reserve(t, s, asking("gone", "body")); string(again.Answer) != "answer" {
		t.Errorf("asked again: %q", again.Answer)
	}

	lossy := &losing{Redis: b.client(t)}
	s = newStore(t, lossy, tokens.Options{MintSecrets: [][]byte{[]byte(oneSecret)}})
	first := reserve(t, s, asking("warm", "body")) // Redis knows the script now
	if _, err := first.Finish(t.Context(), []byte("answer")); err != nil {
		t.Fatal(err)
	}
	lossy.lose = true
	if _, err := s.Reserve(t.Context(), asking("lost", "body")); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatalf("a lost reservation: %v, want ErrUnproven", err)
	}
	second := reserve(t, s, asking("lost", "body"))
	lossy.lose = true
	if _, err := second.Finish(t.Context(), []byte("answer")); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatalf("a lost answer: %v, want ErrUnproven", err)
	}
	third := reserve(t, s, asking("lost", "body"))
	if string(third.Answer) != "answer" || third.Token(0).Reveal() != second.Token(0).Reveal() {
		t.Errorf("%q with another token, want what was kept", third.Answer)
	}
	// Not even the command arrived.
	fourth := reserve(t, s, asking("never", "body"))
	lossy.lose, lossy.unsent = true, true
	if _, err := fourth.Finish(t.Context(), []byte("answer")); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatalf("a lost command: %v, want ErrUnproven", err)
	}
	if again := reserve(t, s, asking("never", "body")); again.Answer != nil || again.Token(0).Reveal() != fourth.Token(0).Reveal() {
		t.Errorf("%q with another token, want to finish it", again.Answer)
	}
}

// losing loses the reply to one script, or with unsent the script.
type losing struct {
	tokens.Redis
	lose, unsent bool
}

func (l *losing) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	lose, unsent := l.lose, l.unsent
	l.lose, l.unsent = false, false
	cmd := redis.NewCmd(ctx)
	if !unsent {
		cmd = l.Redis.EvalSha(ctx, sha, keys, args...)
	}
	if lose {
		cmd.SetErr(errors.New("connection lost"))
	}
	return cmd
}
