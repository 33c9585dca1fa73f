package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/guard/leakwatch"
	"s3gate/internal/config"
	"s3gate/internal/gate"
)

func newLeakwatch() *cobra.Command {
	var l leakReader
	cmd := &cobra.Command{
		Use:   "leakwatch [FILE | DIR | s3://BUCKET/PREFIX | -]...",
		Short: "Find requests with presigned URLs in S3's logs (exit code 3 if there are any)",
		Long: `Read server access logs of S3 and data events of CloudTrail, gzipped or plain, and
list the requests that were signed in a URL or a form: who signed, for which
object, from where, and whether they were let in. It only reads; a gate can also
act on what it finds (docs/leaks.md).

Files and directories are read once. A bucket of logs is read on and on, as logs
come, unless --once is given. Without arguments it reads guard.leaks.sources of
the configuration. With --config only requests to the buckets in it are listed.`,
		Example: `  s3gate leakwatch access.log.gz
  s3gate leakwatch --once --since 7d --state leaks.json s3://my-logs/access/
  zcat *.gz | s3gate leakwatch -`,
	}
	bucketFlags(cmd)
	f := cmd.Flags()
	f.Lookup("config").Usage = "YAML file with settings: the buckets that are watched, and how to reach those of logs"
	f.BoolVar(&l.once, "once", false, "end when all that is there was read")
	since := f.String("since", "", "leave out requests, and logs in buckets, before that: a time, or how long ago, such as 7d")
	f.StringVar(&l.state, "state", "", "a file that keeps how far buckets were read, and what was listed: only what is new is listed then")
	f.StringVar(&l.malformed, "malformed", "", "write a few of the lines that could not be read to this file, without signatures")
	f.DurationVar(&l.every, "interval", time.Minute, "how often buckets of logs are looked at")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if l.since, err = ago("since", *since); err != nil {
			return err
		}
		return l.run(cmd, args)
	}
	return cmd
}

// leakReader is one run of the command.
type leakReader struct {
	once             bool
	since            time.Time
	state, malformed string
	every            time.Duration

	cmd    *cobra.Command
	cfg    *config.Config // nil without one
	store  *leakwatch.Memory
	watch  *leakwatch.Watch
	fresh  int // how many findings have come since the last list
	any    bool
	failed error // to list what was found
	total  leakwatch.Summary
	logs   []*leakwatch.LogBucket
	close  []io.Closer
}

func (l *leakReader) run(cmd *cobra.Command, args []string) (err error) {
	l.cmd = cmd
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		if l.cfg, err = config.Load(path, os.Environ(), nil); err != nil {
			return usageError{err}
		}
	}
	if l.store, err = leakwatch.OpenMemory(l.state); err != nil {
		return err
	}
	l.watch = &leakwatch.Watch{
		Buckets: l.watched(), Store: unlisted{l.store}, Since: l.since, Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
		Act: l.found,
	}
	if l.cfg != nil {
		l.watch.Window = l.cfg.Guard.Leaks.Window
	}
	if len(args) == 0 {
		if args = l.configured(); len(args) == 0 {
			return usagef("say what to read: files, directories, s3://BUCKET/PREFIX, or - for stdin")
		}
	}
	defer func() {
		for _, c := range l.close {
			c.Close()
		}
	}()
	begin := time.Now()
	err = l.read(args)
	for err == nil && !l.once && len(l.logs) > 0 && cmd.Context().Err() == nil {
		select {
		case <-time.After(l.every):
			err = l.readBuckets()
		case <-cmd.Context().Done():
		}
	}
	if err == nil && cmd.Context().Err() == nil {
		l.sum(time.Since(begin))
	}
	if saveErr := errors.Join(l.store.Save(), l.keepMalformed()); err == nil {
		err = saveErr
	}
	switch {
	case err != nil && cmd.Context().Err() == nil:
		return err
	case l.any:
		return errNo
	}
	return nil
}

// unlisted is the store, in which a finding is told when it was listed, and not when
// the watch has passed it on: whoever is killed in between lists it the next time.
type unlisted struct{ *leakwatch.Memory }

func (unlisted) Told(context.Context, string, []leakwatch.Taken) error { return nil }

// listAt is how many findings are listed together at most: half of what the store
// keeps, so that it drops none that was not listed.
const listAt = 5000

// found lists what was found when that has become much.
func (l *leakReader) found(context.Context, leakwatch.Finding) []leakwatch.Taken {
	if l.fresh++; l.fresh >= listAt && l.failed == nil {
		l.failed = l.list()
	}
	return nil
}

// watched are the buckets of the configuration, nil for all.
func (l *leakReader) watched() map[string]leakwatch.Bucket {
	if l.cfg == nil {
		return nil
	}
	return l.cfg.WatchedBuckets()
}

