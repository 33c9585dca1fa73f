package loadtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// Whatever range is read, it is what the comparer wants there, and nowhere else.
func TestContent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{1, 100, tileSize - 1, tileSize, tileSize + 1, 3*tileSize + 17} {
		c := newContent(7, size)
		whole, err := io.ReadAll(c.reader(0, size))
		if err != nil || int64(len(whole)) != size {
			t.Fatalf("%d bytes of %d: %v", len(whole), size, err)
		}
		for range 20 {
			from := random.Int64N(size)
			to := from + 1 + random.Int64N(size-from)
			part, _ := io.ReadAll(iotest.HalfReader(c.reader(from, to)))
			if !bytes.Equal(part, whole[from:to]) {
				t.Fatalf("size %d: the bytes from %d to %d differ", size, from, to)
			}
			check := &comparer{c, from, to}
			if _, err := io.Copy(check, iotest.OneByteReader(bytes.NewReader(part[:min(100, len(part))]))); err != nil {
				t.Fatal(err)
			}
			if _, err := check.Write(part[min(100, len(part)):]); err != nil || check.whole() != nil {
				t.Fatalf("size %d, %d to %d: %v, %v", size, from, to, err, check.whole())
			}
		}
	}
}

func TestComparerFindsWhatIsWrong(t *testing.T) {
	const size = 2*tileSize + 5
	c := newContent(7, size)
	whole, _ := io.ReadAll(c.reader(0, size))
	for _, test := range []struct {
		name   string
		change func([]byte) []byte
	}{
		{"a bit", func(b []byte) []byte { b[tileSize+3] ^= 1; return b }},
		{"a byte too many", func(b []byte) []byte { return append(b, b[size%tileSize]) }},
		{"a byte too few", func(b []byte) []byte { return b[:size-1] }},
		{"a block out of place", func(b []byte) []byte { copy(b[64<<10:], b[:64<<10]); return b }},
	} {
		check := &comparer{c, 0, size}
		_, err := check.Write(test.change(bytes.Clone(whole)))
		if err == nil {
			err = check.whole()
		}
		if !errors.Is(err, errBytes) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestContentSeeks(t *testing.T) {
	r := newContent(3, 5000).reader(100, 4000)
	if err := iotest.TestReader(r, func() []byte { b, _ := io.ReadAll(newContent(3, 5000).reader(100, 4000)); return b }()); err != nil {
		t.Error(err)
	}
}
