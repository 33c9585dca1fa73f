package script

import (
	"strconv"
	"time"
)

// Reply is a script's answer. Its readers give zero values for what is absent.
type Reply []any

// Text reads an element that is a text or a number.
func (r Reply) Text(i int) string {
	if i >= len(r) {
		return ""
	}
	switch v := r[i].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

// Number reads an element that is a number, or the text of one.
func (r Reply) Number(i int) int64 {
	n, _ := strconv.ParseInt(r.Text(i), 10, 64)
	return n
}

// Time reads milliseconds since 1970; empty means the zero time.
func (r Reply) Time(i int) time.Time {
	if r.Text(i) == "" {
		return time.Time{}
	}
	return time.UnixMilli(r.Number(i)).UTC()
}

// List reads an element that is a list.
func (r Reply) List(i int) []Reply {
	if i >= len(r) {
		return nil
	}
	elements, _ := r[i].([]any)
	out := make([]Reply, 0, len(elements))
	for _, e := range elements {
		switch e := e.(type) {
		case []any:
			out = append(out, e)
		default:
			out = append(out, Reply{e})
		}
	}
	return out
}

// Pairs reads names and values from i on.
func (r Reply) Pairs(i int) map[string]string {
	m := map[string]string{}
	for ; i+1 < len(r); i += 2 {
		m[r.Text(i)] = r.Text(i + 1)
	}
	return m
}
