package gate_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/internal/config"
)

// Profiles are for operators: on their listener for all, on the API's for
// administrators.
func TestProfiles(t *testing.T) {
	own := func(c *config.Config) { c.Ops.Addr, c.Ops.ProfileLimit = "localhost:0", 2*time.Second }
	off := func(c *config.Config) { c.API.Profiles = false }
	sign := func(c auth.Caller) string {
		bearer, err := auth.Sign(jwtKey, c, "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + bearer
	}
	admin, user := sign(auth.Caller{Subject: "ops", Admin: true}), sign(auth.Caller{Subject: "somebody"})
	for _, tt := range []struct {
		name   string
		change func(*config.Config)
		api    bool // ask there
		caller string
		method string
		path   string
		status int
	}{
		{"heap", own, false, "", "GET", "heap", http.StatusOK},
		{"goroutines", own, false, "", "GET", "goroutine", http.StatusOK},
		{"CPU", own, false, "", "GET", "profile?seconds=1", http.StatusOK},
		{"CPU for too long", own, false, "", "GET", "profile?seconds=3", http.StatusBadRequest},
		{"CPU for how long it likes", own, false, "", "GET", "profile", http.StatusBadRequest},
		{"CPU for none", own, false, "", "GET", "profile?seconds=0", http.StatusBadRequest},
		{"CPU for a part of one", own, false, "", "GET", "profile?seconds=0.5", http.StatusBadRequest},
		{"CPU, written otherwise", own, false, "", "GET", "profile?seconds=1e0", http.StatusBadRequest},
		{"a trace for too long", own, false, "", "GET", "trace?seconds=1e9", http.StatusBadRequest},
		{"a time that is none", own, false, "", "GET", "heap?seconds=NaN", http.StatusBadRequest},
		{"command line", own, false, "", "GET", "cmdline", http.StatusNotFound},
		{"symbols", own, false, "", "POST", "symbol", http.StatusNotFound},
		{"API, nobody", own, true, "", "GET", "heap", http.StatusUnauthorized},
		{"API, a JWT that is none", own, true, "Authorization: Bearer x", "GET", "heap", http.StatusUnauthorized},
		{"API, a user", own, true, user, "GET", "heap", http.StatusForbidden},
		{"API, a user, the command line", own, true, user, "GET", "cmdline", http.StatusForbidden},
		{"API, an administrator", own, true, admin, "GET", "heap", http.StatusOK},
		{"API, an administrator, CPU", own, true, admin, "GET", "profile?seconds=1", http.StatusOK},
		{"API, an administrator, for too long", own, true, admin, "GET", "trace?seconds=3", http.StatusBadRequest},
		{"API, an administrator, the command line", own, true, admin, "GET", "cmdline", http.StatusNotFound},
		{"API, another method", own, true, admin, "POST", "heap", http.StatusMethodNotAllowed},
		{"API, a profile that is none", own, true, admin, "GET", "secrets", http.StatusNotFound},
		{"API with the metrics, nobody", nil, true, "", "GET", "heap", http.StatusUnauthorized},
		{"API, turned off", off, true, admin, "GET", "heap", http.StatusNotFound},
		{"API, turned off, nobody", off, true, "", "GET", "heap", http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newEmbedded(t).gate(tt.change)
			base := g.OpsURL()
			if tt.api {
				base = g.APIURL()
			}
			var header []string
			if tt.caller != "" {
				header = append(header, tt.caller)
			}
			a := do(t, tt.method, base+"/debug/pprof/"+tt.path, nil, header...)
			if a.status != tt.status {
				t.Errorf("answers %d, want %d: %s", a.status, tt.status, a.body)
			}
			if gzip := bytes.HasPrefix(a.body, []byte{0x1f, 0x8b}); gzip != (tt.status == http.StatusOK) {
				t.Errorf("is a profile: %v", gzip)
			}
			if tt.status == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Error("does not ask for a JWT")
			}
		})
	}
}

// A profile that is refused is one of nobody else's making either: what waits is not
// sampled unless that is asked for.
func TestNothingIsSampledUnasked(t *testing.T) {
	g := newEmbedded(t).gate(func(c *config.Config) { c.Ops.Addr = "localhost:0" })
	for _, name := range []string{"block", "mutex"} {
		a := do(t, "GET", g.OpsURL()+"/debug/pprof/"+name+"?debug=1", nil)
		for line := range strings.Lines(string(a.body)) {
			if strings.Contains(line, " @ ") {
				t.Errorf("%s has samples: %s", name, line)
				break
			}
		}
	}
}
