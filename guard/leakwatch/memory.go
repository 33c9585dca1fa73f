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
	// Most is how many findings are kept; 0 means 10,000. The oldest go first.
	Most int

	mu    sync.Mutex
	path  string
	state state
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
	e.Count = before + f.Count - e.Parts[part]
	e.Parts[part] = f.Count
	return e.Finding, e.Done, nil
}

// trim forgets the oldest findings, some at a time.
func (m *Memory) trim() {
	most := cmp.Or(m.Most, 10_000)
	if len(m.state.Findings) <= most {
		return
	}
	all := m.all()
	for _, f := range all[most*9/10:] {
		delete(m.state.Findings, f.ID)
	}
}

// all is every finding, the latest first.
func (m *Memory) all() []Finding {
	all := make([]Finding, 0, len(m.state.Findings))
	for _, e := range m.state.Findings {
		all = append(all, e.Finding)
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
	found := []Finding{}
	for _, f := range m.all() {
		if q.selects(&f) && len(found) < q.limit() {
			found = append(found, f)
		}
	}
	return found, nil
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
