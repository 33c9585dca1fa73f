//go:build !windows

package main

import (
	"os"
	"syscall"
)

// reloadSignals are those at which the settings are read again.
func reloadSignals() []os.Signal { return []os.Signal{syscall.SIGHUP} }
