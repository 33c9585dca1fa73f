// Package ratelimit keeps one rate limiter for each of many callers, networks
// or tokens, in bounded memory.
package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxKeys bounds how many keys are remembered.
	maxKeys = 1 << 16
	// memory is how long a key is remembered at least, unless there are too many.
	memory = 10 * time.Minute
)

// Keyed has a limiter for each key that was seen lately. A key that is
// forgotten begins anew, with all that it may have at once. The zero Keyed is
// ready to use. It is safe for concurrent use.
type Keyed[K comparable] struct {
	mu            sync.Mutex
	recent, older map[K]*rate.Limiter
	rotated       time.Time
}

// Find returns the limiter of a key, and nil if there is none.
func (k *Keyed[K]) Find(key K) *rate.Limiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find(key)
}

// Get returns the limiter of a key, which fresh makes if there is none.
func (k *Keyed[K]) Get(key K, fresh func() *rate.Limiter) *rate.Limiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.find(key)
	if l == nil {
		l = fresh()
		k.keep(key, l)
	}
	return l
}

// find keeps what it finds from being forgotten.
func (k *Keyed[K]) find(key K) *rate.Limiter {
	if l := k.recent[key]; l != nil {
		return l
	}
	l := k.older[key]
	if l != nil {
		k.keep(key, l)
	}
	return l
}

// keep remembers a limiter, and forgets those of keys that were not seen for a
// while, or the older half when there are too many.
func (k *Keyed[K]) keep(key K, l *rate.Limiter) {
	if now := time.Now(); k.recent == nil || len(k.recent) >= maxKeys/2 || now.Sub(k.rotated) >= memory {
		k.older, k.recent, k.rotated = k.recent, map[K]*rate.Limiter{}, now
	}
	k.recent[key] = l
}
