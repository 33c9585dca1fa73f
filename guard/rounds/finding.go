package rounds

import (
	"strings"
	"time"

	"s3gate/guard"
	"s3gate/s3client"
)

// State is what is known of a bucket.
type State string

// The states.
const (
	// Locked: every presigned request that was tried was refused.
	Locked State = "locked"
	// Limited is the most there is where the gate signs in the query string, see
	// [guard.Report].
	Limited State = "limited"
	// Unlocked: something got through that a locked bucket refuses.
	Unlocked State = "unlocked"
	// Unknown: the last round came to nothing. What was found before may hold, or
	// not.
	Unknown State = "unknown"
)

// Finding is what the last round has found of a bucket. Its JSON form is that
// in Redis and in the API.
type Finding struct {
	// Bucket is the alias.
	Bucket string `json:"bucket"`
	// Signing is the form in which the gate signs, and Watched whether the bucket
	// is verified at all.
	Signing s3client.Signing `json:"signing,omitempty"`
	Watched bool             `json:"watched"`
	// State is what is known now.
	State State `json:"state"`
	// TriedAt is when the last round was made, by the clock of Gate, which made
	// it, and VerifiedAt when one last came to a result; zero if none did.
	TriedAt    time.Time `json:"tried_at,omitzero"`
	VerifiedAt time.Time `json:"verified_at,omitzero"`
	Gate       string    `json:"gate,omitempty"`
	// Report is that result; nil if there is none.
	Report *guard.Report `json:"report,omitempty"`
	// Error is why the state is unknown; "" if it is not.
	Error string `json:"error,omitempty"`
}

// Safe reports whether the bucket is as locked as it can be, as far as the last
// round says that came to a result.
func (f *Finding) Safe() bool { return f.Report != nil && f.Report.OK() }

// take puts a round into the finding of those before.
func (f *Finding) take(report guard.Report, err error, at time.Time, gate string) {
	f.TriedAt, f.Gate, f.Error = at, gate, ""
	switch {
	case report.Open(): // also if a later request got no answer
		f.State = Unlocked
	case err != nil:
		f.State, f.Error = Unknown, err.Error()
		return
	case report.Locked:
		f.State = Locked
	case report.Limited:
		f.State = Limited
	default:
		f.State, f.Error = Unknown, failures(report)
		return
	}
	f.VerifiedAt, f.Report = at, &report
}

// failures says which checks say nothing.
func failures(r guard.Report) string {
	var list []string
	for _, c := range r.Failed() {
		text := c.Name + ": " + c.Got
		if c.Cause != "" {
			text += ": " + c.Cause
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}
