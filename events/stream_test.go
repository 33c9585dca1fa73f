package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/events"
	"s3gate/internal/s3gatetest"
)

// eachRedis runs a test on miniredis and on a real one.
func eachRedis(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Run("miniredis", func(t *testing.T) { test(t, connect(t, miniredis.RunT(t).Addr())) })
	t.Run("Redis", func(t *testing.T) { test(t, connect(t, s3gatetest.Redis(t))) })
}

func connect(t testing.TB, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: time.Second, DialerRetries: 1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func newReader(t *testing.T, rdb *redis.Client, followers int) *events.Reader {
	r := events.NewReader(rdb, followers)
	t.Cleanup(r.Close)
	return r
}

// page reads one, whose events are of these tokens.
func page(t *testing.T, r *events.Reader, after string, most int, want ...string) events.Page {
	t.Helper()
	p, err := r.Read(t.Context(), after, most)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range p.Entries {
		got = append(got, subjects(t, append(slices.Clone(e.Raw), '\n'))...)
	}
	if !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("after %s: %v, want %v", after, got, want)
	}
	return p
}

// Who reads page after page, each after the last position, gets every event once,
// in order.
func TestStreamIsReadInPages(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		r := newReader(t, rdb, 1)
		p := page(t, r, events.Start, 10)
		p = page(t, r, p.Next, 10)
		end := page(t, r, events.Now, 10)
		s := events.NewStream(rdb, 1000)
		all := records(7)
		write(t, s, all[:5]...)
		write(t, s, all[5:]...)
		p = page(t, r, p.Next, 3, "0", "1", "2")
		p = page(t, r, p.Next, 3, "3", "4", "5")
		p = page(t, r, p.Next, 3, "6")
		p = page(t, r, p.Next, 3)
		page(t, r, end.Next, 10, numbered(7)...)
		end = page(t, r, events.Now, 10)
		if end.Next != p.Next || p.Missed != nil {
			t.Errorf("the end is %s, and %+v", end.Next, p)
		}
	})
}

// failing loses the answer of the first script that runs.
type failing struct {
	*redis.Client
	lost int
}

func (f *failing) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	cmd := f.Client.EvalSha(ctx, sha, keys, args...)
	if f.lost++; f.lost == 2 { // the first one finds no script
		cmd.SetErr(errors.New("connection lost"))
	}
	return cmd
}

// A batch whose answer was lost comes again, and is there once.
func TestStreamAppendsOnce(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		lossy := &failing{Client: rdb}
		s := events.NewStream(lossy, 1000)
		all := records(4)
		write(t, s, all[0])
		if err := s.Write(t.Context(), all[1:3]); err == nil {
			t.Fatal("the answer was not lost")
		}
		write(t, s, all[1:3]...)
		write(t, s, all[3])
		write(t, events.NewStream(rdb, 1000), all[0]) // of another gate
		page(t, newReader(t, rdb, 1), events.Start, 100, "0", "1", "2", "3", "0")
	})
}

// The stream is bounded. Who comes back too late gets what is there, and is told
// that something is missing; so is who has seen what Redis has lost.
func TestStreamIsTrimmedAndSaysSo(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		s, r := events.NewStream(rdb, 100), newReader(t, rdb, 1)
		write(t, s, records(1)...)
		first := page(t, r, events.Start, 1, "0")
		for range 30 {
			write(t, s, records(50)...)
		}
		if n := rdb.XLen(t.Context(), "s3g:{events}:stream").Val(); n > 300 {
			t.Errorf("%d events are kept", n)
		}
		late, err := r.Read(t.Context(), first.Next, 10)
		if err != nil || late.Missed == nil || late.Missed.After != first.Next || len(late.Entries) != 10 || late.Missed.Oldest != late.Entries[0].Position {
			t.Errorf("late: %+v, %v", late, err)
		}
		on, err := r.Read(t.Context(), late.Next, 10)
		if err != nil || on.Missed != nil || len(on.Entries) != 10 {
			t.Errorf("and on: %+v, %v", on, err)
		}
		lost := fmt.Sprintf("%d-0", time.Now().Add(time.Hour).UnixMilli())
		again, err := r.Read(t.Context(), lost, 10)
		if err != nil || again.Missed == nil || len(again.Entries) != 10 {
			t.Errorf("of the future: %+v, %v", again, err)
		}
		rdb.FlushAll(t.Context())
		empty, err := r.Read(t.Context(), on.Next, 10)
		if err != nil || empty.Missed == nil || empty.Next != events.Start {
			t.Errorf("of nothing: %+v, %v", empty, err)
		}
	})
}

