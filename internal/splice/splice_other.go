//go:build !linux

package splice

// Open returns [ErrUnsupported].
func Open() (*Pipe, error) { return nil, ErrUnsupported }

// Close does nothing.
func (p *Pipe) Close() {}

func move(int, int, int) (int, error) { return 0, ErrUnsupported }
