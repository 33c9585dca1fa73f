// Package splice carries bytes from one socket to another within the kernel, where
// that can be done (splice(2), Linux): they never come into the memory of this
// process.
//
// The two halves are apart, so that whoever carries them can decide in between
// whether they may go on: [Pipe.Fill] waits for the one who sends, [Pipe.Drain] for
// the one who takes.
package splice

import (
	"errors"
	"io"
	"syscall"
)

// Source is a body whose next bytes may come straight from a socket.
type Source interface {
	// Socket is where they come from and how many there are, at least one; nil
	// when the next bytes have to be read in the ordinary way, or there are none.
	Socket() (socket syscall.RawConn, left int64)
	// Took says that n bytes were taken from it, and with which error; it returns
	// what Read would have: io.EOF with the last ones.
	Took(n int, err error) error
}

// ErrUnsupported: this system cannot, or has no pipes left. Nothing is lost then.
var ErrUnsupported = errors.New("splice: not supported")

// Least is the size in bytes from which it pays: a pipe costs some calls itself.
const Least = 64 << 10

// Most is how many bytes a pipe holds at least: what Linux gives it by itself.
const Most = 64 << 10

// Pipe is a pipe in the kernel. It is not for concurrent use. Closing it loses what
// is in it.
type Pipe struct {
	read, write int // file descriptors
	held        int
}

// Fill takes what there is of at most so many bytes from a socket, and waits until
// there is something, as long as the socket's read deadline lets it. The pipe is
// empty before. At the end of what the other side sends the error is io.EOF; where
// the system does not let this process splice it is [ErrUnsupported].
func (p *Pipe) Fill(from syscall.RawConn, most int) (n int, err error) {
	waitErr := from.Read(func(fd uintptr) bool {
		n, err = move(int(fd), p.write, most)
		return err != syscall.EAGAIN
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EOPNOTSUPP):
		return 0, ErrUnsupported
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	p.held += n
	return n, nil
}

// Drain hands at most so many bytes to a socket. It waits until that takes some, as
// long as its write deadline lets it, and returns how many it took.
func (p *Pipe) Drain(to syscall.RawConn, most int) (n int, err error) {
	waitErr := to.Write(func(fd uintptr) bool {
		n, err = move(p.read, int(fd), min(most, p.held))
		return err != syscall.EAGAIN
	})
	if waitErr != nil {
		return 0, waitErr
	}
	if err != nil {
		return 0, err
	}
	p.held -= n
	return n, nil
}
