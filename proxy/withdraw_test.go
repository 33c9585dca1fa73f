package proxy_test

import (
	"context"
	"io"
	"testing"

	"s3gate/revocation"
	"s3gate/tokens"
)

// withdrawable lets holders revoke, and the gate do it.
func (g *gate) withdrawable(grant tokens.Grant) tokens.Token {
	g.Revoke = func(ctx context.Context, id tokens.ID) error {
		_, err := g.revoker.Revoke(ctx, revocation.Rule{Token: id})
		return err
	}
	grant.SelfRevoke = true
	return g.mint(grant)
}

// Whoever holds a link revokes it by DELETE, with what runs through it, where
// its maker lets them.
func TestHolderRevokes(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.s3.answer(endless)
			token := g.withdrawable(unlimited(get()))
			resp, err := g.client.Do(g.request("GET", token, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if a := g.do(g.request("DELETE", token, nil)); a.StatusCode != 204 || a.body != "" {
				t.Errorf("DELETE: %s %q", a.Status, a.body)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("the download went on")
			}
			g.s3.answer(nil)
			for _, method := range []string{"GET", "DELETE"} {
				if a := g.do(g.request(method, token, nil)); a.StatusCode != 410 {
					t.Errorf("%s afterwards: %s", method, a.Status)
				}
			}
		})
	}
}

func TestHolderMayNotRevoke(t *testing.T) {
	g := newGate(t, http1)
	used := g.withdrawable(get())
	if a := g.get(used); a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	elsewhere := get()
	elsewhere.Clients = []string{"192.0.2.0/24"}
	for _, test := range []struct {
		name   string
		token  tokens.Token
		header []string
		status int
		allow  string
	}{
		{"not permitted", g.mint(unlimited(get())), nil, 405, "GET, HEAD, OPTIONS"},
		{"unknown", tokens.Generate(), nil, 404, ""},
		{"from elsewhere", g.withdrawable(elsewhere), nil, 403, ""},
		{"without its passcode", g.withdrawable(coded(t, get())), nil, 401, ""},
		{"with its passcode", g.withdrawable(coded(t, get())), []string{"X-S3gate-Passcode", canaryCode}, 204, ""},
		{"used up", used, nil, 204, ""},
		{"an upload", g.withdrawable(put()), nil, 204, ""},
	} {
		a := g.do(g.request("DELETE", test.token, nil, test.header...))
		if a.StatusCode != test.status || a.Header.Get("Allow") != test.allow {
			t.Errorf("%s: %s, Allow %q; want %d, %q", test.name, a.Status, a.Header.Get("Allow"), test.status, test.allow)
		}
	}
	if a := g.put(g.withdrawable(unlimited(get())), "x"); a.Header.Get("Allow") != "GET, HEAD, DELETE, OPTIONS" {
		t.Errorf("Allow %q", a.Header.Get("Allow"))
	}
	g.redis.SetError("LOADING")
	if a := g.do(g.request("DELETE", used, nil)); a.StatusCode != 503 {
		t.Errorf("without Redis: %s", a.Status)
	}
	g.redis.SetError("")
}
