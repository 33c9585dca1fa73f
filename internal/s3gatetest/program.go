package s3gatetest

import (
	"os"
	"testing"
	"time"
)

// Program is a program that a test has started, such as a gate. Its methods
// are for the goroutine of the test.
type Program struct {
	t    testing.TB
	proc *process
}

// Start starts a program with variables added to its environment. The test's
// end stops it.
func Start(t testing.TB, env []string, path string, args ...string) *Program {
	t.Helper()
	return &Program{t, launch(t, env, path, args...)}
}

// StartWith is Start for a program that gets open files, from descriptor 3 on.
func StartWith(t testing.TB, files []*os.File, env []string, path string, args ...string) *Program {
	t.Helper()
	return &Program{t, launchWith(t, files, env, path, args...)}
}

// Stop asks the program to end, as an operator would, and fails the test if it does not
// within a time or ends with an error.
func (p *Program) Stop(within time.Duration) {
	p.t.Helper()
	p.Terminate()
	p.Wait(within)
}

// Terminate asks the program to end, and does not wait until it has.
func (p *Program) Terminate() { terminate(p.proc.cmd.Process) }

// Hangup asks the program to read its settings again.
func (p *Program) Hangup() {
	p.t.Helper()
	if err := hangup(p.proc.cmd.Process); err != nil {
		p.t.Fatalf("SIGHUP to %s: %v", p.proc.name, err)
	}
}

// Wait waits until the program has ended, and fails the test if it does not within a
// time or ends with an error.
func (p *Program) Wait(within time.Duration) {
	p.t.Helper()
	select {
	case <-p.proc.done:
	case <-time.After(within):
		p.t.Fatalf("%s does not end within %s:\n%s", p.proc.name, within, p.proc.output)
	}
	if state := p.proc.cmd.ProcessState; !state.Success() {
		p.t.Errorf("%s ended with %v:\n%s", p.proc.name, state, p.proc.output)
	}
}

// Await polls ready until it returns nil. It fails the test if the program ends
// instead, or takes too long.
func (p *Program) Await(ready func() error) {
	p.t.Helper()
	if !p.proc.waitUntil(p.t, ready) {
		p.t.Fatalf("%s ended:\n%s", p.proc.name, p.proc.output)
	}
}

// Ended reports whether the program has ended, by whatever.
func (p *Program) Ended() bool {
	select {
	case <-p.proc.done:
		return true
	default:
		return false
	}
}

// PID is the number of the process.
func (p *Program) PID() int { return p.proc.cmd.Process.Pid }

// Kill ends the program at once, as a crash would.
func (p *Program) Kill() { p.proc.kill() }

// Pause freezes the program: its connections stay open and nothing answers.
func (p *Program) Pause() {
	p.t.Helper()
	if err := suspend(p.proc.cmd.Process); err != nil {
		p.t.Fatalf("pausing %s: %v", p.proc.name, err)
	}
}

// Resume ends a Pause.
func (p *Program) Resume() {
	p.t.Helper()
	if err := resume(p.proc.cmd.Process); err != nil {
		p.t.Fatalf("resuming %s: %v", p.proc.name, err)
	}
}

// Output is the last of what the program has printed.
func (p *Program) Output() string { return p.proc.output.String() }
