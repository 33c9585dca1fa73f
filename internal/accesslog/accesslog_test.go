package accesslog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"s3gate/internal/accesslog"
	"s3gate/internal/s3gatetest"
)

// kept is an access log and what it counts.
type kept struct {
	*accesslog.Log
	path string
	reg  *prometheus.Registry
	log  *s3gatetest.Log
}

func open(t *testing.T, path string, limits accesslog.Limits, queue int) *kept {
	t.Helper()
	k := &kept{path: path, reg: prometheus.NewRegistry(), log: &s3gatetest.Log{}}
	var err error
	k.Log, err = accesslog.Open(path, accesslog.Options{Limits: limits, Queue: queue, Logger: slog.New(slog.NewJSONHandler(k.log, nil))}, k.reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func (k *kept) counted(t *testing.T, want string) {
	t.Helper()
	if err := testutil.GatherAndCompare(k.reg, strings.NewReader(want), "s3gate_access_log_lines_total", "s3gate_access_log_dropped_total"); err != nil {
		t.Error(err)
	}
}

const counts = `# HELP s3gate_access_log_dropped_total Link requests that the access log has no line for, and why.
# TYPE s3gate_access_log_dropped_total counter
s3gate_access_log_dropped_total{reason="folded"} %d
s3gate_access_log_dropped_total{reason="full"} %d
s3gate_access_log_dropped_total{reason="write"} %d
# HELP s3gate_access_log_lines_total Lines that the access log has.
# TYPE s3gate_access_log_lines_total counter
s3gate_access_log_lines_total %d
`

func lines(t *testing.T, path string) (all []map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var one map[string]any
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, one)
	}
	return all
}

var ok = accesslog.Line{Request: "req_1", Method: "GET", Status: 200, Outcome: "ok", Proto: "HTTP/1.1", BytesOut: 7}

func TestLines(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "access.log"), accesslog.Limits{Refusals: 10, MaxAgent: 5}, 0)
	line := ok
	line.Time, line.Token, line.Agent, line.MS = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC), "tok_1", "curl/8.5.0", 1.5
	k.Add(line)
	k.Add(ok)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	k.Add(ok) // and nothing happens
	raw, err := os.ReadFile(k.path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2030-01-31T12:00:00Z","request":"req_1","token":"tok_1","method":"GET","status":200,"outcome":"ok","bytes_in":0,"bytes_out":7,"ms":1.5,"first_byte_ms":0,"agent":"curl/","proto":"HTTP/1.1"}` + "\n"
	if got, _, _ := strings.Cut(string(raw), "{\"time\":\"0001"); got != want {
		t.Errorf("wrote\n%s, want\n%s", got, want)
	}
	if info, err := os.Stat(k.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v %v", info.Mode(), err)
	}
	k.counted(t, fmt.Sprintf(counts, 0, 0, 0, 2))
}

func TestAgents(t *testing.T) {
	for _, tt := range []struct{ agent, want string }{
		{"Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"},
		{strings.Repeat("a", 100), strings.Repeat("a", 50)},
		{strings.Repeat("a", 49) + "é", strings.Repeat("a", 49)},
		{"\xff\xfeagent", "agent"},
		{"see https://example.com/s3g_0000000000000000000000000000/a", "see https://example.com/s3g_…"},
		{"line\n{\"forged\": 1}", "line\n{\"forged\": 1}"}, // in JSON it stays within its text
	} {
		k := open(t, filepath.Join(t.TempDir(), "access.log"), accesslog.Limits{MaxAgent: 50}, 0)
		line := ok
		line.Agent = tt.agent
		k.Add(line)
		k.Close()
		if all := lines(t, k.path); len(all) != 1 || all[0]["agent"] != tt.want {
			t.Errorf("of %q it keeps %v", tt.agent, all)
		}
	}
}

