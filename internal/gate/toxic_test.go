package gate_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"s3gate/client"
	"s3gate/internal/config"
)

// toxicNet is what lies between a client and a server, and can be in trouble.
type toxicNet struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// newToxicNet leads to a server, whose URL it takes.
func newToxicNet(t *testing.T, upstream string) *toxicNet {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &toxicNet{t, toxiproxy.NewProxy(server, "network", "127.0.0.1:0", strings.TrimPrefix(upstream, "http://"))}
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	return n
}

func (n *toxicNet) url() string { return "http://" + n.proxy.Listen }

// toxic puts something into the network, and returns what takes it away.
func (n *toxicNet) toxic(kind, direction, attributes string) (remove func()) {
	name := kind + " " + direction
	text, err := json.Marshal(map[string]any{"name": name, "type": kind, "stream": direction, "attributes": json.RawMessage(attributes)})
	if err == nil {
		_, err = n.proxy.Toxics.AddToxicJson(strings.NewReader(string(text)))
	}
	if err != nil {
		n.t.Errorf("%s: %v", name, err)
		return func() {}
	}
	return func() {
		if err := n.proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
			n.t.Errorf("%s: %v", name, err)
		}
	}
}

// toxics is trouble made of what toxiproxy has.
func toxics(kind, attributes string, directions ...string) func(*toxicNet) func() {
	return func(n *toxicNet) func() {
		var ends []func()
		for _, d := range directions {
			ends = append(ends, n.toxic(kind, d, attributes))
		}
		return func() {
			for _, end := range ends {
				end()
			}
		}
	}
}

// troubles are what may happen to a network; begin returns what ends it.
var troubles = []struct {
	name  string
	begin func(n *toxicNet) (end func())
	harm  bool // what was on its way is lost
}{
	{"cut", func(n *toxicNet) func() {
		n.proxy.Stop()
		return func() {
			if err := n.proxy.Start(); err != nil {
				n.t.Error(err)
			}
		}
	}, true},
	{"reset", toxics("reset_peer", `{"timeout": 0}`, "upstream"), true},
	{"reset with the answer", toxics("reset_peer", `{"timeout": 0}`, "downstream"), true},
	{"silent and then closed", toxics("timeout", `{"timeout": 200}`, "upstream", "downstream"), true},
	{"cut after some bytes", toxics("limit_data", `{"bytes": 100000}`, "upstream"), true},
	{"slow to close", toxics("slow_close", `{"delay": 200}`, "upstream", "downstream"), false},
	{"narrow", toxics("bandwidth", `{"rate": 20000}`, "upstream"), false},
	{"far", toxics("latency", `{"latency": 50, "jitter": 20}`, "upstream", "downstream"), false},
}

// inTheMiddle is a body of n bytes, in the middle of which the network comes
// into trouble for a while.
type inTheMiddle struct {
	io.Reader
	ended chan struct{} // closed when the trouble is over
	all   atomic.Bool   // it was read to its end
}

// inTheMiddle is the body of a trial. If it goes in parts, these were begun when
// the trouble comes.
func (t *trial) inTheMiddle(n *toxicNet, begin func(*toxicNet) func(), parts bool) *inTheMiddle {
	b := &inTheMiddle{ended: make(chan struct{})}
	src := stream(t.size)
	b.Reader = io.MultiReader(io.LimitReader(src, t.size/2), step(func() {
		for range 500 {
			if !parts || slices.Contains(t.w.uploads(), t.key) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond) // the gate knows it too, or it would begin another one
		end := begin(n)
		go func() {
			defer close(b.ended)
			time.Sleep(300 * time.Millisecond)
			end()
		}()
	}), src, step(func() { b.all.Store(true) }))
	return b
}

// step is a reader of nothing that does something when it is its turn.
type step func()

func (f step) Read([]byte) (int, error) { f(); return 0, io.EOF }

// trial is one upload on which trouble comes.
type trial struct {
	w    *world
	g    *testGate
	link *client.Token
	key  string
	size int64
	sum  [sha256.Size]byte
}

