package events

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// FileOptions say how an audit log is kept. The zero FileOptions keep one file
// that grows.
type FileOptions struct {
	// MaxBytes is the size in bytes after which another file is begun; 0 sets no
	// limit. A batch of events is not torn apart, so a file may be a bit larger.
	MaxBytes int64
	// MaxAge is how long after its first event another file is begun; 0 sets no
	// limit.
	MaxAge time.Duration
	// Keep is how many files that are complete are kept; 0 keeps all.
	Keep int
	// Sync waits for the disk after each batch, so that what a sink has is there
	// after a power failure too.
	Sync bool
}

// File is the audit log: a line of JSON for each event, in a file that only its
// owner can read. A file that is complete gets the time as a further ending. It
// is a [Sink]; Reopen may be called at any time.
type File struct {
	path string
	opts FileOptions

	mu    sync.Mutex
	file  *os.File
	size  int64
	began time.Time // of this file's first event, as far as it is known
}

// OpenFile opens an audit log, to which it appends.
func OpenFile(path string, opts FileOptions) (*File, error) {
	f := &File{path: path, opts: opts}
	return f, f.open()
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return fmt.Errorf("opening the audit log: %w", err)
	}
	f.file, f.size, f.began = file, info.Size(), time.Time{}
	if f.size > 0 {
		f.began = info.ModTime() // its first event is no later
	}
	return nil
}

// Name is "audit".
func (f *File) Name() string { return "audit" }

// Wants takes every type.
func (f *File) Wants(Type) bool { return true }

// Write appends the batch as a whole, or nothing of it.
func (f *File) Write(_ context.Context, batch []*Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due() {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	text := lines(batch)
	n, err := f.file.Write(text)
	if err == nil && f.opts.Sync {
		err = f.file.Sync()
	}
	if err != nil {
		if n > 0 && regular(f.file) {
			// Half a line would spoil the next one.
			_ = f.file.Truncate(f.size)
		}
		return fmt.Errorf("writing to the audit log: %w", err)
	}
	if f.began.IsZero() {
		f.began = time.Now()
	}
	f.size += int64(n)
	return nil
}

// lines is the batch as JSON lines.
func lines(batch []*Record) (text []byte) {
	for _, r := range batch {
		raw, _ := r.JSON() // the bus has tried
		text = append(append(text, raw...), '\n')
	}
	return text
}

func regular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// due reports whether another file is to be begun.
func (f *File) due() bool {
	full := f.opts.MaxBytes > 0 && f.size >= f.opts.MaxBytes
	old := f.opts.MaxAge > 0 && !f.began.IsZero() && time.Since(f.began) >= f.opts.MaxAge
	return f.file != nil && f.size > 0 && (full || old) && regular(f.file)
}

// rotatedForm sorts by time. Nanoseconds, so that no two files have one name.
const rotatedForm = "20060102T150405.000000000Z"

func (f *File) rotate() error {
	_ = f.file.Close()
	f.file = nil
	name := f.path + "." + time.Now().UTC().Format(rotatedForm)
	// Somebody else may have moved it, and then there is nothing to do.
	if err := os.Rename(f.path, name); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("rotating the audit log: %w", err)
	}
	if err := f.open(); err != nil {
		return err
	}
	f.prune()
	return nil
}

// prune removes the oldest files that are complete. What cannot be removed is
// tried again with the next one.
func (f *File) prune() {
	if f.opts.Keep == 0 {
		return
	}
	var done []string
	found, _ := filepath.Glob(filepath.Join(globEscape(filepath.Dir(f.path)), globEscape(filepath.Base(f.path))) + ".*Z")
	for _, name := range found {
		if _, err := time.Parse(rotatedForm, name[len(f.path)+1:]); err == nil {
			done = append(done, name)
		}
	}
	slices.Sort(done)
	for len(done) > f.opts.Keep {
		_ = os.Remove(done[0])
		done = done[1:]
	}
}

// globEscape makes a name match itself only.
func globEscape(name string) string {
	var out []rune
	for _, c := range name {
		if c == '*' || c == '?' || c == '[' || c == '\\' && filepath.Separator != '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}

// Reopen goes on with the file that has the name now, after another program has
// renamed it, as logrotate does. If that fails the next event tries it again.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
	return f.open()
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Writer is an audit log on something that is open already, such as stdout. It is
// a [Sink].
type Writer struct{ io.Writer }

// Name is "audit".
func (w Writer) Name() string { return "audit" }

// Wants takes every type.
func (w Writer) Wants(Type) bool { return true }

// Write writes the batch.
func (w Writer) Write(_ context.Context, batch []*Record) error {
	_, err := w.Writer.Write(lines(batch))
	return err
}

// Close does nothing.
func (w Writer) Close() error { return nil }

// Log is an audit log in the gate's own log. It is a [Sink].
type Log struct{ *slog.Logger }

// Name is "audit".
func (l Log) Name() string { return "audit" }

// Wants takes every type.
func (l Log) Wants(Type) bool { return true }

// Write logs each event.
func (l Log) Write(ctx context.Context, batch []*Record) error {
	if !l.Enabled(ctx, slog.LevelInfo) {
		return nil
	}
	for _, r := range batch {
		raw, err := r.JSON()
		if err != nil {
			return err
		}
		l.LogAttrs(ctx, slog.LevelInfo, "event", slog.Any("event", encoded(raw)))
	}
	return nil
}

// encoded is JSON that need not be made again.
type encoded []byte

// MarshalJSON is for a log in JSON, and MarshalText for one in words.
func (e encoded) MarshalJSON() ([]byte, error) { return e, nil }
func (e encoded) MarshalText() ([]byte, error) { return e, nil }

// Close does nothing.
func (l Log) Close() error { return nil }
