package devs3

import (
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPayload(t *testing.T) {
	right := []check{{crc32.NewIEEE(), []byte{0x36, 0x10, 0xa6, 0x86}, errBadDigest}} // of "hello"
	for _, tt := range []struct {
		name string
		data io.Reader
		p    payload
		want error
	}{
		{"right", strings.NewReader("hello"), payload{left: 5, checks: right}, nil},
		{"of unknown length", strings.NewReader("hello"), payload{left: -1, checks: right}, nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("hello")), payload{left: 5, checks: right}, nil},
		{"the end along with the data", iotest.DataErrReader(strings.NewReader("hello")), payload{left: 5, checks: right}, nil},
		{"another digest", strings.NewReader("hellO"), payload{left: 5, checks: right}, errBadDigest},
		{"too short", strings.NewReader("hell"), payload{left: 5}, errIncompleteBody},
		{"broken off", io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(io.ErrUnexpectedEOF)), payload{left: 5}, errIncompleteBody},
		{"within bounds", strings.NewReader("hello"), payload{left: -1, bounds: &sizeRange{5, 5}}, nil},
		{"below bounds", strings.NewReader("hello"), payload{left: -1, bounds: &sizeRange{6, 9}}, errEntityTooSmall},
		{"above bounds", strings.NewReader("hello"), payload{left: -1, bounds: &sizeRange{0, 4}}, errEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range tt.p.checks {
				c.hash.Reset()
			}
			p := tt.p
			p.src = tt.data
			if err := p.end(); !errors.Is(err, errIncompleteBody) {
				t.Errorf("before reading: got %v, want %v", err, errIncompleteBody)
			}
			if _, err := io.Copy(io.Discard, &p); !errors.Is(err, tt.want) {
				t.Errorf("reading: got %v, want %v", err, tt.want)
			}
			if err := p.end(); !errors.Is(err, tt.want) {
				t.Errorf("afterwards: got %v, want %v", err, tt.want)
			}
			if _, err := p.Read(make([]byte, 1)); tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("reading again: got %v, want %v", err, tt.want)
			}
		})
	}
}
