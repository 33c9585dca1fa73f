package devs3

import (
	"bytes"
	"errors"
	"hash"
	"io"
)

// payload is the plain data of a request's body. Reading it ends in io.EOF only
// if all of it came and it has every digest that was declared; the first error
// stays.
type payload struct {
	src    io.Reader
	left   int64 // bytes to come; -1 when nobody said
	got    int64
	bounds *sizeRange // of all that comes; nil when only left bounds it
	checks []check
	chunks *chunked // src, if that has an end of its own to be read
	done   bool
	err    error
}

// sizeRange bounds a size in bytes, inclusively.
type sizeRange struct{ min, max int64 }

// check is a digest that the data must have.
type check struct {
	hash hash.Hash
	want []byte
	fail error
}

// Read implements io.Reader. The digests are compared along with the last byte:
// gofakes3 asks for no more once it has the declared length.
func (p *payload) Read(b []byte) (int, error) {
	if p.done {
		return 0, p.outcome()
	}
	n, err := p.src.Read(b)
	p.got += int64(n)
	for _, c := range p.checks {
		c.hash.Write(b[:n])
	}
	if p.left >= 0 {
		p.left -= int64(n)
	}
	switch {
	case p.bounds != nil && p.got > p.bounds.max:
		p.finish(errEntityTooLarge)
	case err == io.EOF || p.left == 0:
		p.finish(p.verify())
	case err != nil:
		p.finish(shortBody(err))
	}
	if p.done && p.err != nil {
		return n, p.err
	}
	return n, nil
}

// end returns nil if the payload was read to its good end.
func (p *payload) end() error {
	if !p.done {
		return errIncompleteBody
	}
	return p.err
}

func (p *payload) finish(err error) { p.done, p.err = true, err }

func (p *payload) outcome() error {
	if p.err != nil {
		return p.err
	}
	return io.EOF
}

// verify judges the data once all of it is there.
func (p *payload) verify() error {
	switch {
	case p.left > 0:
		return errIncompleteBody
	case p.bounds != nil && p.got < p.bounds.min:
		return errEntityTooSmall
	}
	if p.chunks != nil {
		if err := p.chunks.finish(); err != nil {
			return shortBody(err)
		}
	}
	for _, c := range p.checks {
		if c.want != nil && !bytes.Equal(c.hash.Sum(nil), c.want) {
			return c.fail
		}
	}
	return nil
}

// shortBody explains a body that ended or broke off too early.
func shortBody(err error) error {
	var known *apiError
	if errors.As(err, &known) {
		return err
	}
	return errIncompleteBody
}
