package gate_test

import (
	"bytes"
	"net/http"
	"testing"

	"s3gate/internal/config"
)

// Profiles are for operators: they are not where the API is, also when the metrics
// are there.
func TestProfiles(t *testing.T) {
	own := func(c *config.Config) { c.Ops.Addr = "localhost:0" }
	for _, tt := range []struct {
		name   string
		change func(*config.Config)
		api    bool // ask there
		path   string
		status int
	}{
		{"heap", own, false, "heap", http.StatusOK},
		{"goroutines", own, false, "goroutine", http.StatusOK},
		{"CPU", own, false, "profile?seconds=1", http.StatusOK},
		{"command line", own, false, "cmdline", http.StatusNotFound},
		{"API beside it", own, true, "heap", http.StatusNotFound},
		{"API with the metrics", nil, true, "heap", http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newEmbedded(t).gate(tt.change)
			base := g.OpsURL()
			if tt.api {
				base = g.APIURL()
			}
			a := do(t, "GET", base+"/debug/pprof/"+tt.path, nil)
			if a.status != tt.status {
				t.Errorf("answers %d, want %d", a.status, tt.status)
			}
			if gzip := bytes.HasPrefix(a.body, []byte{0x1f, 0x8b}); gzip != (tt.status == http.StatusOK) {
				t.Errorf("is a profile: %v", gzip)
			}
		})
	}
}
