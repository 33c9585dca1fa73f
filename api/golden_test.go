package api_test

import (
	"flag"
	"net/http"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/*.golden.json anew")

// The answers' names and forms are what clients rely on.
func TestAnswersKeepTheirForm(t *testing.T) {
	const (
		who  = `"subject": "ada@example.com", "labels": {"team": "press", "ticket": "4711"}`
		when = `"not_before": "2030-01-31T12:30:00+00:00", "expires_at": "2030-02-28T01:00:00.5+01:00"`
	)
	g := newGate(t)
	mints := []struct{ name, body string }{
		{"mint-get", get()},
		{"mint-put", put()},
		{"mint-get-full", get(who, when, `"max_uses": 3, "shared_by": "The press office", "message": "Two\r\nlines"`, `"response": {"filename": "Q4 & outlook.pdf", "disposition": "inline", "content_type": "application/pdf"}`)},
		{"mint-put-full", put(who, `"expires_in": "7d"`, `"upload": {"max_bytes": 1048576, "content_types": ["video/mp4", "video/*"], "sniff": true, "overwrite": true, "checksum": "any", "metadata": {"case": "4711"}, "client_metadata": ["author"], "storage_class": "STANDARD_IA"}`)},
		{"mint-put-drop", `{"operation": "put", "bucket": "inbox", "max_uses": 20, "upload": {"key_template": "incoming/{date}/{uuid}/{filename}", "reveal_key": true, "content_types": ["image/png"]}}`},
	}
	ids := map[string]string{}
	for _, tt := range mints {
		a := g.do("POST", "/v1/tokens", tt.body)
		golden(t, tt.name, a)
		if a.status != http.StatusCreated {
			t.Fatalf("%s: %d", tt.name, a.status)
		}
		m := a.object(t)
		ids[tt.name], _ = m["id"].(string)
		if got := a.header.Get("Location"); got != "/v1/tokens/"+ids[tt.name] {
			t.Errorf("%s: Location is %q", tt.name, got)
		}
		// What was minted is what is shown.
		show := g.do("GET", "/v1/tokens/"+ids[tt.name], "")
		golden(t, strings.Replace(tt.name, "mint", "show", 1), show)
	}
	golden(t, "list", g.do("GET", "/v1/tokens?limit=2", ""))
	golden(t, "list-empty", g.do("GET", "/v1/tokens?subject=nobody", ""))
	g.redis.SetTime(start.Add(time.Minute))
	golden(t, "revoke", g.do("DELETE", "/v1/tokens/"+ids["mint-get"]+"?reason=sent+to+the+wrong+list", ""))
	golden(t, "show-revoked", g.do("GET", "/v1/tokens/"+ids["mint-get"], ""))
	golden(t, "health", g.do("GET", "/healthz", ""))
	golden(t, "ready", g.do("GET", "/readyz", ""))
	golden(t, "problem-field", g.do("POST", "/v1/tokens", get(`"labels": {"a/b.c": "\n"}`)))
	golden(t, "problem-unauthenticated", g.as("", "GET", "/v1/tokens", nil))
}
