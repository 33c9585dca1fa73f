package leakwatch

import "time"

// Query selects findings. Zero fields select all.
type Query struct {
	// Since leaves out findings whose last request was before.
	Since time.Time
	// Bucket and Kind must be equal.
	Bucket string
	Kind   Kind
	// Limit is how many at most; 0 means 100.
	Limit int
}

func (q *Query) limit() int {
	if q.Limit <= 0 {
		return 100
	}
	return q.Limit
}

func (q *Query) selects(f *Finding) bool {
	return !f.Last.Before(q.Since) && (q.Bucket == "" || q.Bucket == f.Bucket) && (q.Kind == "" || q.Kind == f.Kind)
}
