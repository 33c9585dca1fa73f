package gate_test

import (
	"slices"
	"testing"

	"s3gate/client"
)

// Of a bucket one sees in green that it is locked, and in red when it is not any
// more; an audit says what protects it, with what mends the rest.
func TestConsoleShowsBuckets(t *testing.T) {
	c, w := newChrome(t), newEmbedded(t)
	w.lock(true)
	g := w.gate(w.asGate)
	o := newOperator(c, g.APIURL(), g.bearer)
	o.signIn("buckets", g.bearer)
	o.until("it is locked", `document.querySelector(".card .badge.good")?.textContent === "locked"`)
	w.lock(false)
	o.click(".card", "Verify now")
	o.until("it is not", `document.querySelector(".card .badge.bad")?.textContent === "not locked" && document.querySelectorAll(".checks li.bad").length > 0`)
	o.click(".card", "Audit")
	o.until("the audit", `document.querySelectorAll(".audit li").length > 5 && document.querySelector(".audit li.bad code")?.textContent.startsWith("s3gate bucket harden docs")`)
	o.wantLine("s3gate bucket audit docs")
	c.accessible("the audit")
}

// The gate's own credentials are enough to look, and what they may not see is said.
func TestBucketIsAudited(t *testing.T) {
	w := newEmbedded(t)
	w.lock(true)
	g := w.gate(w.asGate)
	audit, err := g.api.AuditBucket(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	if audit.Bucket != "docs" || len(audit.Settings) < 5 || len(audit.Lock) == 0 {
		t.Fatalf("%+v", audit)
	}
	if !slices.ContainsFunc(audit.Lock, func(f client.BucketFinding) bool { return f.State == "unknown" }) {
		t.Errorf("credentials that may not read the policy find %+v", audit.Lock)
	}
}
