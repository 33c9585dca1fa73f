package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"s3gate/events"
)

// records are n events of tokens that are called 0, 1 and so on.
func records(n int) (all []*events.Record) {
	for _, name := range numbered(n) {
		all = append(all, &events.Record{Event: events.New(events.TransferCut, "gate-1", name, events.Cut{Request: "req_" + name})})
	}
	return all
}

// subjects are those of the events in a file.
func subjects(t *testing.T, text []byte) (all []string) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var e events.Event
		if err := json.Unmarshal(line, &e); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e.Subject)
	}
	return all
}

func openFile(t *testing.T, path string, opts events.FileOptions) *events.File {
	t.Helper()
	f, err := events.OpenFile(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, s events.Sink, batch ...*events.Record) {
	t.Helper()
	if err := s.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// Every event is one line, what was in the file stays, and only its owner can read
// it, since it says who fetched what.
func TestFileAppendsLines(t *testing.T) {
	for _, sync := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.log")
		for part := range 2 {
			f := openFile(t, path, events.FileOptions{Sync: sync})
			write(t, f, records(10)[part*5:part*5+5]...)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := subjects(t, read(t, path)); !slices.Equal(got, numbered(10)) {
			t.Errorf("sync %v: %v", sync, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
		}
	}
}

// Files are complete at a size, no event is torn or lost, and the oldest go.
func TestFileRotatesBySize(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	other := filepath.Join(dir, "audit.log.bak")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []int{0, 3} {
		f := openFile(t, path, events.FileOptions{MaxBytes: 1000, Keep: keep})
		for _, r := range records(40) {
			write(t, f, r)
		}
		f.Close()
		done, err := filepath.Glob(path + ".2*Z")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(done)
		if keep > 0 && len(done) != keep || keep == 0 && len(done) < 5 {
			t.Fatalf("keep %d: %d files", keep, len(done))
		}
		var got []string
		for _, file := range append(done, path) {
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1000+400 {
				t.Errorf("%s: %v %v", file, info, err)
			}
			got = append(got, subjects(t, read(t, file))...)
		}
		want := numbered(40)
		if keep > 0 {
			want = want[40-len(got):]
		}
		if !slices.Equal(got, want) || len(got) < 8 {
			t.Errorf("keep %d: %v", keep, got)
		}
		if _, err := os.Stat(other); err != nil {
			t.Error("a file that is not the log's was removed")
		}
		for _, file := range append(done, path) {
			os.Remove(file)
		}
	}
}

// A file that has had its first event for so long is complete, also one that was
// there before.
func TestFileRotatesByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openFile(t, path, events.FileOptions{MaxAge: time.Hour})
	write(t, f, records(1)...)
	write(t, f, records(1)...)
	f.Close()
	if done, _ := filepath.Glob(path + ".*"); len(done) != 0 {
		t.Fatalf("rotated early: %v", done)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, events.FileOptions{MaxAge: time.Hour})
	write(t, f, records(1)...)
	if done, _ := filepath.Glob(path + ".*"); len(done) != 1 || len(subjects(t, read(t, path))) != 1 {
		t.Errorf("not rotated: %v", done)
	}
}

// After logrotate has renamed the file, Reopen begins another one; nothing is lost
// meanwhile.
func TestFileReopens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openFile(t, path, events.FileOptions{})
	all := records(3)
	write(t, f, all[0])
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, all[1])
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(t, f, all[2])
	if got := subjects(t, read(t, path+".1")); !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("the old file has %v", got)
	}
	if got := subjects(t, read(t, path)); !slices.Equal(got, []string{"2"}) {
		t.Errorf("the new file has %v", got)
	}
}

// While the file cannot be opened the events wait, and come when it can.
func TestFileComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.log")
	f := openFile(t, path, events.FileOptions{})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Fatal("a file in no directory was opened")
	}
	batch := records(2)
	if err := f.Write(t.Context(), batch); err == nil {
		t.Fatal("written to nowhere")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, batch...)
	if got := subjects(t, read(t, path)); !slices.Equal(got, numbered(2)) {
		t.Errorf("got %v", got)
	}
	if _, err := events.OpenFile(filepath.Join(dir, "no", "such"), events.FileOptions{}); err == nil {
		t.Error("a file in no directory was opened")
	}
}

// Reopen may come at any time.
func TestFileReopensWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openFile(t, path, events.FileOptions{MaxBytes: 5000})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			_ = f.Reopen()
		}
	})
	for _, r := range records(200) {
		write(t, f, r)
	}
	wg.Wait()
	f.Close()
	var got []string
	done, _ := filepath.Glob(path + ".*")
	slices.Sort(done)
	for _, file := range append(done, path) {
		got = append(got, subjects(t, read(t, file))...)
	}
	if !slices.Equal(got, numbered(200)) {
		t.Errorf("%d events: %v", len(got), got)
	}
}

// full is a place that takes half of what it gets.
type full struct{ bytes.Buffer }

func (f *full) Write(p []byte) (int, error) {
	n, _ := f.Buffer.Write(p[:len(p)/2])
	return n, fs.ErrInvalid
}

// What stdout does not take is an error, and the gate's own log has the events
// where there is no file.
func TestWriterAndLog(t *testing.T) {
	var out bytes.Buffer
	write(t, events.Writer{Writer: &out}, records(2)...)
	if got := subjects(t, out.Bytes()); !slices.Equal(got, numbered(2)) {
		t.Errorf("written: %v", got)
	}
	if err := (events.Writer{Writer: &full{}}).Write(t.Context(), records(1)); err == nil {
		t.Error("no error")
	}
	out.Reset()
	write(t, events.Log{Logger: slog.New(slog.NewJSONHandler(&out, nil))}, records(2)...)
	if n := strings.Count(out.String(), `"level":"INFO"`); n != 2 || !strings.Contains(out.String(), `"request":"req_1"`) {
		t.Errorf("logged %s", out.String())
	}
}

func ExampleNewBus() {
	var out bytes.Buffer
	bus := events.NewBus(events.Options{Gate: "gate-1"}, events.Writer{Writer: &out})
	bus.Emit(events.TransferCut, "", events.Cut{Request: "req_1", Author: "ops"})
	_ = bus.Close(context.Background())
	var e events.Event
	_ = json.Unmarshal(out.Bytes(), &e)
	fmt.Println(e.Source, e.Type, e.Data)
	// Output: /gates/gate-1 s3gate.transfer.cut.v1 map[author:ops request:req_1]
}
