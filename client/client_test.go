package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"s3gate/client"
	"s3gate/tokens"
)

func at(hours int) *time.Time {
	t := start.Add(time.Duration(hours) * time.Hour)
	return &t
}

// full are requests that set every field.
func full() map[string]client.MintRequest {
	uses := int64(3)
	r := client.MintRequest{
		NotBefore: at(1), ExpiresAt: at(2), MaxUses: &uses,
		Subject: "ada@example.com", Labels: map[string]string{"team": "press", "ticket": "4711"},
	}
	get, put := r, r
	get.Operation, get.Bucket, get.Key = "get", "docs", "a//b%2F\u00e9+ \U0001F600\"<&>\u2028.pdf"
	get.Response = &client.Response{Filename: "b & c.pdf", Disposition: "inline", ContentType: "application/pdf"}
	put.Operation, put.Bucket, put.Key = "put", "inbox", "in/video.mp4"
	put.Upload = &client.Upload{
		MaxBytes: 5, ContentTypes: []string{"video/mp4", "video/*"}, Overwrite: true, Sniff: true, Checksum: "sha256",
		Metadata: map[string]string{"case": "4711"}, ClientMetadata: []string{"author"}, StorageClass: "STANDARD_IA",
	}
	return map[string]client.MintRequest{"get": get, "put": put}
}

func TestATokenIsMintedShownListedAndRevoked(t *testing.T) {
	for name, r := range full() {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			c := newClient(t, g.url+"/", g.admin)
			ctx := t.Context()
			minted, err := c.Mint(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(minted.URL, "https://files.example.com/"+minted.Token) || minted.Method != strings.ToUpper(name) {
				t.Errorf("the link is %s %s", minted.Method, minted.URL)
			}
			want := client.Grant{
				ID: minted.ID, Operation: r.Operation, Bucket: r.Bucket, Key: r.Key, NotBefore: r.NotBefore, ExpiresAt: *r.ExpiresAt,
				MaxUses: *r.MaxUses, Subject: r.Subject, Labels: r.Labels, Response: r.Response, Upload: r.Upload,
				Version: 1, IssuedBy: "ops", IssuedAt: start,
			}
			if !reflect.DeepEqual(minted.Grant, want) {
				t.Errorf("minted %+v\nwant %+v", minted.Grant, want)
			}
			shown, err := c.Show(ctx, minted.ID)
			if err != nil || !reflect.DeepEqual(shown.Grant, want) || shown.State != "pending" || shown.Revocation != nil {
				t.Errorf("shown %+v, %v", shown, err)
			}
			page, err := c.List(ctx, client.ListQuery{Subject: r.Subject, Bucket: r.Bucket, Prefix: r.Key, State: "pending", Limit: 2})
			if err != nil || len(page.Tokens) != 1 || page.Tokens[0].ID != minted.ID || page.Next != "" {
				t.Errorf("listed %+v, %v", page, err)
			}
			receipt, err := c.Revoke(ctx, minted.ID, "wrong list & too long?")
			if err != nil || receipt.ID == "" || len(receipt.AcknowledgedBy) != 1 || receipt.AcknowledgedBy[0] != "gate-1" {
				t.Errorf("revoked with %+v, %v", receipt, err)
			}
			shown, err = c.Show(ctx, minted.ID)
			if err != nil || shown.State != "revoked" || shown.Revocation == nil ||
				*shown.Revocation != (client.Revocation{At: start, Author: "ops", Reason: "wrong list & too long?"}) {
				t.Errorf("shown %+v, %v", shown, err)
			}
		})
	}
}

// The client has a field for whatever the API answers.
func TestAnswersLoseNothing(t *testing.T) {
	g := newGate(t)
	c := newClient(t, g.url, g.admin)
	strict := func(method, path, body string, into any) {
		t.Helper()
		r, _ := http.NewRequest(method, g.url+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+g.admin)
		resp, err := c.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		dec := json.NewDecoder(resp.Body)
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil || resp.StatusCode/100 != 2 {
			t.Errorf("%s %s: %d, %v", method, path, resp.StatusCode, err)
		}
	}
	for _, r := range full() {
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var minted client.Token
		strict("POST", "/v1/tokens", string(body), &minted)
		strict("DELETE", "/v1/tokens/"+minted.ID+"?reason=x", "", &client.Receipt{})
		strict("GET", "/v1/tokens/"+minted.ID, "", &client.Status{})
		strict("GET", "/v1/tokens?limit=1", "", &client.Page{})
	}
	body, err := json.Marshal(fullRule())
	if err != nil {
		t.Fatal(err)
	}
	upload := g.begin(t, "req_1", tokens.Grant{Operation: tokens.Put, Bucket: "docs", Prefix: "p", Subject: "ada"})
	if err := upload.Commit(); err != nil {
		t.Fatal(err)
	}
	strict("GET", "/v1/transfers", "", &client.Transfers{})
	strict("DELETE", "/v1/transfers/req_1", "", &client.CutReceipt{})
	var receipt client.Receipt
	strict("POST", "/v1/revocations", string(body), &receipt)
	strict("POST", "/v1/revocations", `{"all": true, "dry_run": true}`, &client.Reach{})
	strict("DELETE", "/v1/revocations/"+receipt.ID+"?reason=x", "", &client.Receipt{})
	strict("GET", "/v1/revocations/"+receipt.ID, "", &client.RuleStatus{})
	strict("GET", "/v1/revocations?limit=1", "", &client.RulePage{})
	strict("GET", "/v1/gates", "", &struct{ Gates []client.Gate }{})
}

