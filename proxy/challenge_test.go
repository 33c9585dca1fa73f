package proxy_test

import (
	"strings"
	"testing"
)

// What a page fetches when its ticket has run out, a preview or a piece of an upload,
// makes no browser put its own dialog up.
func TestPasscodeWithoutADialog(t *testing.T) {
	g := newGate(t, http1)
	for _, test := range []struct {
		name, query string
		header      []string
		dialog      bool
	}{
		{"a preview", "ticket=old", []string{"Accept", "image/avif,image/webp,*/*;q=0.8", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, false},
		{"a preview without Fetch Metadata", "ticket=old", []string{"Accept", "image/avif,image/webp,*/*;q=0.8"}, false},
		{"a script", "", []string{"Accept", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, false},
		{"a script of the same origin", "", []string{"Accept", "application/json", "Sec-Fetch-Mode", "same-origin"}, false},
		{"curl", "", []string{"Accept", "*/*"}, true},
		{"wget", "", nil, true},
	} {
		r := g.request("GET", g.mint(coded(t, get())), nil, test.header...)
		r.URL.RawQuery = test.query
		a := g.do(r)
		if got := strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic "); a.StatusCode != 401 || got != test.dialog {
			t.Errorf("%s: %s, WWW-Authenticate %q", test.name, a.Status, a.Header.Get("WWW-Authenticate"))
		}
	}
}
