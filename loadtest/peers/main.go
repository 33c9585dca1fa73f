// Command peers measures s3gate beside the programs that people would pick instead,
// and writes what it finds as a table, as JSON and as a page:
//
//	go run ./loadtest/peers -doc docs/performance.md
//
// It starts everything itself, on the loopback interface and in a temporary directory:
// an nginx that stands in for S3 at its fastest, a Redis, s3gate, nginx with Lua and
// Redis that makes the same decision without a signature, plain nginx, and HAProxy.
// Each server has one core, the client and what is behind share another. The servers
// take turns, round by round, and what counts is the ratio of two of them in the same
// round: a busy machine slows both.
//
// CPU time is what the kernel says of a server's processes. It does not depend on how
// fast the client is, and hardly on what else runs. The command knows nothing of
// s3gate but its command line, its settings and its HTTP interfaces.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// errUsage is wrapped by errors about the command line.
var errUsage = errors.New("peers")

// options are the flags.
type options struct {
	rounds  int            // how often each server has its turn
	only    *regexp.Regexp // names of works; nil is all
	quick   bool           // everything once and small
	logs    bool           // access logs as the servers write them by default
	binary  string         // of s3gate; "" builds it
	profile string         // a directory for CPU profiles; "" makes none
	json    string         // a file for the report; "" writes none
	doc     string         // a file for the page; "" writes none
	command string         // how it was started
	amounts
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{amounts: usual(), command: commandLine(args)}
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.rounds, "rounds", 5, "how often each server has its turn")
	only := f.String("only", "", "a regular `expression`: only works whose name it matches")
	f.BoolVar(&o.quick, "quick", false, "a smoke run: everything once and small; the numbers mean nothing")
	f.BoolVar(&o.logs, "logs", true, "let the servers write the access logs that they write by default")
	f.StringVar(&o.binary, "s3gate", "", "measure this `binary` and build none")
	f.StringVar(&o.profile, "profile", "", "save CPU profiles of s3gate in this `directory`, from a further turn that does not count")
	f.StringVar(&o.json, "json", "", "write the report to this `file`")
	f.StringVar(&o.doc, "doc", "", "write the page to this `file`")
	f.IntVar(&o.requests, "requests", o.requests, "4 KiB requests of one turn")
	f.IntVar(&o.mostTokens, "tokens", o.mostTokens, "the most tokens in Redis")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.quick {
		o.amounts, o.rounds = small(), 1
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%w: takes no arguments, got %q", errUsage, f.Arg(0))
	case o.rounds < 1:
		return nil, fmt.Errorf("%w: -rounds: at least 1, got %d", errUsage, o.rounds)
	case o.requests < 100:
		return nil, fmt.Errorf("%w: -requests: at least 100, got %d", errUsage, o.requests)
	case o.mostTokens < 1:
		return nil, fmt.Errorf("%w: -tokens: at least 1, got %d", errUsage, o.mostTokens)
	}
	if *only != "" {
		var err error
		if o.only, err = regexp.Compile(*only); err != nil {
			return nil, fmt.Errorf("%w: -only: %w", errUsage, err)
		}
	}
	return o, nil
}

// commandLine is how it was started, for others to read: of files elsewhere on this
// machine it has the names only.
func commandLine(args []string) string {
	text := "go run ./loadtest/peers"
	for _, arg := range args {
		flag, path, found := strings.Cut(arg, "=")
		switch {
		case filepath.IsAbs(arg):
			arg = filepath.Base(arg)
		case found && filepath.IsAbs(path):
			arg = flag + "=" + filepath.Base(path)
		}
		text += " " + arg
	}
	return text
}

// run does the works and writes what was found. Works that failed are in the report,
// and an error names them.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	here := machine() // before it is busy with this
	b, err := open(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	report := &Report{Began: time.Now().UTC().Truncate(time.Second), Command: o.command, Quick: o.quick, Logs: o.logs, Rounds: o.rounds}
	report.Machine, report.Versions = here, b.versions(ctx)
	for _, w := range works(b) {
		if o.only != nil && !o.only.MatchString(w.name) {
			continue
		}
		rows, err := b.do(ctx, w)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report.add(w, rows, err)
	}
	if len(report.Works) == 0 {
		return fmt.Errorf("%w: -only: no work has such a name", errUsage)
	}
	report.Took = time.Since(report.Began).Round(time.Second).String()
	return errors.Join(report.table(stdout), save(o.json, report.json), save(o.doc, report.page), report.failed())
}

// save writes a file; "" is none.
func save(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".peers-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
