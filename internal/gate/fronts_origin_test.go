package gate_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"s3gate/internal/config"
)

// The secret of the front is rotated in three steps while gate and front serve, and who
// gets past the front gets nothing at any time.
func TestFrontsProveThemselves(t *testing.T) {
	const (
		old, fresh = "canary-the-old-secret", "canary-the-new-secret"
		said       = "the text of origin.secret"
	)
	for name, start := range map[string]func(*testing.T, behind, behind, ...string) *front{"nginx": nginxFront, "HAProxy": haproxyFront} {
		t.Run(name, func(t *testing.T) {
			w := newEmbedded(t)
			w.t = t
			w.store("o", "text/plain", []byte("object"))
			g := w.gate(func(c *config.Config) { c.Origin.Secret = old })
			token := g.mint("get", "o", nil)
			before, after := start(t, g.behind(), g.behind(), "# "+lines[name], lines[name], said, old),
				start(t, g.behind(), g.behind(), "# "+lines[name], lines[name], said, fresh)
			check := func(step string, through *front, status int, header ...string) {
				t.Helper()
				a, err := try(t.Context(), through.transport(t, true, "127.0.0.2"), "GET", through.link(token), nil, header...)
				if err != nil || a.status != status {
					t.Errorf("%s: %d, %v, want %d", step, a.status, err, status)
				}
				past, err := try(t.Context(), http.DefaultTransport, "GET", token.URL, nil, header...)
				if err != nil || past.status != 403 {
					t.Errorf("%s, past the front: %d, %v", step, past.status, err)
				}
			}
			check("at first", before, 200)
			check("with what a client makes up", before, 200, "X-Origin-Secret: a secret of the client's")
			check("a front with another secret", after, 403)
			g.reload(w, func(c *config.Config) { c.Origin.Secret, c.Origin.PreviousSecret = old, fresh })
			check("the gate takes both, the front sends the old one", before, 200)
			check("the gate takes both, the front sends the new one", after, 200)
			g.reload(w, func(c *config.Config) { c.Origin.Secret = fresh })
			check("the gate takes the new one", after, 200)
			check("the old one is worth nothing", before, 403)
			metrics := do(t, "GET", g.APIURL()+"/metrics", nil).body
			if !bytes.Contains(metrics, []byte("s3gate_origin_refusals_total 9\n")) {
				t.Errorf("9 were refused: %s", metrics[bytes.Index(metrics, []byte("s3gate_origin")):])
			}
			if strings.Contains(w.log.String(), "canary-the") || bytes.Contains(metrics, []byte("canary-the")) {
				t.Error("the log or the metrics hold a secret")
			}
		})
	}
}

// lines are what sends the secret, in the files of deploy behind a number sign.
var lines = map[string]string{
	"nginx":   `proxy_set_header X-Origin-Secret`,
	"HAProxy": `http-request set-header X-Origin-Secret`,
}
