package gate_test

import (
	"encoding/json"
	"testing"

	"s3gate/revocation"
)

// revoke sends a rule to a gate.
func revoke(t *testing.T, g *testGate, rule string) revocation.Receipt {
	t.Helper()
	a := callAPI(t, g, "POST", "/v1/revocations", rule)
	var receipt revocation.Receipt
	if err := json.Unmarshal(a.body, &receipt); err != nil || a.status != 200 {
		t.Fatalf("revoking %s: %d %s", rule, a.status, a.body)
	}
	return receipt
}

func callAPI(t *testing.T, g *testGate, method, path, body string) answer {
	t.Helper()
	return do(t, method, g.APIURL()+path, []byte(body), "Authorization: Bearer "+g.bearer, "Content-Type: application/json")
}
