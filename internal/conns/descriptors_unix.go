//go:build unix

package conns

import "syscall"

// descriptors is how many files this process may have open. Go has raised that to
// what it may be raised to.
func descriptors() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return fewDescriptors
	}
	return int(min(uint64(l.Cur), manyDescriptors))
}
