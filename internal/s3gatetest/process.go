package s3gatetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 5 * time.Second
)

// process is a child of the test binary.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *tail
	done   chan struct{} // closed when it has ended
}

// launch starts a program. It is killed when the test ends, if not before.
func launch(t testing.TB, env []string, path string, args ...string) *process {
	t.Helper()
	return launchWith(t, nil, env, path, args...)
}

// launchWith is launch for a program that gets open files, from descriptor 3 on.
func launchWith(t testing.TB, files []*os.File, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{name: path, cmd: exec.Command(path, args...), output: &tail{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.ExtraFiles = append(os.Environ(), env...), files
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		// The kernel takes the end of the thread that started a child for
		// the end of its parent, so this one stays as long as the child.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	t.Cleanup(p.kill)
	return p
}

// waitUntil polls ready until it returns nil. It reports false if the process
// ended instead, and fails the test if neither happens in time.
func (p *process) waitUntil(t testing.TB, ready func() error) bool {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for {
		err := ready()
		if err == nil {
			return true
		}
		select {
		case <-p.done:
			return false
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.output)
		}
	}
}

// stop asks the process to end, and makes it after a while.
func (p *process) stop() {
	terminate(p.cmd.Process)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill()
	}
}

// kill ends the process at once. It does nothing to one that has ended.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// freePort returns a port that was free a moment ago, for programs that have to
// be told one.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("finding a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// tail keeps the last of what a process has printed.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const keep = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-keep):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
