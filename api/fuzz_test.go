package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever the body is, a mint answers 201 or 400, and 201 only for a key that
// came through as it was (S1, S2).
func FuzzMint(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "[]", get(), put(), get(get()), get() + get(),
		get(`"max_uses": 1`, `"expires_in": "1d12h"`, `"labels": {"a": "b"}`, `"response": {"filename": "a/b", "disposition": "inline"}`),
		put(`"upload": {"max_bytes": 5, "content_types": ["image/*"], "overwrite": true}`, `"not_before": "2030-01-31T12:00:00Z"`),
		get(`"key": "\ud83d\ude00"`), get(`"subject": "\ud83d"`), get(`"expires_at": "9999-12-31T23:59:59.999999999+14:00"`),
		get(`"expires_in": "65535d2562047h"`), get(`"max_uses": -9223372036854775808`), get(`"max_uses": 1e400`),
		`{"operation": "get", "bucket": "docs", "key": "..\\%2e//\u0001"}`, `{"KEY": {"key": [[[]]]}}`, "{\"\xff\": 1}",
	} {
		f.Add([]byte(seed))
	}
	g := newGate(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/v1/tokens", bytes.NewReader(body))
		r.Header.Set("Authorization", g.admin)
		a := send(t, g.handler, r)
		if a.status == http.StatusBadRequest {
			if p := a.problem(); p.Field == "" || !utf8.ValidString(a.body) {
				t.Errorf("a problem that names no field: %s", a.body)
			}
			return
		}
		if a.status != http.StatusCreated {
			t.Fatalf("%d %s", a.status, a.body)
		}
		var asked, got struct{ Operation, Bucket, Key, URL string }
		if err := json.Unmarshal(body, &asked); err != nil {
			t.Fatalf("minted from what is no JSON: %v", err)
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		if got.Operation != asked.Operation || got.Bucket != asked.Bucket || got.Key != asked.Key {
			t.Errorf("asked for %q, got %q", asked, got)
		}
		if got.Bucket != "docs" && got.Bucket != "inbox" {
			t.Errorf("a token for the bucket %q", got.Bucket)
		}
		link, err := url.Parse(got.URL)
		if err != nil || !strings.HasPrefix(got.URL, publicURL+"/s3g_") || strings.Count(link.EscapedPath(), "/") > 2 || link.RawQuery != "" {
			t.Errorf("the link is %q: %v", got.URL, err)
		}
		g.redis.FlushAll()
	})
}