func TestPositions(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "now": true, "1700000000000-0": true, "": false, "-": false, "+": false, "$": false, "(1-1": false,
		"1": false, "1-": false, "1-1 ": false, strings.Repeat("1", 21) + "-0": false,
	} {
		if err := events.ParsePosition(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What an event is about is read for those who do not see everything.
func TestEntriesSayWhatTheyAreAbout(t *testing.T) {
	rdb := connect(t, miniredis.RunT(t).Addr())
	grant := events.Grant{Token: "tok_a", Bucket: "docs", Issuer: "https://id", IssuedBy: "ada"}
	of := events.About{Token: "tok_a", Bucket: "docs", Issuer: "https://id", IssuedBy: "ada"}
	with := of
	with.Request = "req_1"
	for _, tt := range []struct {
		kind events.Type
		data any
		want events.About
	}{
		{events.TokenMinted, events.Minted{Grant: grant}, of},
		{events.TokenReceipt, events.Receipt{Grant: grant, Request: "req_1"}, with},
		{events.TokenRefused, events.Refused{Reason: "NotFound"}, events.About{}},
		{events.RuleRevoked, events.Rule{ID: "rev_1", Token: "tok_a", Grant: &grant}, of},
		{events.RuleRevoked, events.Rule{ID: "rev_1", Token: "tok_a", Issuer: "https://evil", Bucket: "x"}, events.About{Token: "tok_a"}},
		{events.RuleLifted, events.Rule{ID: "rev_1", Issuer: "https://id", Bucket: "docs"}, events.About{Issuer: "https://id", Bucket: "docs", Rule: true}},
		{events.TransferCut, events.Cut{Request: "req_1"}, events.About{Request: "req_1"}},
		{events.BucketLocked, events.Locked{Bucket: "docs"}, events.About{Bucket: "docs"}},
	} {
		rdb.Del(t.Context(), "s3g:{events}:stream")
		write(t, events.NewStream(rdb, 10), &events.Record{Event: events.New(tt.kind, "g", "", tt.data)})
		p, err := newReader(t, rdb, 1).Read(t.Context(), events.Start, 1)
		if err != nil || len(p.Entries) != 1 || p.Entries[0].About() != tt.want || p.Entries[0].Type != tt.kind {
			t.Errorf("%s: %+v, %v; want %+v", tt.kind, p.Entries, err, tt.want)
		}
	}
}

// Followers are woken when the stream has grown, are bounded, and end with the
// reader.
func TestReaderWakesThoseWhoFollow(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		r := newReader(t, rdb, 2)
		more, end, err := r.Follow()
		if err != nil {
			t.Fatal(err)
		}
		_, end2, err := r.Follow()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Follow(); !errors.Is(err, events.ErrFollowers) {
			t.Errorf("a third one: %v", err)
		}
		end2()
		end2()
		_, end3, err := r.Follow()
		if err != nil {
			t.Errorf("in place of one: %v", err)
		}
		end3()
		<-more // the first look finds something new in any case
		write(t, events.NewStream(rdb, 10), records(1)...)
		<-more
		end()
		r.Close()
		<-r.Stopped()
		if _, _, err := r.Follow(); !errors.Is(err, events.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// While Redis is away nothing is read, and the error says so.
func TestReaderWithoutRedis(t *testing.T) {
	server := miniredis.RunT(t)
	r := newReader(t, connect(t, server.Addr()), 1)
	server.Close()
	for _, after := range []string{events.Start, events.Now, "1-1"} {
		if _, err := r.Read(t.Context(), after, 1); !errors.Is(err, events.ErrStream) {
			t.Errorf("after %s: %v", after, err)
		}
	}
}
