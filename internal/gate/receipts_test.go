package gate_test

import (
	"bufio"
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

// wantEvents reads the audit log: one event for each of the tokens.
func wantEvents(t *testing.T, file string, ids ...string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e struct {
			Type string
			Data struct{ Token, Bucket, Key, Outcome string }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Type != "use.ended" || e.Data.Bucket != "docs" || e.Data.Key == "" || e.Data.Outcome == "" {
			t.Errorf("%s: %v", lines.Text(), err)
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
