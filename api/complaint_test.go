package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// A field that is wrong is named with its place, what it had and what it may
// have, whatever is wrong with it.
func TestComplaintsSayWhatIsAllowed(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct{ name, method, target, body, pointer, given, allowed string }{
		{"value", "POST", "/v1/tokens", `{"operation": "GET", "bucket": "docs", "key": "k"}`, "/operation", "GET", "get or put"},
		{"missing", "POST", "/v1/tokens", `{"operation": "get", "bucket": "docs"}`, "/key", "", "text of 1 to 1024 characters, such as 2030/report.pdf"},
		{"type", "POST", "/v1/tokens", get(`"list": "yes"`), "/list", "yes", "true or false"},
		{"type of an object", "POST", "/v1/tokens", get(`"response": [1, {"a": null}]`), "/response", "", "an object with the fields filename, disposition, content_type"},
		{"a list of objects", "POST", batchTarget, `{"tokens": {"passcode": "canary"}}`, "/tokens", "", "a list of at most 1000 entries"},
		{"number", "POST", "/v1/tokens", get(`"max_uses": 1000001`), "/max_uses", "1000001", "0 to 1000000"},
		{"fraction", "POST", "/v1/tokens", get(`"max_uses": 1.50`), "/max_uses", "1.50", "0 to 1000000, such as 1"},
		{"nested", "POST", "/v1/tokens", put(`"upload": {"max_bytes": -1}`), "/upload/max_bytes", "-1", "0 to 5497558138880"},
		{"length", "POST", "/v1/tokens", get(`"subject": "` + strings.Repeat("x", 256) + `"`), "/subject", strings.Repeat("x", 40) + "…", "at most 255 bytes"},
		{"characters", "POST", "/v1/tokens", get(`"shared_by": "` + strings.Repeat("x", 101) + `"`), "/shared_by", strings.Repeat("x", 40) + "…", "at most 100 characters"},
		{"characters of a note", "POST", "/v1/tokens", get(`"message": "` + strings.Repeat("x", 1001) + `"`), "/message", strings.Repeat("x", 40) + "…", "at most 1000 characters"},
		{"previews", "POST", "/v1/tokens", get(`"previews": true`), "/previews", "true", "true or false"},
		{"time", "POST", "/v1/tokens", get(`"expires_at": "soon"`), "/expires_at", "soon", "a time (RFC 3339), such as 2030-02-01T00:00:00Z"},
		{"past", "POST", "/v1/tokens", get(`"expires_at": "2030-01-31T11:00:00Z"`), "/expires_at", "2030-01-31T11:00:00Z", "after 2030-01-31T12:00:00Z"},
		{"bandwidth", "POST", "/v1/tokens", get(`"bandwidth": 7`), "/bandwidth", "7", "0, or at least 1024"},
		{"unknown", "POST", "/v1/tokens", get(`"max_use": 1`), "/max_use", "max_use", "max_uses"},
		{"unknown, other case", "POST", "/v1/tokens", get(`"maxUses": 1`), "/maxUses", "maxUses", "max_uses"},
		{"unknown, nested", "POST", "/v1/tokens", put(`"upload": {"over.write": true}`), "/upload/over.write", "over.write", "overwrite"},
		{"unknown, near none", "POST", "/v1/tokens", put(`"upload": {"colour": true}`), "/upload/colour", "colour",
			"max_bytes, content_types, sniff, overwrite, checksum, metadata, client_metadata, storage_class, key_template, reveal_key"},
		{"label", "POST", "/v1/tokens", get(`"labels": {"a.b/c~": "\n"}`), "/labels/a.b~1c~0", "\n", "text of at most 255 characters"},
		{"metadata", "POST", "/v1/tokens", put(`"upload": {"metadata": {"a.b": "ü"}}`), "/upload/metadata/a.b", "ü", "text of at least 1 characters"},
		{"passcode", "POST", "/v1/tokens", get(`"passcode": "abc"`), "/passcode", "", "text of 4 to 255 characters"},
		{"passcode of another type", "POST", "/v1/tokens", get(`"passcode": 12345`), "/passcode", "", "text of 4 to 255 characters"},
		{"rule", "POST", "/v1/revocations", `{"subject": ""}`, "/subject", "", "text of 1 to 1024 characters, such as ada@example.com"},
		{"rule, unknown", "POST", "/v1/revocations", `{"subjects": "ada"}`, "/subjects", "subjects", "subject"},
		{"parameter", "GET", "/v1/tokens?limit=1001", "", "", "1001", "1 to 1000"},
		{"parameter's value", "GET", "/v1/tokens?state=dead", "", "", "dead", "active, pending, used, expired or revoked"},
		{"unknown parameter", "GET", "/v1/tokens?limt=1", "", "", "limt", "limit"},
		{"parameter twice", "GET", "/v1/tokens?limit=1&limit=2", "", "", "1", "once"},
		{"cursor", "GET", "/v1/revocations?cursor=x", "", "", "x", "next of a page"},
		{"reason", "DELETE", "/v1/tokens/tok_aaaaaaaaaaaaaaaaaaaaaaaaaa?reason=%01", "", "", "\x01", "text of at most 255 characters"},
		{"no object", "POST", "/v1/tokens", "[]", "", "", ""},
	} {
		a := g.do(tt.method, tt.target, tt.body)
		p := a.problem()
		if a.status != http.StatusBadRequest || p.Field == "" || p.Pointer != tt.pointer || p.Given != tt.given || p.Allowed != tt.allowed {
			t.Errorf("%s: %d, pointer %q, given %q, allowed %q\nwant 400, %q, %q, %q\n%s", tt.name, a.status, p.Pointer, p.Given, p.Allowed, tt.pointer, tt.given, tt.allowed, a.body)
		}
		if strings.Contains(tt.name, "passcode") && (strings.Contains(a.body, "abc") || strings.Contains(a.body, "12345")) {
			t.Errorf("%s: the passcode is echoed: %s", tt.name, a.body)
		}
	}
}

// A token or a JWT that stands where it does not belong is not repeated.
func TestComplaintsHoldNoSecrets(t *testing.T) {
	g := newGate(t)
	token := g.mint(get()).Token
	jwt := strings.TrimPrefix(g.admin, "Bearer ")
	for _, secret := range []string{token, "https://files.example.com/" + token, jwt} {
		for _, r := range []struct{ method, target, body string }{
			{"POST", "/v1/tokens", get(`"operation": "` + secret + `"`)},
			{"POST", "/v1/tokens", get(`"` + secret + `": 1`)},
			{"POST", "/v1/tokens", get(`"expires_in": "` + secret + `"`)},
			{"POST", "/v1/tokens", get(`"labels": {"` + secret + `": "\n"}`)},
			{"POST", "/v1/tokens", get(`"clients": ["` + secret + `"]`)},
			{"POST", "/v1/tokens", get(`"response": ["` + secret + `"]`)},
			{"POST", "/v1/revocations", `{"token": "` + secret + `"}`},
			{"GET", "/v1/tokens?state=" + secret, ""},
			{"GET", "/v1/tokens?cursor=" + secret, ""},
			{"GET", "/v1/tokens?" + secret + "=1", ""},
			{"GET", "/v1/tokens/" + token + "?" + secret, ""},
		} {
			a := g.do(r.method, r.target, r.body)
			if a.status != http.StatusBadRequest || strings.Contains(a.body, secret[len(secret)-12:]) || strings.Contains(a.body, token[4:16]) || strings.Contains(a.body, jwt[3:15]) {
				t.Errorf("%s %s %s: %d %s", r.method, r.target, r.body, a.status, a.body)
			}
		}
	}
}
