package accesslog

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// sum is the line that tells of refusals without one.
type sum struct {
	Time   time.Time        `json:"time"`
	Folded int64            `json:"folded"`
	By     map[string]int64 `json:"by_outcome"`
}

// batch is how many bytes of lines leave together at most, but for the last line.
const batch = 64 << 10

// run writes lines until the queue is closed.
func (l *Log) run() {
	defer close(l.done)
	defer l.writer.close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case line, open := <-l.queue:
			if !open {
				l.sum()
				l.flush()
				return
			}
			l.put(line)
			if len(l.queue) == 0 || len(l.writer.text) > batch {
				l.flush()
			}
		case <-tick.C:
			l.sum()
			l.flush()
		case asked := <-l.reopen:
			l.flush()
			l.writer.close()
			asked <- l.writer.open()
		}
	}
}

// sum tells how many refusals got no line since the last time.
func (l *Log) sum() {
	l.mu.Lock()
	folded := l.folded
	l.folded = map[string]int64{}
	l.mu.Unlock()
	s := sum{Time: time.Now().UTC(), By: folded}
	for _, n := range folded {
		s.Folded += n
	}
	if s.Folded > 0 {
		l.put(s)
	}
}

func (l *Log) put(line any) {
	raw, err := json.Marshal(line)
	if err != nil {
		panic(err) // texts and numbers
	}
	l.writer.text = append(append(l.writer.text, raw...), '\n')
	l.writer.lines++
}

// flush hands lines to the file. What cannot be written is dropped: it would only grow
// old in memory.
func (l *Log) flush() {
	lines, err := l.writer.flush()
	if err == nil {
		l.lines.Add(float64(lines))
		return
	}
	l.dropped.WithLabelValues(reasonWrite).Add(float64(lines))
	if time.Since(l.writer.said) > time.Minute {
		l.writer.said = time.Now()
		l.opts.Logger.Error("writing to the access log; its lines are lost until that works again", "err", err)
	}
}

// writer appends to a file. It is for one goroutine.
type writer struct {
	path  string   // "-" for stdout
	file  *os.File // nil before it is opened, and after an error
	text  []byte   // what is to be written
	lines int      // in it
	torn  bool     // half a line was written last
	said  time.Time
}

func (w *writer) open() error {
	if w.path == "-" {
		w.file = os.Stdout
		return nil
	}
	file, err := os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|nonblock, 0o600)
	if err != nil {
		return fmt.Errorf("opening the access log: %w", err)
	}
	w.file, w.torn = file, false
	return nil
}

// flush writes what is there. Afterwards nothing is, whatever the error; lines is how
// many there were.
func (w *writer) flush() (lines int, err error) {
	lines = w.lines
	if lines == 0 {
		return 0, nil
	}
	if w.file == nil {
		err = w.open()
	}
	if err == nil {
		if w.torn {
			w.text = append([]byte{'\n'}, w.text...)
		}
		var n int
		n, err = w.file.Write(w.text)
		w.torn = err != nil && (n > 0 || w.torn)
	}
	if cap(w.text) > 4*batch {
		w.text = nil
	}
	w.text, w.lines = w.text[:0], 0
	return lines, err
}

func (w *writer) close() {
	if w.file != nil && w.path != "-" {
		_ = w.file.Close()
	}
	w.file = nil
}
