package consistency_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// trouble is something that happens to a world, and is over when it returns.
type trouble struct {
	name string
	do   func(w *world, g *gate, rng *rand.Rand)
}

// troubles are what happens between gates and Redis, and to each of them.
var troubles = []trouble{
	{"slow network", func(w *world, g *gate, rng *rand.Rand) {
		direction := []string{"upstream", "downstream"}[rng.IntN(2)]
		defer g.toxic("latency", direction, map[string]any{"latency": 10 + rng.IntN(150), "jitter": rng.IntN(100)})()
		wait(rng, 200, 1000)
	}},
	{"no network", func(w *world, g *gate, rng *rand.Rand) {
		g.network.Stop()
		defer g.connect()
		wait(rng, 100, 1500)
	}},
	{"no network, answers lost before", func(w *world, g *gate, rng *rand.Rand) {
		remove := g.toxic("limit_data", "downstream", map[string]any{"bytes": rng.IntN(600)})
		wait(rng, 50, 300)
		g.network.Stop()
		remove()
		defer g.connect()
		wait(rng, 100, 1000)
	}},
	{"answers lost", func(w *world, g *gate, rng *rand.Rand) {
		defer g.toxic("limit_data", "downstream", map[string]any{"bytes": rng.IntN(600)})()
		wait(rng, 200, 800)
	}},
	{"connections reset", func(w *world, g *gate, rng *rand.Rand) {
		defer g.toxic("reset_peer", "downstream", map[string]any{"timeout": rng.IntN(30)})()
		wait(rng, 100, 600)
	}},
	{"commands held back", func(w *world, g *gate, rng *rand.Rand) {
		// Longer than the gate waits: it has given up when they arrive.
		defer g.toxic("latency", "upstream", map[string]any{"latency": 400 + rng.IntN(400)})()
		wait(rng, 500, 1500)
	}},
	{"silence", func(w *world, g *gate, rng *rand.Rand) {
		direction := []string{"upstream", "downstream"}[rng.IntN(2)]
		defer g.toxic("timeout", direction, map[string]any{"timeout": 0})()
		wait(rng, 300, 1500)
	}},
	{"gate killed", func(w *world, g *gate, rng *rand.Rand) {
		g.prog.Kill()
		wait(rng, 0, 700)
		g.start()
	}},
	{"gate frozen", func(w *world, g *gate, rng *rand.Rand) {
		g.prog.Pause()
		defer g.prog.Resume()
		wait(rng, 300, 1500)
	}},
	{"gate frozen for longer than it may hold a use", func(w *world, g *gate, rng *rand.Rand) {
		g.prog.Pause()
		defer g.prog.Resume()
		time.Sleep(lapse + 500*time.Millisecond)
	}},
	{"Redis frozen", func(w *world, g *gate, rng *rand.Rand) {
		w.redis.Pause()
		defer w.redis.Resume()
		wait(rng, 500, 2000)
	}},
	{"Redis crashed", func(w *world, g *gate, rng *rand.Rand) {
		w.redis.Kill()
		wait(rng, 0, 300)
		w.redis.Restart()
	}},
	{"scripts flushed", func(w *world, g *gate, rng *rand.Rand) {
		for range 5 {
			w.command("SCRIPT FLUSH")
			wait(rng, 0, 50)
		}
	}},
}

// wait waits for some milliseconds.
func wait(rng *rand.Rand, least, most int) {
	time.Sleep(time.Duration(least+rng.IntN(most-least+1)) * time.Millisecond)
}

// toxic puts something into the network between a gate and Redis, and returns
// what takes it away.
func (g *gate) toxic(kind, direction string, attributes map[string]any) (remove func()) {
	g.w.t.Helper()
	text, err := json.Marshal(map[string]any{"name": kind, "type": kind, "stream": direction, "attributes": attributes})
	if err == nil {
		_, err = g.network.Toxics.AddToxicJson(strings.NewReader(string(text)))
	}
	if err != nil {
		g.w.t.Fatalf("%s: %v", kind, err)
	}
	return func() {
		if err := g.network.Toxics.RemoveToxic(context.Background(), kind); err != nil {
			g.w.t.Fatalf("%s: %v", kind, err)
		}
	}
}

// connect ends a Stop of the network.
func (g *gate) connect() {
	if err := g.network.Start(); err != nil {
		g.w.t.Fatal(err)
	}
}

// command sends a command to Redis, whatever becomes of it.
func (w *world) command(text string) {
	conn, err := net.DialTimeout("tcp", w.redis.Addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\n", text)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = conn.Read(make([]byte, 64))
}

// incident is a trouble that was.
type incident struct {
	name       string
	begin, end moment
}

// plague brings trouble until done is closed.
func (w *world) plague(rng *rand.Rand, done <-chan struct{}) (all []incident) {
	for {
		select {
		case <-done:
			return all
		case <-time.After(time.Duration(50+rng.IntN(400)) * time.Millisecond):
		}
		trouble, n := troubles[rng.IntN(len(troubles))], rng.IntN(len(w.gates))
		g, other := w.gates[n], w.gates[(n+1)%len(w.gates)]
		i := incident{name: g.name + ", " + trouble.name, begin: time.Since(w.begin)}
		if rng.IntN(4) == 0 {
			i.name += ", while there is no network for " + other.name
			other.network.Stop()
			trouble.do(w, g, rng)
			other.connect()
		} else {
			trouble.do(w, g, rng)
		}
		i.end = time.Since(w.begin)
		all = append(all, i)
	}
}