// configured are the buckets of logs that the configuration names.
func (l *leakReader) configured() (args []string) {
	if l.cfg == nil {
		return nil
	}
	for _, s := range l.cfg.Guard.Leaks.Sources {
		if s.Queue == "" {
			args = append(args, "s3://"+s.Bucket+"/"+s.Prefix)
		}
	}
	slices.Sort(args)
	return args
}

// read reads everything once. What cannot be read does not stop the rest.
func (l *leakReader) read(args []string) error {
	var failed error
	for _, arg := range args {
		var s leakwatch.Summary
		var err error
		switch {
		case arg == "-":
			s, err = l.watch.Read(l.cmd.Context(), "stdin", l.cmd.InOrStdin())
		case strings.HasPrefix(arg, "s3://"):
			err = l.open(arg)
		default:
			s, err = l.watch.Files(l.cmd.Context(), arg)
		}
		l.count(s)
		failed = errors.Join(failed, err)
	}
	if err := l.list(); err != nil {
		return err
	}
	return errors.Join(failed, l.readBuckets())
}

func (l *leakReader) count(s leakwatch.Summary) {
	l.total.Lines += s.Lines
	l.total.Malformed += s.Malformed
	l.total.Bytes += s.Bytes
	l.total.Found += s.Found
}

// open prepares to read a bucket of logs, as the configuration or the command line
// say.
func (l *leakReader) open(arg string) error {
	name, prefix, _ := strings.Cut(strings.TrimPrefix(arg, "s3://"), "/")
	b := config.Bucket{Name: name}
	var late time.Duration
	if l.cfg != nil {
		late = l.cfg.Guard.Leaks.Late
		for _, s := range l.cfg.Guard.Leaks.Sources {
			if s.Bucket == name {
				b = s.Reach()
			}
		}
	}
	bucketOverrides(l.cmd, &b)
	bucket, err := gate.OpenBucket(l.cmd.Context(), b, config.Default().Upstream, "s3gate/"+versionString(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	l.close = append(l.close, bucket)
	l.logs = append(l.logs, &leakwatch.LogBucket{Logs: bucket, Name: name, Prefix: prefix, Late: late, Since: l.since})
	return nil
}

func (l *leakReader) readBuckets() error {
	var failed error
	for _, b := range l.logs {
		s, err := b.Once(l.cmd.Context(), l.watch)
		l.count(s)
		failed = errors.Join(failed, err)
	}
	if err := l.list(); err != nil {
		return err
	}
	if failed != nil && !l.once && l.cmd.Context().Err() == nil {
		newPrinter(l.cmd).say("%v", failed) // the next time may be better
		return nil
	}
	return failed
}

// list prints what was found and not listed yet.
func (l *leakReader) list() error {
	l.fresh = 0
	all := l.store.Untold()
	if len(all) == 0 || l.failed != nil {
		return l.failed
	}
	head := leakwatchHead
	if l.any {
		head = "" // it was printed
	}
	l.any = true
	if err := printTable(newPrinter(l.cmd), head, all, leakwatchRow); err != nil {
		return err
	}
	for _, f := range all {
		if err := l.store.Told(l.cmd.Context(), f.ID, nil); err != nil {
			return err
		}
	}
	return nil
}

const leakwatchHead = "LAST\tKIND\tOUTCOME\tCOUNT\tBUCKET\tKEY\tSIGNER\tREQUESTER\tFROM\tSTATUS"

func leakwatchRow(w io.Writer, f leakwatch.Finding) {
	status := f.Code
	if f.Status != 0 {
		status = strings.TrimSpace(fmt.Sprint(f.Status, " ", f.Code))
	}
	row(w, f.Last.Local().Format(time.DateTime), f.Kind, f.Outcome, f.Count, f.Bucket, f.Key, f.Signer, f.Requester, f.Client, status)
}

// sum says what was read.
func (l *leakReader) sum(took time.Duration) {
	p, t := newPrinter(l.cmd), &l.total
	p.say("%d lines of %.1f MB read in %v; %d requests were signed in a URL or a form", t.Lines, float64(t.Bytes)/1e6, took.Round(time.Millisecond), t.Found)
	if t.Malformed > 0 {
		p.say("%d lines could not be read", t.Malformed)
	}
	if n := l.store.Dropped(); n > 0 {
		p.say("%d findings are not remembered: that there are more of them may be listed as new", n)
	}
}

func (l *leakReader) keepMalformed() error {
	lines := l.store.MalformedLines()
	if l.malformed == "" || len(lines) == 0 {
		return nil
	}
	if err := os.WriteFile(l.malformed, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing lines that could not be read: %w", err)
	}
	return nil
}
