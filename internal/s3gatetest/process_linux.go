package s3gatetest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when the test binary is gone.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
