package leakwatch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] in memory, which can be kept in a file: for the command
// line and for tests. It is safe for concurrent use.
type Memory struct {
	// Most is how many findings are kept; 0 means 10,000. Those that were told go
	// first, the oldest of them before others.
	Most int

	mu      sync.Mutex
	path    string
	state   state
	dropped int
}

// state is what is in the file.
type state struct {
	Positions map[string]string `json:"positions"`
	Findings  map[string]*entry `json:"findings"`
	Malformed []string          `json:"malformed,omitempty"`
}

// entry is a finding with what each part of a log has said about it.
type entry struct {
	Finding
	Parts map[string]int64 `json:"parts"`
	Done  bool             `json:"done"`
}

// OpenMemory returns a store that is kept in a file, which [Memory.Save] writes; ""
// keeps nothing. A file that is not there is an empty store.
func OpenMemory(path string) (*Memory, error) {
	m := &Memory{path: path, state: state{Positions: map[string]string{}, Findings: map[string]*entry{}}}
	if path == "" {
		return m, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &m.state)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of the leak watch: %w", err)
	}
	if m.state.Positions == nil || m.state.Findings == nil {
		return nil, fmt.Errorf("reading the state of the leak watch: %s holds something else", path)
	}
	return m, nil
}

// Save writes the file, which is there whole or as it was.
func (m *Memory) Save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.save()
}

func (m *Memory) save() error {
	if m.path == "" {
		return nil
	}
	raw, err := json.Marshal(&m.state)
	if err != nil {
		return fmt.Errorf("writing the state of the leak watch: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(m.path), ".leakwatch-*")
	if err != nil {
		return fmt.Errorf("writing the state of the leak watch: %w", err)
	}
	_, err = temp.Write(raw)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), m.path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("writing the state of the leak watch: %w", err)
	}
	return nil
}

// Record is that of a [Store].
func (m *Memory) Record(_ context.Context, f Finding, part string) (Finding, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.state.Findings[f.ID]
	if e == nil {
		e = &entry{Finding: f, Parts: map[string]int64{}}
		e.Count = 0
		m.state.Findings[f.ID] = e
		m.trim()
	}
	before := e.Count
	e.merge(&f)
	said, known := e.Parts[part]
	e.Count = before + f.Count - said
	if known || len(e.Parts) < maxParts {
		e.Parts[part] = f.Count
	}
	return e.Finding, e.Done, nil
}

// trim forgets findings, some at a time.
func (m *Memory) trim() {
	most := cmp.Or(m.Most, 10_000)
	if len(m.state.Findings) <= most {
		return
	}
	all := m.all(func(*entry) bool { return true })
	done := func(f Finding) bool { return m.state.Findings[f.ID].Done }
	slices.SortStableFunc(all, func(a, b Finding) int {
		switch {
		case done(a) == done(b):
			return 0
		case done(a):
			return 1
		}
		return -1
	})
	for _, f := range all[most*9/10:] {
		delete(m.state.Findings, f.ID)
		m.dropped++
	}
}

// Dropped is how many findings were forgotten for want of room. One that comes
// again is new.
func (m *Memory) Dropped() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// Untold are the findings that were not told, the latest first.
func (m *Memory) Untold() []Finding {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all(func(e *entry) bool { return !e.Done })
}

// all are the findings of some entries, the latest first.
func (m *Memory) all(which func(*entry) bool) []Finding {
	all := make([]Finding, 0, len(m.state.Findings))
	for _, e := range m.state.Findings {
		if which(e) {
			all = append(all, e.Finding)
		}
	}
	slices.SortFunc(all, func(a, b Finding) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Told is that of a [Store].
func (m *Memory) Told(_ context.Context, id string, taken []Taken) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.state.Findings[id]; e != nil {
		e.Done, e.Taken = true, taken
	}
	return nil
}

// Findings is that of a [Store].
func (m *Memory) Findings(_ context.Context, q Query) ([]Finding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.all(func(e *entry) bool { return q.selects(&e.Finding) })
	return found[:min(len(found), q.limit())], nil
}

// Position is that of a [Store].
func (m *Memory) Position(_ context.Context, source string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Positions[source], nil
}

// SavePosition is that of a [Store]: it writes the file too, so that findings are
// there before the position that is behind them.
func (m *Memory) SavePosition(_ context.Context, source, position string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Positions[source] = position
	return m.save()
}

// Malformed is that of a [Store]. It keeps the last hundred.
func (m *Memory) Malformed(_ context.Context, log string, line []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Malformed = append(m.state.Malformed, sample(log, line))
	if n := len(m.state.Malformed) - maxMalformed; n > 0 {
		m.state.Malformed = slices.Delete(m.state.Malformed, 0, n)
	}
	return nil
}

// maxMalformed is how many malformed lines a store keeps.
const maxMalformed = 100

func sample(log string, line []byte) string {
	return fmt.Sprintf("%s %s: %q", time.Now().UTC().Format(time.RFC3339), log, line)
}

// MalformedLines are those that were kept, the latest last.
func (m *Memory) MalformedLines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.state.Malformed)
}
