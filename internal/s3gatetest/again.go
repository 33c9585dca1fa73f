package s3gatetest

import (
	"os"
	"testing"
)

// Child is the test binary running once more, in a process of its own. Its
// methods are for the goroutine of the test.
type Child struct {
	t    testing.TB
	proc *process
}

// Again starts the test binary once more. The environment, "NAME=value" each,
// tells its TestMain that it has something else to do than to test. The test's
// end kills it.
func Again(t testing.TB, env ...string) *Child {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Child{t, launch(t, env, path)}
}

// PID is the number of the process.
func (c *Child) PID() int { return c.proc.cmd.Process.Pid }

// Await polls until ready returns nil.
func (c *Child) Await(ready func() error) {
	c.t.Helper()
	if !c.proc.waitUntil(c.t, ready) {
		c.t.Fatalf("the child ended:\n%s", c.proc.output)
	}
}

// Pause freezes the process, as SIGSTOP does.
func (c *Child) Pause() {
	c.t.Helper()
	if err := suspend(c.proc.cmd.Process); err != nil {
		c.t.Fatalf("pausing the child: %v", err)
	}
}

// Resume ends a Pause.
func (c *Child) Resume() {
	c.t.Helper()
	if err := resume(c.proc.cmd.Process); err != nil {
		c.t.Fatalf("resuming the child: %v", err)
	}
}

// Kill ends the process at once, as SIGKILL does.
func (c *Child) Kill() { c.proc.kill() }

// Stop asks the process to end, and fails the test if it does not end well.
func (c *Child) Stop() {
	c.t.Helper()
	c.proc.stop()
	if state := c.proc.cmd.ProcessState; !state.Success() {
		c.t.Errorf("the child ended with %v:\n%s", state, c.proc.output)
	}
}
