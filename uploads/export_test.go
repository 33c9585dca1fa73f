package uploads

import "time"

// Hasty sets how long a hold stands, how often it is kept, and how long Take waits.
func (o Options) Hasty(life, every, wait time.Duration) Options {
	o.holdLife, o.holdEvery, o.takeWait = life, every, wait
	return o
}

// Die leaves the upload as a gate does that is killed.
func (h *Held) Die() { h.stop() }

// EntryKey is where Redis keeps an upload.
var EntryKey = entryKey

// AgendaKey is where it keeps which uploads are to be looked at.
const AgendaKey = agendaKey
