// Command s3gate is a reverse proxy in front of Amazon S3 that hands out
// short, revocable links instead of presigned URLs.
//
// Run "s3gate dev" to see it work, and "s3gate help" for the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes, which scripts rely on.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked could not be done
	exitUsage  = 2 // the command line or the settings are wrong
	exitNo     = 3 // the answer is no: a bucket is not locked, a gate not healthy
)

var (
	// errNo ends a command whose answer is no.
	errNo = errors.New("no")
	// errSaid ends a command that has failed and has said why.
	errSaid = errors.New("failed")
)

// usageError is a command line that cannot be carried out.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run carries out one command line and returns the exit code. An interrupt or
// SIGTERM ends it in order; a second one at once.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second one has its default effect
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitNo
	case errors.Is(err, errSaid):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "s3gate:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "s3gate:", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "s3gate",
		Short: "Short, revocable links in front of S3",
		Long: `s3gate hands out short links to objects in S3. A link can be limited to a number
of uses, revoked at once, and outlives the credentials behind it; a presigned
URL that leaks opens nothing, because the bucket refuses them all.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          onlyGroups,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().Bool("json", false, "print JSON, one object per line")
	root.PersistentFlags().BoolP("quiet", "q", false, "say nothing but results and errors")
	root.CompletionOptions.DisableDefaultCmd = true // ours says what is wrong with its arguments
	root.AddCommand(newDev(), newServe(), newToken(), newRevoke(), newRevocations(), newTransfers(), newEvents(), newGates(), newGet(), newPut(),
		newPresign(), newBucket(), newLeaks(), newLeakwatch(), newLoadtest(), newAuth(), newConfig(), newHealth(), newCompletion(), newVersion())
	root.SetHelpCommand(newHelp())
	completeSensibly(root)
	return root
}

// exactly is cobra.ExactArgs with the usage in the error.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: onlyGroups}
	g.AddCommand(commands...)
	return g
}

// newHelp is cobra's help, with an exit code for what is not there.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no command %q", cmd.Root().Name()+" "+strings.Join(args, " "))
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

// onlyGroups is what a command does that only holds others: it explains
// itself, and that is an error since nothing was asked for.
func onlyGroups(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("there is no command %q; see %s --help", cmd.CommandPath()+" "+args[0], cmd.CommandPath())
	}
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return err
	}
	return usagef("say what to do")
}

// version is set by the linker for releases.
var version string

func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}