func newTrial(w *world, g *testGate, key string, size int64) *trial {
	sum := sha256.New()
	io.Copy(sum, stream(size))
	return &trial{w, g, g.mint("put", key, nil), key, size, [sha256.Size]byte(sum.Sum(nil))}
}

// put uploads by way of a URL that leads to the gate, and returns the status,
// 0 if there was no answer.
func (t *trial) put(url string, body io.Reader, known bool) int {
	r, err := http.NewRequestWithContext(t.w.t.Context(), "PUT", url+"/"+t.link.Token, body)
	if err != nil {
		t.w.t.Fatal(err)
	}
	if r.ContentLength = -1; known {
		r.ContentLength = t.size
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// judge checks what became of it: 200 and the object is there, once; or 504,
// which may only be if all was sent, and the use stays taken; or else nothing
// is there, nothing is left, and the link is good as before.
func (t *trial) judge(status int, all bool) {
	t.w.t.Helper()
	uses, inUse := int64(0), int64(0)
	switch status {
	case 200:
		uses = 1
	case 504:
		inUse = 1
		if !all {
			t.w.t.Error("504, and the last byte was not sent")
		}
	}
	eventually(t.w.t, fmt.Sprintf("%d uses and %d held after %d", uses, inUse, status), func() bool {
		s, err := t.g.api.Show(t.w.t.Context(), t.link.ID)
		return err == nil && s.Uses == uses && s.InUse == inUse
	})
	if status == 504 {
		return
	}
	if slices.Contains(t.w.uploads(), t.key) {
		t.w.t.Errorf("after %d its parts are left", status)
	}
	if status == 200 {
		if n, sum := t.w.storedSum(t.key); n != t.size || sum != t.sum {
			t.w.t.Errorf("200, and %d bytes are stored of %d, of another hash: %v", n, t.size, sum != t.sum)
		}
		return
	}
	if data := t.w.stored(t.key); data != nil {
		t.w.t.Errorf("after %d there are %d bytes", status, len(data))
	}
	if again := t.put(t.g.LinksURL(), stream(t.size), true); again != 200 {
		t.w.t.Errorf("the link answers %d after %d", again, status)
	}
}

// settled is the status of an upload that has no answer, when it has come to
// its end: 200 if it is stored, and else 0.
func (t *trial) settled() (status int) {
	t.w.t.Helper()
	eventually(t.w.t, "the use is not held", func() bool {
		s, err := t.g.api.Show(t.w.t.Context(), t.link.ID)
		if err == nil && s.Uses == 1 {
			status = 200
		}
		return err == nil && s.InUse == 0
	})
	return status
}

// manners are how an upload goes to S3.
var manners = []struct {
	name      string
	singleMax int64
	known     bool
}{
	{"one request", 5 << 30, true},
	{"in parts", 5 << 20, true},
	{"in parts, of unknown length", 5 << 20, false},
}

func inManner(singleMax int64) func(*config.Config) {
	return func(c *config.Config) {
		c.Upload.SingleMax, c.Upload.PartSize, c.Upload.Memory = singleMax, 5<<20, 20<<20
		c.Upload.IdleTimeout = 5 * time.Second
		c.Revocation.Lease = 5 * time.Second // many of these tests run at a time
		c.Upload.Tries, c.Upload.Backoff = 5, 100*time.Millisecond
	}
}

// Trouble between the gate and S3 in the middle of an upload leaves the whole
// object, or nothing. Parts are sent again: for a while of it there is none.
func TestUploadWithTroubleBeforeS3(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, manner := range manners {
			for _, trouble := range troubles {
				w.t.Run(manner.name+", "+trouble.name, func(t *testing.T) {
					t.Parallel()
					n := newToxicNet(t, w.s3.URL)
					in := w.within(t)
					g := in.gate(func(c *config.Config) {
						inManner(manner.singleMax)(c)
						b := c.Buckets["docs"]
						b.Endpoint = n.url()
						c.Buckets["docs"] = b
					})
					trial := newTrial(in, g, "before s3/"+t.Name(), 14<<20)
					body := trial.inTheMiddle(n, trouble.begin, manner.singleMax < trial.size)
					status := trial.put(g.LinksURL(), body, manner.known)
					<-body.ended
					trial.judge(status, body.all.Load())
					if (!trouble.harm || manner.singleMax < trial.size) && status != 200 {
						t.Errorf("status %d", status)
					}
				})
			}
		}
	})
}

