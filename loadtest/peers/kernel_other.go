//go:build !linux

package main

import "os/exec"

// Elsewhere there is no /proc, and open says so before any of this is asked for.

func moreFiles(uint64) uint64 { return 0 }

func ours(*exec.Cmd) {}
