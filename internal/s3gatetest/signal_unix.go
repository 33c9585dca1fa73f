//go:build unix

package s3gatetest

import (
	"os"
	"syscall"
)

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
func suspend(p *os.Process) error   { return p.Signal(syscall.SIGSTOP) }
func hangup(p *os.Process) error    { return p.Signal(syscall.SIGHUP) }
func resume(p *os.Process) error    { return p.Signal(syscall.SIGCONT) }
