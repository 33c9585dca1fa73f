package proxy_test

import (
	"testing"

	"pgregory.net/rapid"

	"s3gate/proxy"
	"s3gate/s3client"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// S3 takes 10,000 parts of 5 MiB to 5 GiB, and some stores want all but the
// last of one size.
func TestPartSizes(t *testing.T) {
	for _, test := range []struct {
		size, memory int64
		first        int64 // the size of the first part
		reach        int64 // the largest upload of unknown length
	}{
		{5*gib + 1, 256 * mib, 8 * mib, 0},
		{80_000 * mib, 256 * mib, 8 * mib, 0},
		{80_000*mib + 1, 256 * mib, 9 * mib, 0},
		{tib, 256 * mib, 105 * mib, 0},
		{5 * tib, 525 * mib, 525 * mib, 0},
		{5 * tib, 8 * gib, 525 * mib, 0},
		{-1, 8 * mib, 8 * mib, 80_000 * mib},
		{-1, 256 * mib, 8 * mib, (500*248 + 7_500*256) * mib},
		{-1, gib, 8 * mib, 5 * tib},
		{-1, 8 * gib, 8 * mib, 5 * tib},
	} {
		m := &proxy.Multipart{Memory: test.memory}
		part, reach := proxy.PartSizes(m, test.size)
		if part(1) != test.first || test.reach > 0 && reach != test.reach || test.size > reach {
			t.Errorf("%d bytes with a memory of %d: parts begin with %d and reach %d, want %d and %d",
				test.size, test.memory, part(1), reach, test.first, test.reach)
		}
	}
}

func TestPartSizesOfAnyUpload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(s3client.MinPart, 64*mib).Draw(t, "part size")
		m := &proxy.Multipart{PartSize: base, Memory: rapid.Int64Range(base, 16*gib).Draw(t, "memory")}
		size := rapid.Int64Range(1, 5*tib).Draw(t, "size")
		part, reach := proxy.PartSizes(m, size)
		if size <= reach {
			last := part(1)
			if parts := (size + last - 1) / last; parts > s3client.MaxParts || last < base || last > min(m.Memory, s3client.MaxPart) {
				t.Errorf("%d bytes: %d parts of %d", size, parts, last)
			}
			for _, number := range []int{2, 500, 501, 10_000} {
				if part(number) != last {
					t.Errorf("part %d has %d bytes, the first %d", number, part(number), last)
				}
			}
		} else if m.Memory*s3client.MaxParts >= size {
			t.Errorf("%d bytes do not fit, but would into %d parts", size, s3client.MaxParts)
		}
		part, reach = proxy.PartSizes(m, -1)
		var all, before int64
		for number := 1; number <= s3client.MaxParts; number++ {
			n := part(number)
			if n < base || n < before || n > 2*max(before, base) || n > min(m.Memory, s3client.MaxPart) {
				t.Fatalf("part %d has %d bytes, the one before %d", number, n, before)
			}
			before = n
			all += n
		}
		if min(all, s3client.MaxObject) != reach {
			t.Errorf("the parts have %d bytes, but the largest upload %d", all, reach)
		}
	})
}