func TestListLeadsThroughAllPages(t *testing.T) {
	const n = 23
	g := newGate(t)
	c := newClient(t, g.url, g.admin)
	for i := range n {
		if _, err := c.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	pages := 0
	for q := (client.ListQuery{Limit: 5}); ; pages++ {
		page, err := c.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Tokens {
			if seen[s.Key] {
				t.Errorf("%s came twice", s.Key)
			}
			seen[s.Key] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if len(seen) != n || pages != n/5 {
		t.Errorf("%d tokens after %d more pages, want %d after %d", len(seen), pages, n, n/5)
	}
}

// Every filter of a list is sent.
func TestListFilters(t *testing.T) {
	g := newGate(t)
	c := newClient(t, g.url, g.admin)
	m, err := c.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: "k", ExpiresAt: at(1), Labels: map[string]string{"team": "press & co", "case": "a=b"}})
	if err != nil {
		t.Fatal(err)
	}
	end := m.ExpiresAt
	for _, tt := range []struct {
		name  string
		query client.ListQuery
		want  int
	}{
		{"issuer", client.ListQuery{Issuer: m.Issuer}, 1},
		{"another issuer", client.ListQuery{Issuer: m.Issuer + "x"}, 0},
		{"issued by", client.ListQuery{IssuedBy: m.IssuedBy}, 1},
		{"issued by another", client.ListQuery{IssuedBy: m.IssuedBy + "x"}, 0},
		{"labels", client.ListQuery{Labels: m.Labels}, 1},
		{"another label too", client.ListQuery{Labels: map[string]string{"team": "press & co", "case": "a"}}, 0},
		{"from its end", client.ListQuery{ExpiresFrom: end}, 1},
		{"from later", client.ListQuery{ExpiresFrom: end.Add(time.Millisecond)}, 0},
		{"before its end", client.ListQuery{ExpiresBefore: end}, 0},
		{"before later, elsewhere", client.ListQuery{ExpiresBefore: end.Add(time.Millisecond).In(time.FixedZone("", 3600))}, 1},
	} {
		page, err := c.List(t.Context(), tt.query)
		if err != nil || len(page.Tokens) != tt.want {
			t.Errorf("%s: %+v, %v, want %d", tt.name, page, err, tt.want)
		}
	}
}

func TestWhatTheAPIRefusesIsAnError(t *testing.T) {
	g := newGate(t)
	admin := newClient(t, g.url, g.admin)
	mint := func(c *client.Client, change func(*client.MintRequest)) error {
		r := client.MintRequest{Operation: "get", Bucket: "docs", Key: "k"}
		change(&r)
		_, err := c.Mint(t.Context(), r)
		return err
	}
	show := func(c *client.Client, id string) error { _, err := c.Show(t.Context(), id); return err }
	revoke := func(c *client.Client, id, reason string) error {
		_, err := c.Revoke(t.Context(), id, reason)
		return err
	}
	list := func(q client.ListQuery) error { _, err := admin.List(t.Context(), q); return err }
	reader := newClient(t, g.url, "eyJhbGciOiJIUzI1NiJ9.e30.x")
	const unknown = "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, tt := range []struct {
		name   string
		err    error
		status int
		field  string
	}{
		{"empty request", mint(admin, func(r *client.MintRequest) { *r = client.MintRequest{} }), 400, "operation"},
		{"bucket", mint(admin, func(r *client.MintRequest) { r.Bucket = "elsewhere" }), 400, "bucket"},
		{"label", mint(admin, func(r *client.MintRequest) { r.Labels = map[string]string{"a": "\n"} }), 400, "labels.a"},
		{"two ends", mint(admin, func(r *client.MintRequest) { r.ExpiresAt, r.ExpiresIn = at(1), "1h" }), 400, "expires_in"},
		{"large", mint(admin, func(r *client.MintRequest) { r.Key = strings.Repeat("k", 1<<20) }), 413, ""},
		{"caller", mint(reader, func(*client.MintRequest) {}), 401, ""},
		{"show unknown", show(admin, unknown), 404, ""},
		{"show nothing", show(admin, ""), 404, ""},
		{"show dot", show(admin, "."), 404, ""},
		{"show dots", show(admin, ".."), 404, ""},
		{"show a path", show(admin, "../tokens"), 404, ""},
		{"show with a query", show(admin, unknown+"?x=y"), 404, ""},
		{"revoke unknown", revoke(admin, unknown, ""), 404, ""},
		{"revoke nothing", revoke(admin, "", "x"), 404, ""},
		{"revoke with a fragment", revoke(admin, unknown+"#x", ""), 404, ""},
		{"long reason", revoke(admin, unknown, strings.Repeat("x", 256)), 400, "reason"},
		{"state", list(client.ListQuery{State: "dead"}), 400, "state"},
		{"limit", list(client.ListQuery{Limit: 1001}), 400, "limit"},
		{"cursor", list(client.ListQuery{Cursor: "x"}), 400, "cursor"},
	} {
		var e *client.Error
		if !errors.As(tt.err, &e) || e.Status != tt.status || e.Field != tt.field || e.RequestID == "" || e.Detail == "" {
			t.Errorf("%s: %+v (%v), want status %d, field %q", tt.name, e, tt.err, tt.status, tt.field)
		} else if text := e.Error(); !strings.Contains(text, e.RequestID) || !strings.Contains(text, fmt.Sprint(tt.status)) || strings.Contains(text, "..") {
			t.Errorf("%s: the error reads %s", tt.name, text)
		}
	}

	g.redis.Close()
	var e *client.Error
	if err := show(admin, unknown); !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
		t.Errorf("without Redis: %v", err)
	}
}

