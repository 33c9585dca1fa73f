package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"s3gate/client"
)

// answering is a client of an API that answers everything so.
func answering(t *testing.T, status int, body string, asked *string) *client.Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked != nil {
			*asked = r.Method + " " + r.URL.String() + " " + r.Header.Get("Authorization")
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return client.New(server.URL, "jwt")
}

func TestEvents(t *testing.T) {
	var asked string
	body := `{"id":"evt_1","type":"a","subject":"tok_1","data":{"x":1},"position":"1-0"}` + "\n\n" + `{"id":"evt_2","type":"b","data":{},"position":"2-0"}` + "\n"
	c := answering(t, 200, body, &asked)
	var ids, positions []string
	err := c.Events(t.Context(), client.EventQuery{Type: "t", Token: "tok", Request: "r", After: "0", Limit: 5, Follow: true}, func(e client.Event) error {
		ids, positions = append(ids, e.ID), append(positions, e.Position)
		if e.ID == "evt_1" && (string(e.Data) != `{"x":1}` || !strings.Contains(body, string(e.Raw))) {
			t.Errorf("%s in %s", e.Data, e.Raw)
		}
		return nil
	})
	if err != nil || !reflect.DeepEqual(ids, []string{"evt_1", "evt_2"}) || positions[1] != "2-0" {
		t.Errorf("%v at %v, %v", ids, positions, err)
	}
	if want := "GET /v1/events?after=0&follow=true&limit=5&request=r&token=tok&type=t Bearer jwt"; asked != want {
		t.Errorf("asked %s\nwant  %s", asked, want)
	}
	stop := errors.New("stop")
	if err := c.Events(t.Context(), client.EventQuery{}, func(client.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
	if err := answering(t, 200, "no JSON\n", nil).Events(t.Context(), client.EventQuery{}, func(client.Event) error { return nil }); err == nil {
		t.Error("what is no event is no error")
	}
	var problem *client.Error
	err = answering(t, 403, `{"detail":"No."}`, nil).Events(t.Context(), client.EventQuery{}, func(client.Event) error { return nil })
	if !errors.As(err, &problem) || problem.Status != 403 || problem.Detail != "No." {
		t.Errorf("refused: %v", err)
	}
}

func TestDeadEvents(t *testing.T) {
	var asked string
	c := answering(t, 200, `{"dead":[{"id":"ops.evt_1","endpoint":"ops","tries":3,"error":"no","event":{"id":"evt_1"}}]}`, &asked)
	dead, err := c.DeadEvents(t.Context(), 7)
	if err != nil || len(dead) != 1 || dead[0].Tries != 3 || asked != "GET /v1/events/dead?limit=7 Bearer jwt" {
		t.Errorf("%s: %+v, %v", asked, dead, err)
	}
	if err := c.Redeliver(t.Context(), "ops.evt_1"); err != nil || asked != "POST /v1/events/dead/ops.evt_1/redeliver Bearer jwt" {
		t.Errorf("%s: %v", asked, err)
	}
}
