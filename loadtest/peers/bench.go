package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The cores of the first two: one for what is measured, one for everything else.
const (
	restCore    = 0
	subjectCore = 1
)

// bench is a run: what it has started and what its works share. It is for one
// goroutine.
type bench struct {
	*options
	dir       string // for everything, in memory where there is a place
	cores     int
	maxFiles  uint64
	certs     *certificates
	processes []*process
	started   int
	stderr    io.Writer
	began     time.Time
	cast      map[string]*server // servers that several works use
	quiet     bool               // says nothing of what it starts
}

// open makes the directory and everything in it. Where it fails nothing stays.
func open(ctx context.Context, o *options, stderr io.Writer) (_ *bench, err error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("CPU time of other processes is read from Linux' /proc")
	}
	b := &bench{options: o, cores: runtime.NumCPU(), maxFiles: moreFiles(65536), stderr: stderr, began: time.Now(), cast: map[string]*server{}}
	if b.dir, err = os.MkdirTemp(place(), fmt.Sprintf("s3gate-peers-%d-", os.Getpid())); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.certs, err = newCertificates(b.dir); err != nil {
		return nil, err
	}
	if err := b.objects(); err != nil {
		return nil, err
	}
	if b.binary == "" {
		b.say("building s3gate")
		if err := b.build(ctx); err != nil {
			return nil, err
		}
	} else if b.binary, err = filepath.Abs(b.binary); err != nil {
		return nil, err
	}
	if b.cores < 2 {
		b.say("this machine has one core, which everything shares")
		return b, nil
	}
	runtime.GOMAXPROCS(1)
	return b, pin(ctx)
}

// place is a file system in memory, if there is one to write to, or "".
func place() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		if f, err := os.CreateTemp(shm, ".peers-"); err == nil {
			f.Close()
			os.Remove(f.Name())
			return shm
		}
	}
	return ""
}

// close ends what was started and removes the directory.
func (b *bench) close() error {
	b.cast = nil
	b.end(0)
	return os.RemoveAll(b.dir)
}

// end ends what was started after the first ones, the last first, but not what works
// share.
func (b *bench) end(after int) {
	kept := b.processes[:after:after]
	for _, p := range slices.Backward(b.processes[after:]) {
		if b.isShared(p) {
			kept = append(kept, p)
			continue
		}
		p.stop()
	}
	b.processes = kept
}

func (b *bench) isShared(p *process) bool {
	for _, s := range b.cast {
		if s.process == p {
			return true
		}
	}
	return false
}

// say tells what happens, with the time since the start.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.stderr, "%6.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// The objects below /bench/, by their names.
const (
	smallObject  = "small"
	mediumObject = "medium"
	largeObject  = "large"
	uploadObject = "put/upload"
)

// bucketPath is where an object is behind a server that knows no tokens.
func bucketPath(object string) string { return "/bench/" + object }

// objects writes the files that the upstream serves.
func (b *bench) objects() error {
	dir := filepath.Join(b.dir, "objects", "bench")
	if err := os.MkdirAll(filepath.Join(dir, "put"), 0o755); err != nil {
		return err
	}
	for name, size := range map[string]int64{smallObject: b.small, mediumObject: b.medium, largeObject: b.large} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		for left := size; left > 0 && err == nil; left -= int64(len(block)) {
			_, err = f.Write(block[:min(left, int64(len(block)))])
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// shared returns a server of the cast, and starts it when it is asked for first.
func (b *bench) shared(name string, start func() (*server, error)) (*server, error) {
	if s := b.cast[name]; s != nil {
		return s, nil
	}
	if !b.quiet {
		b.say("starting %s", name)
	}
	s, err := start()
	if err != nil {
		return nil, err
	}
	b.cast[name] = s
	return s, nil
}

// tlsName tells the servers that speak TLS from the others.
func tlsName(name string, secure bool) string {
	if secure {
		return name + " with TLS"
	}
	return name
}

func (b *bench) upstream(ctx context.Context, secure bool) (*server, error) {
	return b.shared(tlsName("the upstream", secure), func() (*server, error) {
		return b.nginx(ctx, "upstream", restCore, nginxConf{Objects: filepath.Join(b.dir, "objects")}, secure)
	})
}

func (b *bench) sharedRedis(ctx context.Context) (*server, error) {
	return b.shared("redis", func() (*server, error) { return b.redis(ctx) })
}

// do lets the contenders of a work take turns.
func (b *bench) do(ctx context.Context, w *work) ([]Row, error) {
	b.say("%s: %s", w.name, w.title)
	defer b.end(len(b.processes))
	contenders, err := w.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	samples := map[string][][]float64{} // of a contender, by metric and round
	for round := range b.rounds {
		for _, c := range contenders {
			values, err := b.turn(ctx, w, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if samples[c.name] == nil {
				samples[c.name] = make([][]float64, len(w.metrics))
			}
			var text []string
			for i, v := range values {
				samples[c.name][i] = append(samples[c.name][i], v)
				text = append(text, fmt.Sprintf("%s %s %s", w.metrics[i].name, number(v), w.metrics[i].unit))
			}
			b.say("%s %d/%d: %s: %s", w.name, round+1, b.rounds, c.name, strings.Join(text, ", "))
		}
	}
	if b.profile != "" {
		for _, c := range contenders {
			if err := b.saveProfile(ctx, w.name, c); err != nil {
				return nil, fmt.Errorf("%s: profile: %w", c.name, err)
			}
		}
	}
	return w.rows(contenders, samples), nil
}

// turn measures once. On a busy machine a gate may lose its lease, and then rightly
// answers 503: such a turn is repeated, a few times in a work.
func (b *bench) turn(ctx context.Context, w *work, c contender) ([]float64, error) {
	for {
		values, err := c.measure(ctx)
		if err == nil || ctx.Err() != nil || w.repeated == mostRepeated {
			return values, err
		}
		w.repeated++
		b.say("%s: %s: repeated: %v", w.name, c.name, err)
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// mostRepeated are the turns of one work that may fail.
const mostRepeated = 3