// Trouble between the client and the gate in the middle of an upload: what is
// lost is not stored, and leaves nothing.
func TestUploadWithTroubleBeforeTheGate(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, manner := range manners {
			g := w.gate(inManner(manner.singleMax))
			for _, trouble := range troubles {
				w.t.Run(manner.name+", "+trouble.name, func(t *testing.T) {
					t.Parallel()
					n := newToxicNet(t, g.LinksURL())
					trial := newTrial(w.within(t), g, "before the gate/"+t.Name(), 14<<20)
					body := trial.inTheMiddle(n, trouble.begin, manner.singleMax < trial.size)
					status := trial.put(n.url(), body, manner.known)
					<-body.ended
					if !trouble.harm && status != 200 {
						t.Errorf("status %d", status)
					}
					if status == 0 && body.all.Load() {
						status = trial.settled() // the answer may be all that was lost
					}
					trial.judge(status, body.all.Load())
				})
			}
		}
	})
}

// within is the world for a part of the test.
func (w *world) within(t *testing.T) *world {
	in := *w
	in.t = t
	return &in
}

// The last request of an upload, or the answer to it, is lost, once or always:
// stored once and 200; or 504 where nobody can know, also not the gate.
func TestUploadWhoseEndIsLost(t *testing.T) {
	const always = 1000
	for _, test := range []struct {
		name  string
		parts bool
		lose  func(r *s3Relay)
		want  int
		there bool // the object
	}{
		{"answer to PUT", false, func(r *s3Relay) { r.lose(put, always, true) }, 200, true},
		{"PUT", false, func(r *s3Relay) { r.lose(put, always, false) }, 504, false},
		{"answer to PUT, and S3 is away then", false, func(r *s3Relay) { r.lose(put, always, true); r.lose(head, always, false) }, 504, true},
		{"answer to Complete, once", true, func(r *s3Relay) { r.lose(complete, 1, true) }, 200, true},
		{"Complete, once", true, func(r *s3Relay) { r.lose(complete, 1, false) }, 200, true},
		{"answers to Complete", true, func(r *s3Relay) { r.lose(complete, always, true) }, 200, true},
		{"every Complete", true, func(r *s3Relay) { r.lose(complete, always, false) }, 504, false},
		{"look for the object", true, func(r *s3Relay) { r.lose(head, 1, false) }, 200, true},
		{"Create", true, func(r *s3Relay) { r.lose(createUpload, 1, false) }, 200, true},
		{"answer to a part", true, func(r *s3Relay) { r.lose("UploadPart 2", 1, true) }, 200, true},
		{"a part", true, func(r *s3Relay) { r.lose("UploadPart 2", 1, false) }, 200, true},
		{"a part again and again", true, func(r *s3Relay) { r.lose("UploadPart 2", always, false) }, 502, false},
		{"answers to a part", true, func(r *s3Relay) { r.lose("UploadPart 2", always, true) }, 502, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				relay := newS3Relay(w, w.t)
				g := w.gate(func(c *config.Config) {
					inManner(5 << 20)(c)
					c.Upload.Backoff = 20 * time.Millisecond
					b := c.Buckets["docs"]
					b.Endpoint, b.NoOverwrite = relay.URL, "trust" // what is lost is not to be the trial of the store
					c.Buckets["docs"] = b
				})
				trial := newTrial(w, g, "lost", 4<<20)
				if test.parts {
					trial = newTrial(w, g, "lost", 16<<20)
				}
				test.lose(relay)
				status := trial.put(g.LinksURL(), stream(trial.size), true)
				if status != test.want {
					w.t.Errorf("status %d, want %d", status, test.want)
				}
				relay.mu.Lock()
				relay.orders = nil
				relay.mu.Unlock()
				if there := w.stored("lost") != nil; there != test.there {
					w.t.Errorf("stored: %v, want %v", there, test.there)
				}
				trial.judge(status, true)
			})
		})
	}
}