// Whatever answers may not be a gate at all. No error repeats the bearer, and
// nothing sends it elsewhere (T14).
func TestErrorsOfOthers(t *testing.T) {
	const canary = "eyJhbGciOiJIUzI1NiJ9.canary.canary"
	reply := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was redirected, with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	hangUp := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	for _, tt := range []struct {
		name   string
		serve  http.HandlerFunc
		status int // 0: no *client.Error
		words  string
	}{
		{"a page", reply(502, "text/html", "<h1>Bad gateway</h1>"), 502, "502 Bad Gateway (HTTP 502)"},
		{"nothing", reply(500, "", ""), 500, "500 Internal Server Error (HTTP 500)"},
		{"other JSON", reply(403, "application/json", `{"message": "no", "status": "denied"}`), 403, "(HTTP 403)"},
		{"a list", reply(400, "application/json", `[]`), 400, "(HTTP 400)"},
		{"null", reply(400, "application/json", `null`), 400, "(HTTP 400)"},
		{"a problem without words", reply(418, "application/problem+json", `{"title": "", "detail": ""}`), 418, "I'm a teapot (HTTP 418)"},
		{"a problem that lies", reply(404, "application/problem+json", `{"status": 200, "detail": "d.", "request_id": "r"}`), 404, "d (HTTP 404, request r)"},
		{"a redirect", http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect).ServeHTTP, 307, "307 Temporary Redirect"},
		{"a page for success", reply(200, "text/html", "<h1>Welcome</h1>"), 0, "reading the API's answer: "},
		{"half an answer", reply(200, "application/json", `{"id": "`), 0, "reading the API's answer: "},
		{"nothing for success", reply(200, "application/json", ""), 0, "reading the API's answer: "},
		{"a hang-up", hangUp, 0, "calling the API: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.serve)
			defer server.Close()
			c := newClient(t, server.URL, canary)
			_, minting := c.Mint(t.Context(), client.MintRequest{})
			_, showing := c.Show(t.Context(), "x")
			_, listing := c.List(t.Context(), client.ListQuery{})
			_, revoking := c.Revoke(t.Context(), "x", "")
			for _, err := range []error{minting, showing, listing, revoking} {
				var e *client.Error
				if errors.As(err, &e) != (tt.status != 0) || e != nil && e.Status != tt.status {
					t.Fatalf("%T: %v", err, err)
				}
				if !strings.Contains(err.Error(), tt.words) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "canary") {
					t.Errorf("the error reads %v, want … %s …", err, tt.words)
				}
			}
		})
	}
}

