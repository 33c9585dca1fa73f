package s3gatetest

import (
	"testing"
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

// Await polls ready until it returns nil. It fails the test if the program ends
// instead, or takes too long.
func (p *Program) Await(ready func() error) {
	p.t.Helper()
	if !p.proc.waitUntil(p.t, ready) {
		p.t.Fatalf("%s ended:\n%s", p.proc.name, p.proc.output)
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