// Of a flood of refusals the first have lines, and the others one that counts them;
// what succeeds meanwhile has its lines.
func TestAFloodIsSummedUp(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "access.log"), accesslog.Limits{Refusals: 3}, 0)
	const flood = 5000
	for i := range flood {
		line := ok
		line.Status, line.Outcome = 404, "NotFound"
		if i%10 == 0 {
			line.Status, line.Outcome = 0, "gone"
		}
		k.Add(line)
		if i%100 == 0 {
			k.Add(ok)
		}
	}
	k.Close()
	single, folded, fine := 0, 0.0, 0
	for _, line := range lines(t, k.path) {
		switch by, sum := line["by_outcome"].(map[string]any); {
		case sum:
			folded += line["folded"].(float64)
			if n := by["NotFound"].(float64) + by["gone"].(float64); n != line["folded"] {
				t.Errorf("%v is not what it is of", line)
			}
		case line["outcome"] == "ok":
			fine++
		default:
			single++
		}
	}
	if fine != flood/100 {
		t.Errorf("%d lines of %d that succeeded", fine, flood/100)
	}
	if single < 3 || single > 3*30 { // three a second, on a machine that takes its time
		t.Errorf("%d refusals have lines", single)
	}
	if float64(single)+folded != flood {
		t.Errorf("%d refusals have lines and %v are counted, of %d", single, folded, flood)
	}
	k.Adjust(accesslog.Limits{Refusals: 0})
}

// Whoever does not read the log holds nobody up.
func TestNobodyWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	reader := unread(t, path)
	k := open(t, path, accesslog.Limits{MaxAgent: 4096}, 100)
	line := ok
	line.Agent = strings.Repeat("a", 4096)
	begin := time.Now()
	for range 10_000 {
		k.Add(line)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("10,000 requests waited %s", took)
	}
	if n := testutil.ToFloat64(dropped(t, k, "full")); n < 5000 {
		t.Errorf("%v are counted as dropped", n)
	}
	if k.Reopen() == nil {
		t.Error("it was opened again in the middle of a write")
	}
	reader.Close()
}

// A pipe that nobody reads is an error when it is opened, and nobody waits for it.
func TestAPipeWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	k := open(t, path, accesslog.Limits{}, 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	unread(t, path).Close()
	if err := k.Reopen(); err == nil {
		t.Error("it was opened")
	}
	if _, err := accesslog.Open(path, accesslog.Options{}, prometheus.NewRegistry()); err == nil {
		t.Error("it was opened at the start")
	}
}

// A disk that is full costs lines, and is said once.
func TestAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	k := open(t, "/dev/full", accesslog.Limits{}, 0)
	for range 20 {
		k.Add(ok)
		time.Sleep(time.Millisecond)
	}
	k.Close()
	k.counted(t, fmt.Sprintf(counts, 0, 0, 20, 0))
	if n := strings.Count(k.log.String(), "no space left"); n != 1 {
		t.Errorf("said %d times: %s", n, k.log)
	}
}

// After somebody has renamed the file, and said so, another one is begun.
func TestReopen(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "access.log"), accesslog.Limits{}, 0)
	k.Add(ok)
	await(t, func() bool { return len(lines(t, k.path)) == 1 })
	if err := os.Rename(k.path, k.path+".1"); err != nil {
		t.Fatal(err)
	}
	k.Add(ok)
	await(t, func() bool { return len(lines(t, k.path+".1")) == 2 })
	if err := k.Reopen(); err != nil {
		t.Fatal(err)
	}
	k.Add(ok)
	k.Close()
	if len(lines(t, k.path)) != 1 || len(lines(t, k.path+".1")) != 2 {
		t.Errorf("%d lines in the new file, %d in the old one", len(lines(t, k.path)), len(lines(t, k.path+".1")))
	}
}

// A folder that is away while the file is opened again is no reason to lose more than
// what came meanwhile.
func TestReopenComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k := open(t, filepath.Join(dir, "access.log"), accesslog.Limits{}, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if k.Reopen() == nil {
		t.Error("opened a file in a folder that is not there")
	}
	k.Add(ok)
	await(t, func() bool { return testutil.ToFloat64(dropped(t, k, "write")) == 1 })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k.Add(ok)
	k.Close()
	if n := len(lines(t, k.path)); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestTheNilLogKeepsNothing(t *testing.T) {
	var l *accesslog.Log
	l.Add(ok)
	l.Adjust(accesslog.Limits{})
	if l.Reopen() != nil || l.Close() != nil {
		t.Error("it does something")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	_, err := accesslog.Open(t.TempDir(), accesslog.Options{}, prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "access log") {
		t.Errorf("opened a folder: %v", err)
	}
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// dropped is one counter of a log.
func dropped(t *testing.T, k *kept, reason string) prometheus.Collector {
	t.Helper()
	families, err := k.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	value := prometheus.NewGauge(prometheus.GaugeOpts{Name: "value"})
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); len(l) == 1 && l[0].GetValue() == reason {
				value.Set(m.GetCounter().GetValue())
			}
		}
	}
	return value
}
