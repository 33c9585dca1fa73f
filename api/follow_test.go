package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/client"
)

// quick is for tests that would wait for a second otherwise.
func quick(c *api.Config) { c.Pace = 20 * time.Millisecond }

const asEvents = "Accept: text/event-stream"

// change reads the next change of what runs, for which want holds.
func (f *follower) change(what string, want func(c *client.TransferChange) bool) *client.TransferChange {
	f.t.Helper()
	for range 1000 {
		event, c := f.next(), new(client.TransferChange)
		d := json.NewDecoder(strings.NewReader(event["data"]))
		d.DisallowUnknownFields()
		if err := d.Decode(c); err != nil || event["event"] != "transfers" {
			f.t.Fatalf("%v: %v", event, err)
		}
		if want(c) {
			return c
		}
	}
	f.t.Fatalf("nothing says that %s", what)
	return nil
}

// Who follows the transfers hears of each that begins, goes on and ends, and of
// what stays as it is nothing.
func TestTransfersAreFollowed(t *testing.T) {
	g := newGate(t, quick)
	one, two := g.begin("req_1", g.mint(get(`"subject": "ada"`))), g.begin("req_2", g.mint(get()))
	defer two.End()
	f := followURL(t, serve(t, g).URL+"/v1/transfers", g.admin, asEvents)
	if ct := f.resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("content type %q", ct)
	}
	first := f.change("anything runs", func(*client.TransferChange) bool { return true })
	if len(first.Began) != 2 || first.Began[0].ID != "req_1" || first.Began[0].Subject != "ada" || first.Began[0].Gate == "" || !first.Complete {
		t.Fatalf("the first says %+v", first)
	}
	if _, err := one.Write(httptest.NewRecorder(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	c := f.change("it moves", func(c *client.TransferChange) bool { return len(c.Moved) > 0 })
	if len(c.Began) > 0 || len(c.Moved) > 1 || c.Moved[0].ID != "req_1" || c.Moved[0].Bytes != 5 {
		t.Errorf("after a write: %+v", c)
	}
	one.End()
	c = f.change("it ends", func(c *client.TransferChange) bool { return len(c.Ended) > 0 })
	if !slices.Equal(c.Ended, []string{"req_1"}) || len(c.Began)+len(c.Moved) > 0 {
		t.Errorf("after the end: %+v", c)
	}
	g.handler.Stop()
	if _, err := io.ReadAll(f.in); err != nil {
		t.Errorf("the answer breaks off: %v", err)
	}
	if a := g.with(g.admin, "GET", "/v1/transfers", nil, asEvents); a.status != http.StatusServiceUnavailable {
		t.Errorf("after the stop: %d %s", a.status, a.body)
	}
}

// I9: nobody hears of what they may not see, nor where it runs.
func TestTransfersAreFollowedByRights(t *testing.T) {
	g := newIssuers(t, quick)
	mine := g.mintAs(as(t, "ada@acme", "owner"))
	defer g.begin("req_mine", mine).End()
	defer g.begin("req_other", g.mint(get())).End()
	f := followURL(t, serve(t, g).URL+"/v1/transfers", as(t, "ada@acme", "owner"), asEvents)
	first := f.change("anything runs", func(*client.TransferChange) bool { return true })
	if len(first.Began) != 1 || first.Began[0].ID != "req_mine" || first.Began[0].Gate != "" {
		t.Errorf("an owner hears of %+v", first)
	}
}

func TestGatesAreFollowed(t *testing.T) {
	g := newGate(t, quick)
	f := followURL(t, serve(t, g).URL+"/v1/gates", g.admin, asEvents)
	event := f.next()
	var list struct{ Gates []client.Gate }
	if err := json.Unmarshal([]byte(event["data"]), &list); err != nil || event["event"] != "gates" || len(list.Gates) != 1 || list.Gates[0].Name != "gate-1/4711" {
		t.Errorf("%v: %v", event, err)
	}
}
