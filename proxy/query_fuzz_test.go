package proxy_test

import (
	"net/http"
	"testing"
)

// H3: whatever a client puts into the query, S3 is asked for the object and nothing else.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "acl", "versionId=x&acl", "acl;X-Amz-Signature=x", "a=1;acl=2", "%61cl=", "response-content-type=text/html", "list-type=2", "uploads",
		"uploadId=x&partNumber=1", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1", "?acl", "&&acl", "=&=acl", "a=%zz&acl", "%00acl", "\xff=acl", "ticket=x&acl", "download&acl", "preview=1",
	} {
		f.Add(seed)
	}
	g := newGate(f, http1)
	token := g.mint(unlimited(get()))
	f.Fuzz(func(t *testing.T, query string) {
		before := len(g.s3.log())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.server.URL+"/"+token.Reveal(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		resp, err := g.client.Do(r)
		if err != nil {
			return // no client can send it
		}
		resp.Body.Close()
		asked := g.s3.log()[before:]
		for _, got := range asked {
			if got.method != http.MethodGet || got.target != "/"+canaryBucket+"/"+canaryKey {
				t.Errorf("s3 was asked to %s %s", got.method, got.target)
			}
		}
		if resp.StatusCode == http.StatusOK && len(asked) != 1 {
			t.Errorf("%d requests reached s3", len(asked))
		}
	})
}
