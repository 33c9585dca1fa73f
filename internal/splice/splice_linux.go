package splice

import "syscall"

const (
	pipeSize = 1032 // F_GETPIPE_SZ, which package syscall lacks
	move_    = 1    // SPLICE_F_MOVE
	nonblock = 2    // SPLICE_F_NONBLOCK
)

// free are pipes that nobody uses, which are empty.
var free = make(chan *Pipe, 64)

// Open returns an empty pipe, or an error that wraps [ErrUnsupported].
func Open() (*Pipe, error) {
	select {
	case p := <-free:
		return p, nil
	default:
	}
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return nil, ErrUnsupported
	}
	p := &Pipe{read: fds[0], write: fds[1]}
	// A user without privileges who has many pipes (pipe(7), pipe-user-pages-soft) gets
	// such as hold next to nothing.
	if size, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fds[0]), pipeSize, 0); e != 0 || size < Most {
		p.discard()
		return nil, ErrUnsupported
	}
	return p, nil
}

// Close gives the pipe up. It may be called once.
func (p *Pipe) Close() {
	if p.held == 0 {
		select {
		case free <- p:
			return
		default:
		}
	}
	p.discard()
}

func (p *Pipe) discard() {
	syscall.Close(p.read)
	syscall.Close(p.write)
}

func move(from, to, most int) (int, error) {
	for {
		n, err := syscall.Splice(from, nil, to, nil, most, move_|nonblock)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}
