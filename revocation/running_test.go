package revocation_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/revocation"
	"s3gate/tokens"
)

func TestRunningDescribesWhatRuns(t *testing.T) {
	var ts revocation.Transfers
	w := httptest.NewRecorder()
	down := ts.Begin("req_1", "tok_a", w, httptest.NewRequest("GET", "/", nil))
	up, asking, stopped := begin(&ts, "req_2", "tok_b"), begin(&ts, "req_3", "tok_c"), begin(&ts, "req_4", "tok_d")
	for _, transfer := range []*revocation.Transfer{down, up, asking, stopped} {
		defer transfer.End()
	}
	permit := func(transfer *revocation.Transfer, g tokens.Grant) {
		if err := transfer.Permit(&g); err != nil {
			t.Fatal(err)
		}
	}
	permit(down, tokens.Grant{Operation: tokens.Get, Bucket: "docs", Prefix: "a/", Subject: "ada"})
	permit(up, tokens.Grant{Operation: tokens.Put, Bucket: "inbox", Key: "v.mp4"})
	permit(stopped, tokens.Grant{Operation: tokens.Get, Bucket: "docs", Key: "k"})
	ts.Cut(only("tok_d"))
	down.Expect(12)
	up.Expect(-1)
	if _, err := down.Write(w, []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, up.Reader(strings.NewReader("123"))); err != nil {
		t.Fatal(err)
	}
	if err := up.Commit(); err != nil {
		t.Fatal(err)
	}

	got := ts.Running(nil)
	if len(got) != 2 {
		t.Fatalf("%d run: %+v; want those that may, and have not been stopped", len(got), got)
	}
	for i := range got {
		if got[i].Since.IsZero() {
			t.Errorf("%s has no beginning", got[i].ID)
		}
		got[i].BytesPerSecond = 0
	}
	want := []revocation.Running{
		{ID: "req_1", Token: "tok_a", Subject: "ada", Bucket: "docs", Prefix: "a/", Direction: "download", Bytes: 5, Size: 12},
		{ID: "req_2", Token: "tok_b", Bucket: "inbox", Key: "v.mp4", Direction: "upload", Bytes: 3, Committing: true},
	}
	for i := range want {
		want[i].Since = got[i].Since
		if got[i] != want[i] {
			t.Errorf("%+v\nwant %+v", got[i], want[i])
		}
	}
	if one := ts.Running(only("tok_b")); len(one) != 1 || one[0].ID != "req_2" {
		t.Errorf("of tok_b run %+v", one)
	}
}
