package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"s3gate/events"
	"s3gate/internal/s3gatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is one that keeps what it gets, or does what write says.
type sink struct {
	name  string
	types []events.Type
	write func(batch []*events.Record) error

	mu     sync.Mutex
	got    []*events.Record
	closed bool
}

func (s *sink) Name() string { return s.name }

func (s *sink) Wants(t events.Type) bool { return len(s.types) == 0 || slices.Contains(s.types, t) }

func (s *sink) Write(_ context.Context, batch []*events.Record) error {
	if s.write != nil {
		if err := s.write(batch); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, batch...)
	return nil
}

func (s *sink) Close() error {
	s.closed = true
	return nil
}

// ids are the tokens of what the sink has.
func (s *sink) tokens() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.got {
		all = append(all, r.Subject)
	}
	return all
}

// closeBus closes a bus that has time.
func closeBus(t *testing.T, b *events.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// numbered are n names.
func numbered(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// value is that of a metric.
func value(t *testing.T, reg *prometheus.Registry, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			match := f.GetName() == name
			for _, l := range m.GetLabel() {
				want, named := labels[l.GetName()]
				match = match && (!named || want == l.GetValue())
			}
			if match {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// Each sink gets the types that it wants, in the order of emission, and what was
// emitted before Close.
func TestBusKeepsTheOrder(t *testing.T) {
	all, some := &sink{name: "all"}, &sink{name: "some", types: []events.Type{events.TransferCut}}
	b := events.NewBus(events.Options{Gate: "g"}, all, some)
	for i := range 1000 {
		kind := events.TokenMinted
		if i%10 == 0 {
			kind = events.TransferCut
		}
		b.Emit(kind, fmt.Sprint(i), events.Cut{})
	}
	closeBus(t, b)
	if got := all.tokens(); !slices.Equal(got, numbered(1000)) {
		t.Errorf("%d events, not in order: %v", len(got), got)
	}
	if got := some.tokens(); len(got) != 100 || got[99] != "990" {
		t.Errorf("of one type: %v", got)
	}
	if !all.closed || !some.closed {
		t.Error("sinks are not closed")
	}
	b.Emit(events.TransferCut, "late", events.Cut{})
	if got := all.tokens(); len(got) != 1000 {
		t.Error("an event came after the end")
	}
}

// A sink that hangs holds up nobody who emits, and no other sink. What finds its
// queue full is dropped and counted; the rest arrives.
func TestBusDropsForASinkThatHangs(t *testing.T) {
	entered, free := make(chan struct{}, 1), make(chan struct{})
	hangs := &sink{name: "hangs", write: func([]*events.Record) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-free
		return nil
	}}
	well := &sink{name: "well"}
	reg := prometheus.NewRegistry()
	b := events.NewBus(events.Options{Queue: 10, Metrics: events.NewMetrics(reg)}, hangs, well)
	b.Emit(events.TransferCut, "0", events.Cut{})
	<-entered // the first is out of the queue
	for i := 1; i <= 25; i++ {
		b.Emit(events.TransferCut, fmt.Sprint(i), events.Cut{})
		for len(well.tokens()) <= i {
			time.Sleep(time.Millisecond)
		}
	}
	labels := map[string]string{"sink": "hangs", "reason": "full"}
	if n := value(t, reg, "s3gate_events_dropped_total", labels); n != 15 {
		t.Errorf("%v dropped, want 15", n)
	}
	close(free)
	closeBus(t, b)
	if got := hangs.tokens(); !slices.Equal(got, numbered(11)) {
		t.Errorf("the sink that hung got %v", got)
	}
	for name, want := range map[string]float64{"hangs": 11, "well": 26} {
		if n := value(t, reg, "s3gate_events_delivered_total", map[string]string{"sink": name}); n != want {
			t.Errorf("%s: %v delivered, want %v", name, n, want)
		}
	}
}

// A sink that fails gets the same batch again until it takes it, and the log hears
// of it once.
func TestBusRepeatsUntilTheSinkTakesIt(t *testing.T) {
	var first []*events.Record
	tries := 0
	s := &sink{name: "fails", write: func(batch []*events.Record) error {
		if tries++; tries > 3 {
			if len(first) != len(batch) || first[0] != batch[0] {
				t.Error("another batch came first")
			}
			return nil
		}
		first = batch
		return errors.New("no")
	}}
	var log s3gatetest.Log
	reg := prometheus.NewRegistry()
	b := events.NewBus(events.Options{Retry: time.Millisecond, Metrics: events.NewMetrics(reg), Logger: slog.New(slog.NewTextHandler(&log, nil))}, s)
	b.Emit(events.TransferCut, "0", events.Cut{})
	for len(s.tokens()) == 0 {
		time.Sleep(time.Millisecond)
	}
	closeBus(t, b)
	if n := value(t, reg, "s3gate_events_failed_total", nil); n != 3 {
		t.Errorf("%v failures", n)
	}
	if text := log.String(); len(slices.Collect(lines(text))) != 1 {
		t.Errorf("logged %s", text)
	}
}

func lines(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(text) > 0 {
			i := slices.Index([]byte(text), '\n')
			if i < 0 || !yield(text[:i]) {
				return
			}
			text = text[i+1:]
		}
	}
}

// What a sink rejects for good is not tried again, and what comes behind it is
// delivered.
func TestBusDoesNotRepeatWhatIsRejected(t *testing.T) {
	s := &sink{name: "s"}
	s.write = func(batch []*events.Record) error {
		if batch[0].Subject == "bad" {
			return fmt.Errorf("%w: too large", events.ErrRejected)
		}
		return nil
	}
	b := events.NewBus(events.Options{}, s)
	b.Emit(events.TransferCut, "bad", events.Cut{})
	closeBus(t, b)
	if len(s.tokens()) != 0 {
		t.Error("it was taken")
	}
}

// A gate that ends does not wait for a sink that is dead: it gets one more try.
func TestBusGivesUpAtTheEnd(t *testing.T) {
	tried := make(chan struct{}, 1000)
	s := &sink{name: "dead", write: func([]*events.Record) error {
		tried <- struct{}{}
		return errors.New("no")
	}}
	reg := prometheus.NewRegistry()
	b := events.NewBus(events.Options{Retry: time.Hour, Metrics: events.NewMetrics(reg)}, s)
	b.Emit(events.TransferCut, "0", events.Cut{})
	<-tried
	closeBus(t, b)
	if n := value(t, reg, "s3gate_events_dropped_total", map[string]string{"reason": "closed"}); n != 1 {
		t.Errorf("%v dropped", n)
	}
	if n := value(t, reg, "s3gate_events_failed_total", nil); n != 2 {
		t.Errorf("%v tries, want 2", n)
	}
}

// An event that is no JSON is dropped, and does not stop the others.
func TestBusDropsWhatIsNoJSON(t *testing.T) {
	s := &sink{name: "s"}
	reg := prometheus.NewRegistry()
	b := events.NewBus(events.Options{Metrics: events.NewMetrics(reg)}, s)
	b.Emit(events.TransferCut, "bad", func() {})
	b.Emit(events.TransferCut, "good", events.Cut{})
	closeBus(t, b)
	if got := s.tokens(); !slices.Equal(got, []string{"good"}) {
		t.Errorf("got %v", got)
	}
	if n := value(t, reg, "s3gate_events_dropped_total", map[string]string{"reason": "encoding"}); n != 1 {
		t.Errorf("%v dropped", n)
	}
}

// A flood of guesses is a few events, which count all of them (T11).
func TestBusFoldsRefusals(t *testing.T) {
	s := &sink{name: "s"}
	reg := prometheus.NewRegistry()
	b := events.NewBus(events.Options{RefusalWindow: time.Hour, RefusalKinds: 3, Metrics: events.NewMetrics(reg)}, s)
	refuse := func(n int, client, reason string) {
		for range n {
			b.Refuse(events.Refused{Reason: reason, Client: client, Status: 404, Request: "req_1"})
		}
	}
	refuse(1000, "192.0.2.1", "NotFound")
	refuse(1, "192.0.2.2", "NotFound")
	refuse(5, "192.0.2.1", "LinkExpired")
	for i := range 500 {
		refuse(1, fmt.Sprintf("198.51.100.%d", i), "NotFound") // each another one
	}
	closeBus(t, b)
	count, told := int64(0), map[string]int64{}
	for _, r := range s.got {
		d := r.Data.(events.Refused)
		count += d.Count
		told[d.Reason+" "+d.Client] += d.Count
		if later := d.Count > 1; later == d.Since.IsZero() {
			t.Errorf("%+v: a count has a beginning, and nothing else has", d)
		}
	}
	if len(s.got) != 6 || count != 1506 {
		t.Errorf("%d events for %d refusals, want 6 for 1506", len(s.got), count)
	}
	if told["NotFound 192.0.2.1"] != 1000 || told["NotFound 192.0.2.2"] != 1 || told["LinkExpired 192.0.2.1"] != 5 || told["Various "] != 500 {
		t.Errorf("told %v", told)
	}
	if n := value(t, reg, "s3gate_events_refusals_folded_total", nil); n != 1503 {
		t.Errorf("%v folded", n)
	}
}

// A window ends, and the next one tells again at once.
func TestBusBeginsAnotherWindow(t *testing.T) {
	s := &sink{name: "s"}
	b := events.NewBus(events.Options{RefusalWindow: 10 * time.Millisecond}, s)
	for count := int64(0); count < 5; {
		b.Refuse(events.Refused{Reason: "NotFound"})
		time.Sleep(5 * time.Millisecond)
		s.mu.Lock()
		count = int64(len(s.got))
		s.mu.Unlock()
	}
	closeBus(t, b)
}

// A nil bus takes nothing.
func TestBusOfNothing(t *testing.T) {
	var b *events.Bus
	b.Emit(events.TransferCut, "", events.Cut{})
	b.Refuse(events.Refused{})
	closeBus(t, b)
}

// What an event costs whoever emits it.
func BenchmarkEmit(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("%d sinks", n), func(b *testing.B) {
			var sinks []events.Sink
			for i := range n {
				sinks = append(sinks, nowhere{fmt.Sprint(i)})
			}
			bus := events.NewBus(events.Options{Gate: "gate-1/4711", Queue: 1 << 16}, sinks...)
			receipt := events.Receipt{Grant: events.Grant{Token: "tok_a", Bucket: "docs", Key: "k"}, Use: "u", Bytes: 1}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					bus.Emit(events.TokenReceipt, "tok_a", &receipt)
				}
			})
			b.StopTimer()
			_ = bus.Close(context.Background())
		})
	}
}

// nowhere is a sink that costs nothing.
type nowhere struct{ name string }

func (n nowhere) Name() string                                  { return n.name }
func (n nowhere) Wants(events.Type) bool                        { return true }
func (n nowhere) Write(context.Context, []*events.Record) error { return nil }
func (n nowhere) Close() error                                  { return nil }

// Whoever floods a gate with guesses does not hide that somebody tries a canary.
func TestAFloodHidesNoCanary(t *testing.T) {
	s := &sink{name: "s"}
	b := events.NewBus(events.Options{RefusalWindow: time.Hour, RefusalKinds: 3}, s)
	for i := range 100 {
		b.Refuse(events.Refused{Reason: "NotFound", Client: fmt.Sprintf("198.51.100.%d", i)})
	}
	for i := range 100 {
		b.Refuse(events.Refused{Reason: "NotFound", Client: fmt.Sprintf("203.0.113.%d", i), Canary: true})
	}
	closeBus(t, b)
	canaries := 0
	for _, r := range s.got {
		if r.Data.(events.Refused).Canary {
			canaries++
		}
	}
	if canaries != 3 || len(s.got) != 7 {
		t.Errorf("%d events, %d of them of canaries", len(s.got), canaries)
	}
}
