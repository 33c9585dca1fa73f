package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that was started here.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  string        // the file that has what it printed
}

// anyCore lets a program run where the kernel likes.
const anyCore = -1

// launch starts a program on one core; where there is only one, on that. What it
// prints goes to a file.
func (b *bench) launch(name string, core int, env []string, args ...string) (*process, error) {
	if b.cores > 1 {
		cores := strconv.Itoa(core)
		if core == anyCore { // this process has one only, which it would inherit
			cores = fmt.Sprintf("0-%d", b.cores-1)
		}
		args = append([]string{"taskset", "-c", cores}, args...)
	}
	b.started++
	p := &process{name: name, done: make(chan struct{}), log: filepath.Join(b.dir, fmt.Sprintf("%d-%s.log", b.started, name))}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = b.dir, out, out
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "TMPDIR=" + b.dir}, env...)
	ours(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	b.processes = append(b.processes, p)
	return p, nil
}

// pids are the process and its workers.
func (p *process) pids() []int { return childrenOf(p.cmd.Process.Pid) }

// await waits until ready says yes. Where the program ends before, the error has the
// end of what it printed.
func (p *process) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for !ready() {
		select {
		case <-p.done:
			return fmt.Errorf("%s does not start: %s", p.name, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// lastWords are the last lines that it printed.
func (p *process) lastWords() string {
	raw, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// stop ends the process and its workers, by force if it takes longer than a few
// seconds. It may be called again.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	all := p.pids()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		for _, pid := range all {
			if child, err := os.FindProcess(pid); err == nil {
				child.Kill()
			}
		}
		<-p.done
	}
}

// answers says whether somebody listens.
func answers(addr string) func() bool {
	return func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
}

// freeAddr returns a loopback address that nobody listens on now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// onFreePort starts a program that has to be told its port. Another process can take
// the port in between, so it is tried again with others.
func (b *bench) onFreePort(ctx context.Context, start func(addr string) (*process, error)) (p *process, addr string, err error) {
	for range 3 {
		if addr, err = freeAddr(); err != nil {
			return nil, "", err
		}
		if p, err = start(addr); err != nil {
			return nil, "", err
		}
		if err = p.await(ctx, answers(addr)); err == nil {
			return p, addr, nil
		}
		p.stop()
		if ctx.Err() != nil {
			break
		}
	}
	return nil, "", err
}

// program finds one that may be where only root looks.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", fmt.Errorf("%s is missing: \"make programs\" installs what is needed: %w", name, errors.Unwrap(err))
	}
	return path, nil
}