// Errors before anything was sent do not repeat the bearer either (T14).
func TestErrorsNeverHoldTheBearer(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, tt := range []struct{ name, base, bearer string }{
		{"nobody listens", closed.URL, "canary"},
		{"no host", "https://", "canary"},
		{"no scheme", "gate:8090", "canary"},
		{"another scheme", "ftp://gate", "canary"},
		{"no URL", "https://ga te", "canary"},
		{"nothing", "", "canary"},
		{"a bearer with a line feed", closed.URL, "canary\r\nX-Evil: canary"},
		{"a bearer with a NUL", closed.URL, "canary\x00"},
	} {
		c := newClient(t, tt.base, tt.bearer)
		_, err := c.Show(t.Context(), "x")
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "canary") {
			t.Errorf("%s: %v", tt.name, err)
		}
		var e *url.Error
		if errors.As(err, &e) && strings.Contains(fmt.Sprintf("%#v", e.Err), "canary") {
			t.Errorf("%s: the cause is %#v", tt.name, e.Err)
		}
	}
}

func TestCancelledCallsSaySo(t *testing.T) {
	g := newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, g.url, g.admin).Show(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// JSON cannot carry every key; another key must not be minted instead (S1).
func TestMintRefusesTextThatIsNotUTF8(t *testing.T) {
	g := newGate(t)
	c := newClient(t, g.url, g.admin)
	for _, tt := range []struct {
		field  string
		change func(*client.MintRequest)
	}{
		{"key", func(r *client.MintRequest) { r.Key = "caf\xe9" }},
		{"key", func(r *client.MintRequest) { r.Key = "\xed\xa0\x80" }},
		{"operation", func(r *client.MintRequest) { r.Operation = "\xff" }},
		{"bucket", func(r *client.MintRequest) { r.Bucket = "\xff" }},
		{"expires_in", func(r *client.MintRequest) { r.ExpiresIn = "\xff" }},
		{"subject", func(r *client.MintRequest) { r.Subject = "\xff" }},
		{"labels", func(r *client.MintRequest) { r.Labels = map[string]string{"\xc3": "\xa9"} }},
		{"response.filename", func(r *client.MintRequest) { r.Response = &client.Response{Filename: "\xff"} }},
		{"response.disposition", func(r *client.MintRequest) { r.Response = &client.Response{Disposition: "\xff"} }},
		{"response.content_type", func(r *client.MintRequest) { r.Response = &client.Response{ContentType: "\xff"} }},
		{"upload.content_types", func(r *client.MintRequest) { r.Upload = &client.Upload{ContentTypes: []string{"a/b", "\xff"}} }},
		{"upload.client_metadata", func(r *client.MintRequest) { r.Upload = &client.Upload{ClientMetadata: []string{"\xff"}} }},
		{"upload.checksum", func(r *client.MintRequest) { r.Upload = &client.Upload{Checksum: "\xff"} }},
		{"upload.storage_class", func(r *client.MintRequest) { r.Upload = &client.Upload{StorageClass: "\xff"} }},
		{"upload.metadata", func(r *client.MintRequest) {
			r.Upload = &client.Upload{Metadata: map[string]string{"a": "\xff"}}
		}},
	} {
		r := client.MintRequest{Operation: "get", Bucket: "docs", Key: "k"}
		tt.change(&r)
		if _, err := c.Mint(t.Context(), r); err == nil || err.Error() != tt.field+": is not valid UTF-8" {
			t.Errorf("%s: %v", tt.field, err)
		}
	}
	if page, err := c.List(t.Context(), client.ListQuery{}); err != nil || len(page.Tokens) > 0 {
		t.Errorf("minted %+v, %v", page, err)
	}
}

// Printing or logging a client or a token gives no secret away (T14).
func TestSecretsHideThemselves(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	c := client.New("https://gate:8090", "canary")
	token := &client.Token{Token: "canary", URL: "https://files.example.com/canary", Grant: client.Grant{ID: "tok_x"}}
	logger.Info("made", "client", c, "token", token, "copy", *token)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb+verb+verb+verb, c, token, *token, struct{ T *client.Token }{token})
	}
	if strings.Contains(log.String(), "canary") || strings.Contains(log.String(), "63616e617279") {
		t.Errorf("printed %s", log.String())
	}
	if raw, err := json.Marshal(token); err != nil || strings.Count(string(raw), "canary") != 2 {
		t.Errorf("the JSON form is %s, %v", raw, err)
	}
}

// What a link answers to somebody who asks for JSON is read the same way.
func TestReadError(t *testing.T) {
	resp := &http.Response{
		StatusCode: http.StatusGone, Status: "410 Gone", Header: http.Header{"X-Request-Id": {"req_1"}},
		Body: io.NopCloser(strings.NewReader(`{"title": "Gone", "status": 410, "detail": "This link was revoked."}`)),
	}
	want := client.Error{Status: 410, Title: "Gone", Detail: "This link was revoked.", RequestID: "req_1"}
	if got := client.ReadError(resp); *got != want || got.Error() != "This link was revoked (HTTP 410, request req_1)" {
		t.Errorf("%+v, %v", got, got)
	}
}
