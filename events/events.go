// Package events tells what has happened, once, to whoever should know.
//
// An [Event] is a fact that is over: a use of a link has ended. It holds no
// secret, and nothing that its maker does not want to have kept. Sinks get
// events in the order in which they are emitted.
package events

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Type says what kind of event it is.
type Type string

// What happens.
const (
	// UseEnded: a use of a link has ended. Its data is the receipt.
	UseEnded Type = "use.ended"
	// Revoked and Lifted: somebody made a revocation rule, or ended one. The
	// data is the rule, and what the gate could show for it.
	Revoked Type = "revocation.made"
	Lifted  Type = "revocation.lifted"
	// Changed: somebody changed what a token permits. The data is the change, in
	// the form of a rule, and what the gate could show for it.
	Changed Type = "token.changed"
	// Cut: somebody ended a transfer, without its link.
	Cut Type = "transfer.cut"
)

// Event is something that has happened.
type Event struct {
	// ID is different for each event, and sorts by time.
	ID string `json:"id"`
	// Type says what Data is.
	Type Type `json:"type"`
	// Time is when the gate learnt of it, by its clock.
	Time time.Time `json:"time"`
	// Gate names the gate that tells it.
	Gate string `json:"gate"`
	// Data is a struct that encoding/json can write.
	Data any `json:"data"`
}

// New returns an event of now.
func New(t Type, gate string, data any) Event {
	return Event{ID: "evt_" + ulid.Make().String(), Type: t, Time: time.Now().UTC().Truncate(time.Millisecond), Gate: gate, Data: data}
}

// Log is the audit log: a line of JSON for each event. It is safe for
// concurrent use. A nil Log takes nothing.
type Log struct {
	logger *slog.Logger

	mu   sync.Mutex
	file io.WriteCloser
}

// Open returns a log in a file, to which it appends and which only its owner
// can read; "-" is stdout. With "" events go to the logger. What cannot be
// written also goes to the logger, as an error.
func Open(file string, logger *slog.Logger) (*Log, error) {
	l := &Log{logger: logger}
	switch file {
	case "":
	case "-":
		l.file = keepOpen{os.Stdout}
	default:
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the audit log: %w", err)
		}
		l.file = f
	}
	return l, nil
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// Emit writes an event. It returns when the kernel has it.
func (l *Log) Emit(e Event) {
	if l == nil {
		return
	}
	if l.file == nil {
		l.logger.Info("event", "event", e)
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		l.mu.Lock()
		_, err = l.file.Write(append(line, '\n'))
		l.mu.Unlock()
	}
	if err != nil {
		l.logger.Error("writing to the audit log", "err", err, "event", e)
	}
}

// Close closes the file.
func (l *Log) Close() error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.file.Close()
}
