package ratelimit_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"s3gate/internal/ratelimit"
)

// once takes what one limiter gives in a year.
func once() *rate.Limiter { return rate.NewLimiter(rate.Every(365*24*time.Hour), 1) }

func TestKeysAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k ratelimit.Keyed[string]
		if k.Find("a") != nil {
			t.Error("a limiter that nobody made")
		}
		if !k.Get("a", once).Allow() || !k.Get("b", once).Allow() {
			t.Error("a fresh limiter does not allow")
		}
		for i := range 5 {
			// Seen again and again, it is not forgotten.
			time.Sleep(9 * time.Minute)
			k.Get(fmt.Sprint(i), once)
			if l := k.Find("a"); l == nil || l.Allow() {
				t.Fatal("a was forgotten")
			}
		}
		if k.Find("b") != nil {
			t.Error("b is still remembered after 45 minutes")
		}
	})
}

// Those that are still seen are not forgotten first.
func TestMemoryIsBounded(t *testing.T) {
	var k ratelimit.Keyed[int]
	const busy, n = -1, 200_000
	k.Get(busy, once).Allow()
	for i := range n {
		k.Get(i, once)
		if i%1000 == 0 && k.Get(busy, once).Allow() {
			t.Fatalf("after %d keys a busy one was forgotten", i)
		}
	}
	kept := 0
	for i := range n {
		if k.Find(i) != nil {
			kept++
		}
	}
	if kept == 0 || kept > 1<<16 {
		t.Errorf("%d keys are remembered", kept)
	}
}
