package gate_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"s3gate/client"
)

// wantReceipt waits for the one receipt of a token.
func wantReceipt(t *testing.T, g *testGate, id string, want client.UseReceipt) {
	t.Helper()
	var s *client.Status
	for range 300 {
		var err error
		if s, err = g.api.Show(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if len(s.Receipts) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if len(s.Receipts) != 1 {
		t.Fatalf("%d receipts, want one: %+v", len(s.Receipts), s)
	}
	got := s.Receipts[0]
	if !strings.HasPrefix(got.Request, "req_") || got.Use == "" || got.ETag == "" {
		t.Errorf("%+v names no request, use or ETag", got)
	}
	if got.Began.IsZero() || got.Ended.Before(got.Began) || got.DurationMS != got.Ended.Sub(got.Began).Milliseconds() {
		t.Errorf("from %s to %s in %d ms", got.Began, got.Ended, got.DurationMS)
	}
	if got.Token != id || got.Operation == "" || got.Bucket == "" {
		t.Errorf("%+v is not of the token %s", got, id)
	}
	want.Use, want.Request, want.ETag = got.Use, got.Request, got.ETag
	want.Token, want.Operation, want.Bucket, want.Subject = got.Token, got.Operation, got.Bucket, got.Subject
	want.Began, want.Ended, want.DurationMS = got.Began, got.Ended, got.DurationMS
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// auditLog waits until the audit log has so many events of a type, and returns those.
func auditLog(t *testing.T, file, kind string, n int) (found []loggedEvent) {
	t.Helper()
	for range 300 {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found = nil
		for line := range strings.Lines(string(text)) {
			var e loggedEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.ID == "" || e.SpecVersion != "1.0" {
				t.Fatalf("%s: %v", line, err)
			}
			if e.Type == kind {
				found = append(found, e)
			}
		}
		if len(found) >= n {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return found
}

// loggedEvent is what tests read of an event.
type loggedEvent struct {
	SpecVersion, ID, Type, Source, Subject string
	Data                                   struct {
		Token, Bucket, Key, Outcome, Client, Reason, Error string
		IssuedBy                                           string `json:"issued_by"`
		Count                                              int
		Request, Author                                    string
	}
}

// wantEvents reads the audit log: one receipt for each of the tokens.
func wantEvents(t *testing.T, file string, ids ...string) {
	t.Helper()
	got := map[string]int{}
	for _, e := range auditLog(t, file, "s3gate.token.receipt.v1", len(ids)) {
		if e.Data.Bucket != "docs" || e.Data.Key == "" || e.Data.Outcome == "" || e.Subject != e.Data.Token || e.Data.IssuedBy != "tester" {
			t.Errorf("%+v", e)
		}
		got[e.Data.Token]++
	}
	want := map[string]int{}
	for _, id := range ids {
		want[id]++
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}
