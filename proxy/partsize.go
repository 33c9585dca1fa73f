package proxy

import (
	"cmp"

	"s3gate/s3client"
)

// partPlan says how large the parts of an upload are.
type partPlan struct {
	size  int64 // of the whole in bytes, less than 0 if that is unknown
	first int64 // the size of the first part
	most  int64 // the size of the largest part
}

// partStep is how many parts of an upload of unknown length have one size;
// those after them have twice that. A small upload then has small parts, and
// 10,000 parts are enough for 5 TiB if a part may have 1 GiB.
const partStep = 500

// planParts returns the plan for an upload of the size, with parts of base
// bytes or more, of most at most. Parts of a known length are equal but the
// last: some stores want that.
func planParts(size, base, most int64) partPlan {
	p := partPlan{size: size, first: base, most: most}
	if size >= 0 {
		// In whole MiB, if it cannot be base.
		each := (size + s3client.MaxParts - 1) / s3client.MaxParts
		if each > base {
			p.first = min((each+1<<20-1)>>20<<20, s3client.MaxPart)
		}
	}
	return p
}

// part is the size of a part, whose number is 1 to 10,000. The last part may
// be smaller.
func (p partPlan) part(number int) int64 {
	if p.size >= 0 {
		return p.first
	}
	size := p.first
	for range (number - 1) / partStep {
		if size >= p.most {
			break
		}
		size *= 2
	}
	return min(size, p.most)
}

// reach is the size in bytes of the largest upload that the plan is good for.
func (p partPlan) reach() int64 {
	if p.size >= 0 {
		return min(p.most*s3client.MaxParts, s3client.MaxObject)
	}
	var sum int64
	for number := 1; number <= s3client.MaxParts; number += partStep {
		sum += p.part(number) * min(partStep, int64(s3client.MaxParts-number+1))
	}
	return min(sum, s3client.MaxObject)
}

// plan returns the plan for an upload of the size in bytes, less than 0 if it
// is unknown: no part is larger than the memory for all of them.
func (m *Multipart) plan(size int64) partPlan {
	most := min(cmp.Or(m.Memory, defaultMemory), s3client.MaxPart)
	return planParts(size, min(cmp.Or(m.PartSize, defaultPart), most), most)
}
