package gate_test

import (
	"bytes"
	"errors"
	"testing"

	"s3gate/client"
	"s3gate/internal/config"
)

// Two gates on one Redis have one quota; limits count from the reload that sets
// them, and what they refuse is counted.
func TestMintLimits(t *testing.T) {
	w := newEmbedded(t)
	gates := []*testGate{w.gate(nil), w.gate(nil)}
	request := client.MintRequest{Operation: "get", Bucket: "docs", Key: "a", Subject: "ada"}
	mint := func(name string, g *testGate, limit string) {
		t.Helper()
		_, err := g.api.Mint(t.Context(), request)
		var problem *client.Error
		if limit == "" && err != nil || limit != "" && (!errors.As(err, &problem) || problem.Status != 429 || problem.Limit != limit) {
			t.Errorf("%s: %v, want %q", name, err, limit)
		}
	}
	set := func(l config.MintLimits) {
		t.Helper()
		for _, g := range gates {
			g.reload(w, func(c *config.Config) { c.API.Limits = l })
		}
	}
	mint("without a limit", gates[0], "")
	set(config.MintLimits{MintBurst: 100, OpenPerCaller: 3, OpenPerSubject: 2})
	mint("the first that counts", gates[0], "")
	mint("the second", gates[1], "")
	mint("the third of the subject", gates[0], "open_per_subject")
	request.Subject = ""
	mint("the third of the caller", gates[0], "")
	mint("the fourth", gates[1], "open_per_caller")
	set(config.MintLimits{MintBurst: 1, MintRate: 0.001})
	mint("slowly", gates[0], "")
	mint("too fast", gates[0], "mint_rate")
	mint("slowly through the other", gates[1], "")
	metrics := func(g *testGate) []byte { return do(t, "GET", g.OpsURL()+"/metrics", nil).body }
	for i, want := range [][]string{
		{`{limit="mint_rate"} 1`, `{limit="open_per_caller"} 0`, `{limit="open_per_subject"} 1`},
		{`{limit="mint_rate"} 0`, `{limit="open_per_caller"} 1`, `{limit="open_per_subject"} 0`},
	} {
		for _, line := range want {
			if all := metrics(gates[i]); !bytes.Contains(all, []byte("s3gate_api_limited_total"+line+"\n")) {
				t.Errorf("gate %d does not say %s", i, line)
			}
		}
	}
}
