package gate_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/internal/config"
)

// midway is two gates in processes of their own, on one Redis, before which
// somebody decides what reaches S3: to kill one of them in the middle of an
// upload and see what the other one makes of it.
type midway struct {
	*world
	relay *s3Relay
	gates [2]*gateProcess
}

func newMidway(w *world) *midway {
	m := &midway{world: w, relay: newS3Relay(w, w.t)}
	upload := config.Default().Upload
	upload.PartSize, upload.Memory, upload.Concurrency = 5<<20, 32<<20, 1
	upload.SweepAfter = time.Second
	for i := range m.gates {
		m.gates[i] = w.processWith(w.t, orders{S3: m.relay.Endpoint, Redis: w.redis, Upload: &upload})
	}
	return m
}

// mint makes a token for an upload, at one of the gates, which may have to get its
// lease first.
func (m *midway) mint(gate int, key string) *client.Token {
	m.t.Helper()
	for tries := 0; ; tries++ {
		token, err := m.gates[gate].api.Mint(m.t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: key})
		if err == nil {
			return token
		}
		if tries == 50 {
			m.t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// first uploads through the first gate, which then has tried what the store can
// do. It may have to get its lease first.
func (m *midway) first() {
	m.t.Helper()
	token := m.mint(0, "first")
	for tries := 0; ; tries++ {
		status := m.put(0, token, strings.NewReader("x"))
		if status == 200 {
			return
		}
		if status != 503 || tries == 50 {
			m.t.Fatal("the first upload:", status)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// put uploads through one of the gates, and returns the status, or 0 if there
// was no answer.
func (m *midway) put(gate int, token *client.Token, body io.Reader) int {
	r, err := http.NewRequestWithContext(m.t.Context(), "PUT", m.gates[gate].Links+"/"+token.Token, body)
	if err != nil {
		m.t.Error(err)
		return 0
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// killAt uploads through the first gate and kills it when a request is held,
// on its way to S3 or, after, with S3's answer to it. Then that request goes on.
func (m *midway) killAt(of string, after bool, token *client.Token, body io.Reader) {
	m.t.Helper()
	held, resume := m.relay.hold(of, after)
	status := make(chan int, 1)
	go func() { status <- m.put(0, token, body) }()
	select {
	case <-held:
	case got := <-status:
		m.t.Fatalf("answered %d before %s", got, of)
	case <-time.After(30 * time.Second):
		m.t.Fatalf("%s never came", of)
	}
	m.gates[0].Kill()
	close(resume)
	if got := <-status; got != 0 {
		m.t.Errorf("a gate that was killed answered %d", got)
	}
}

// A gate that is killed in the middle of an upload in parts leaves no object,
// and other gates go on.
func TestKilledInTheMiddleOfParts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, of string
		after    bool
	}{
		{"the first part is on its way", "UploadPart 1", false},
		{"the third part is on its way", "UploadPart 3", false},
		{"the third part is stored", "UploadPart 3", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				m := newMidway(w)
				token := m.mint(0, "killed")
				m.killAt(test.of, test.after, token, stream(24<<20))
				if n := m.relay.count(complete); n != 0 || w.stored("killed") != nil {
					w.t.Errorf("%d requests to complete it, stored %d bytes", n, len(w.stored("killed")))
				}
				if status := m.put(1, m.mint(1, "other"), stream(12<<20)); status != 200 || len(w.stored("other")) != 12<<20 {
					w.t.Errorf("the other gate answers %d", status)
				}
			})
		})
	}
}

// What a gate leaves behind that is killed in the middle of an upload is ended by
// another one: nothing is left in the bucket but what is an object, and the use is
// charged if and only if that is there (I8, I12).
func TestKilledGateIsSweptAfter(t *testing.T) {
	for _, test := range []struct {
		name   string
		of     string
		after  bool
		size   int64 // known, of one request; 0 for one in parts
		stored bool
	}{
		{"one request is on its way", put, false, 1 << 20, false},
		{"one request is stored", put, true, 1 << 20, true},
		{"the upload in parts has begun", createUpload, true, 0, false},
		{"a part is on its way", "UploadPart 2", false, 0, false},
		{"Complete is on its way", complete, false, 0, true},
		{"Complete is carried out", complete, true, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachWorld(t, func(w *world) {
				w.t.Parallel() // most of it is waiting
				m := newMidway(w)
				m.first()
				token := m.mint(0, "swept")
				body := stream(12 << 20)
				if test.size > 0 {
					body = strings.NewReader(strings.Repeat("x", int(test.size)))
				}
				m.killAt(test.of, test.after, token, body)
				want := client.Status{}
				if test.stored {
					want.Uses = 1
				}
				var got *client.Status
				for until := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
					var err error
					if got, err = m.gates[1].api.Show(w.t.Context(), token.ID); err != nil {
						if time.Now().After(until) {
							w.t.Fatal(err)
						}
						w.t.Log(err) // it may have lost its lease for a moment
						continue
					}
					ended := got.InUse == 0 && got.Uses == want.Uses && (!test.stored || len(got.Receipts) > 0)
					if ended || time.Now().After(until) {
						break
					}
				}
				if got.Uses != want.Uses || got.InUse != 0 {
					w.t.Errorf("%d uses, %d taken; want %d and none", got.Uses, got.InUse, want.Uses)
				}
				if stored := w.stored("swept") != nil; stored != test.stored {
					w.t.Errorf("stored: %v, want %v", stored, test.stored)
				}
				eventuallyNone(w.t, w.uploads)
				if test.stored && (len(got.Receipts) != 1 || got.Receipts[0].Key != "swept" || got.Receipts[0].Size == 0) {
					w.t.Errorf("receipts %+v", got.Receipts)
				}
			})
		})
	}
}

// eventuallyNone waits until a list is empty.
func eventuallyNone(t *testing.T, list func() []string) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		left := list()
		if left == nil {
			return
		}
		if time.Now().After(until) {
			t.Errorf("left: %q", left)
			return
		}
	}
}
