package gate_test

import (
	"io"
	"net/http"
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
	for i := range m.gates {
		m.gates[i] = w.processWith(w.t, orders{S3: m.relay.Endpoint, Redis: w.redis, Upload: &upload})
	}
	return m
}

// mint makes a token for an upload, at one of the gates.
func (m *midway) mint(gate int, key string) *client.Token {
	m.t.Helper()
	token, err := m.gates[gate].api.Mint(m.t.Context(), client.MintRequest{Operation: "put", Bucket: "docs", Key: key})
	if err != nil {
		m.t.Fatal(err)
	}
	return token
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
