package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"s3gate/api"
	"s3gate/revocation"
	"s3gate/tokens"
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

// recording notes the rule that it is asked for, and does nothing.
type recording struct{ rule *revocation.Rule }

func (r recording) Revoke(_ context.Context, rule revocation.Rule) (revocation.Receipt, error) {
	*r.rule = rule
	return revocation.Receipt{AcknowledgedBy: []string{}, ExpiredLeases: []string{}, Durability: revocation.Memory}, nil
}

func (recording) Lift(context.Context, string, string, string) (revocation.Receipt, error) {
	return revocation.Receipt{}, nil
}

func (recording) Change(context.Context, *tokens.Grant, *tokens.Grant, string) (revocation.Receipt, error) {
	return revocation.Receipt{}, nil
}

// Whatever the body is, a rule is made of exactly what it says, or not at all.
func FuzzRevokeBy(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "[]", `{"all": true}`, `{"all": null}`, `{"subject": "ada", "standing": true, "reason": null}`,
		`{"bucket": "docs", "prefix": "a/", "labels": {"a": ""}}`, `{"bucket": "docs", "subject": null}`, `{"labels": {"a": null}}`,
		`{"issuer": "x", "issued_before": "2030-01-31T12:00:00+01:00"}`, `{"token": "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa"}`,
		`{"all": true, "All": false}`, `{"subject": "a"} {"all": true}`, `{"subject": "ada", "dry_run": true}`, `{"subject":\u0000}`,
	} {
		f.Add([]byte(seed))
	}
	var rule revocation.Rule
	g := newGate(f, func(c *api.Config) { c.Revoker = recording{&rule} })
	f.Fuzz(func(t *testing.T, body []byte) {
		rule = revocation.Rule{}
		r := httptest.NewRequest("POST", "/v1/revocations", bytes.NewReader(body))
		r.Header.Set("Authorization", g.admin)
		switch a := send(t, g.handler, r); {
		case a.status == http.StatusBadRequest && a.problem().Field != "":
			if rule.Author != "" {
				t.Errorf("revoked by %+v and answered %s", rule, a.body)
			}
		case a.status == http.StatusOK && rule.Author == "ops":
			var asked revocation.Rule
			if err := json.Unmarshal(body, &asked); err != nil {
				t.Fatalf("a rule from what is no JSON: %v", err)
			}
			asked.Author = "ops"
			got, _ := json.Marshal(rule)
			want, _ := json.Marshal(asked)
			if rule.Validate() != nil || string(got) != string(want) {
				t.Errorf("revoked by %s, asked for %s", got, want)
			}
		case a.status == http.StatusOK && bytes.Contains(body, []byte("dry_run")), a.status == http.StatusNotFound:
		default:
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
}
