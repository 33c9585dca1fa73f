package events_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"s3gate/events"
)

type use struct {
	Bytes int64 `json:"bytes"`
}

// Every event is one line, also when many come at once, and what was in the
// file stays.
func TestLogAppendsLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := events.Open(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { l.Emit(events.New(events.UseEnded, "gate-1", use{int64(i)})) })
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 51 || lines[0] != "before" {
		t.Fatalf("%d lines, the first %q", len(lines), lines[0])
	}
	ids := map[string]bool{}
	for _, line := range lines[1:] {
		var e struct {
			ID, Type, Gate, Time string
			Data                 use
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "use.ended" || e.Gate != "gate-1" || e.Time == "" {
			t.Errorf("%q: %v", line, err)
		}
		ids[e.ID] = true
	}
	if len(ids) != 50 {
		t.Errorf("%d different IDs, want 50", len(ids))
	}
}

// The file is only its owner's, since it says who fetched what.
func TestLogIsPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	l, err := events.Open(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
	}
}

// Without a file, and when it cannot be written, the logger gets the event.
func TestLogFallsBackToTheLogger(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	l, err := events.Open("", logger)
	if err != nil {
		t.Fatal(err)
	}
	l.Emit(events.New(events.UseEnded, "g", use{7}))
	if !strings.Contains(out.String(), `"bytes":7`) || !strings.Contains(out.String(), `"level":"INFO"`) {
		t.Errorf("logged %s", out.String())
	}
	out.Reset()
	l, err = events.Open(filepath.Join(t.TempDir(), "audit.log"), logger)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Emit(events.New(events.UseEnded, "g", use{8}))
	if !strings.Contains(out.String(), `"bytes":8`) || !strings.Contains(out.String(), `"level":"ERROR"`) {
		t.Errorf("logged %s", out.String())
	}
	if _, err := events.Open(filepath.Join(t.TempDir(), "no", "such"), logger); err == nil {
		t.Error("a file in no directory was opened")
	}
	var none *events.Log
	none.Emit(events.Event{})
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}
