package gate_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"s3gate/auth"
	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// secrets are what must be nowhere, by what they are.
type secrets map[string]string

// nowhereIn fails the test if a secret is in a text, which must have the mark that shows
// that it is the right one.
func (s secrets) nowhereIn(t *testing.T, where string, text []byte, mark string) {
	t.Helper()
	if !bytes.Contains(text, []byte(mark)) {
		t.Errorf("%s does not even have %q: this test sees nothing of it", where, mark)
	}
	for name, secret := range s {
		if form := s3gatetest.Leaked(text, secret); form != "" {
			t.Errorf("%s has the %s %s", where, name, form)
		}
	}
}

// tokenOf is the token in a link.
func tokenOf(link string) string {
	return strings.SplitN(link[strings.Index(link, "s3g_"):], "/", 2)[0]
}

// Tokens, passcodes, JWTs and keys are in nothing that a gate tells of itself: not in
// traces, logs, metrics, events, pages or profiles.
func TestSecretsAreNowhere(t *testing.T) {
	const passcode, query, hidden = "canary-passcode-7391", "canary-query-5527", "canary-key-of-an-object-8846"
	collector := s3gatetest.NewCollector(t)
	w := newEmbedded(t)
	w.store("a.txt", "text/plain", []byte("content"))
	w.store(hidden, "text/plain", []byte("content"))
	dir := t.TempDir()
	g := w.open(func(c *config.Config) {
		c.Ops.Addr = "127.0.0.1:0"
		c.Log.Level = "debug"
		c.AccessLog.File, c.AccessLog.Refusals = filepath.Join(dir, "access.log"), 1000
		c.Audit.File = filepath.Join(dir, "audit.log")
		c.Upload.SingleMax, c.Upload.PartSize = 5<<20, 5<<20
		// A bucket whose store is away, and one that does not know the key.
		away, unknown := c.Buckets["docs"], c.Buckets["docs"]
		away.Endpoint, away.Verify = "http://127.0.0.1:1", false
		unknown.SecretAccessKey, unknown.Verify = "canary-secret-of-s3-4410-and-more", false
		query := c.Buckets["docs"]
		query.Signing, query.Verify = "query", false
		c.Buckets["away"], c.Buckets["unknown"], c.Buckets["query"] = away, unknown, query
	})
	all := secrets{
		"passcode": passcode, "JWT": g.bearer, "signature of the JWT": g.bearer[strings.LastIndexByte(g.bearer, '.')+1:],
		"key of JWTs": string(jwtKey), "key of S3": w.s3.Secret, "wrong key of S3": "canary-secret-of-s3-4410-and-more",
	}
	user, err := auth.Sign(jwtKey, auth.Caller{Subject: "canary-user"}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	all["JWT of a user"] = user

	// Links of every kind, asked for in every way.
	coded := func(r *client.MintRequest) { r.Passcode = passcode }
	links := map[string]string{
		"of one use": g.mint("get", "a.txt", uses(1)).URL, "with a passcode": g.mint("get", "a.txt", coded).URL,
		"to what is hidden": g.mint("get", hidden, uses(0)).URL, "to what is missing": g.mint("get", "missing", nil).URL,
		"for an upload": g.mint("put", "u.txt", uses(5)).URL,
		"to a folder":   g.mint("get", "", func(r *client.MintRequest) { r.Prefix, r.List = "a", true }).URL,
		"that revokes":  g.mint("get", "a.txt", func(r *client.MintRequest) { r.SelfRevoke = new(true) }).URL,
	}
	for _, bucket := range []string{"away", "unknown", "query"} {
		links["to the bucket "+bucket] = g.mint("get", hidden, func(r *client.MintRequest) { r.Bucket = bucket }).URL
	}
	var pages bytes.Buffer
	for name, link := range links {
		token := tokenOf(link)
		all["token "+name] = token
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+passcode))
		for _, ask := range [][]string{
			{"GET", link, "X-S3gate-Passcode: wrong " + passcode, "Accept: application/json"},
			{"GET", link, "Authorization: " + basic, "Accept: text/html", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=" + token, "Baggage: a=" + token},
			{"GET", link + "?passcode=" + passcode + "&q=" + query, "User-Agent: see " + link, "Referer: " + link, "Cookie: a=" + token},
			{"HEAD", link, "X-Request-Id: " + token},
			{"PUT", link, "X-S3gate-Passcode: " + passcode, "Content-Type: " + token},
			{"POST", link, "Content-Type: application/x-www-form-urlencoded", "Tus-Resumable: 1.0.0"},
			{"BREW", link}, {"OPTIONS", link, "Origin: https://example.com"},
			{"GET", link[:len(link)-1], "Accept: text/html"}, {"GET", g.LinksURL() + "/" + token + "/../../" + token},
			{"DELETE", link},
		} {
			var body []byte
			if ask[0] == "PUT" || ask[0] == "POST" {
				body = []byte("passcode=" + passcode)
			}
			a, err := try(t.Context(), http.DefaultTransport, ask[0], ask[1], body, ask[2:]...)
			if err != nil {
				continue // the gate may have broken it off
			}
			if a.status >= 400 {
				pages.Write(a.body) // who has failed shows these around
			}
		}
	}
	large := g.mint("put", "large", nil).URL
	all["token of a large upload"] = tokenOf(large)
	do(t, "PUT", large, make([]byte, 11<<20), "X-Amz-Meta-A: "+tokenOf(large))
	for _, bearer := range []string{user, g.bearer, g.bearer + "x"} {
		for _, path := range []string{"/v1/tokens", "/v1/events", "/v1/tokens/" + tokenOf(large), "/v1/transfers?token=" + tokenOf(large), "/nowhere/" + tokenOf(large)} {
			do(t, "GET", g.APIURL()+path, nil, "Authorization: Bearer "+bearer, "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		}
	}
	if _, err := g.api.RevokeBy(t.Context(), client.Rule{Subject: "nobody", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}

	var profiles bytes.Buffer
	for _, path := range []string{"goroutine?debug=2", "goroutine", "heap?gc=1", "heap?debug=1", "allocs", "block?debug=1", "mutex?debug=1", "threadcreate?debug=1", "trace?seconds=0.3"} {
		profiles.Write(unzipped(t, do(t, "GET", g.OpsURL()+"/debug/pprof/"+path, nil).body))
		profiles.Write(do(t, "GET", g.APIURL()+"/debug/pprof/"+path, nil, "Authorization: Bearer "+g.bearer).body)
	}
	metrics := do(t, "GET", g.OpsURL()+"/metrics", nil).body
	events := do(t, "GET", g.APIURL()+"/v1/events?limit=1000", nil, "Authorization: Bearer "+g.bearer).body
	if err := g.Gate.Close(); err != nil { // so that everything is written
		t.Fatal(err)
	}
	all.nowhereIn(t, "the log", []byte(w.log.String()), `"msg":"link request"`)
	all.nowhereIn(t, "the access log", bytesOf(t, dir, "access.log"), `"outcome":"StorageError"`)
	all.nowhereIn(t, "the audit log", bytesOf(t, dir, "audit.log"), "s3gate.token.receipt.v1")
	all.nowhereIn(t, "the metrics", metrics, "s3gate_s3_requests_total")
	all.nowhereIn(t, "the events", events, "s3gate.token.refused.v1")
	all.nowhereIn(t, "a profile", profiles.Bytes(), "goroutine ")
	// A page may name the link that was asked for, but nothing else.
	for name := range all {
		if strings.HasPrefix(name, "token ") {
			delete(all, name)
		}
	}
	all.nowhereIn(t, "a page of an error", pages.Bytes(), "LinkUsed")
	for name, link := range links {
		all["token "+name] = tokenOf(link)
	}
	// Traces also have no keys, queries, subjects or addresses.
	all["key of an object"], all["query"], all["subject"], all["address"] = hidden, query, "canary-user", "127.0.0.1"
	for _, want := range []string{"link GET", "redis redeem.lua", "s3 GetObject", "s3 UploadPart", "apply rule", "api GET /v1/tokens"} {
		all.nowhereIn(t, "the traces", []byte(collector.Text()), want)
	}
}

// bytesOf is what a file holds.
func bytesOf(t *testing.T, path ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func unzipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// What a process prints that is ended by SIGQUIT, or by a crash, are the stacks of all
// that it does: numbers, and no texts.
func TestSecretsAreInNoStack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGQUIT")
	}
	const passcode = "canary-passcode-7391"
	w := newEmbedded(t)
	w.store("big", "application/octet-stream", make([]byte, 32<<20))
	o := orders{S3: w.s3, Redis: w.redis, Dir: t.TempDir()}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := os.Create(filepath.Join(o.Dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(slices.Clone(os.Environ()), ordersVariable+"="+string(text), "GOTRACEBACK=all")
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	var at places
	eventually(t, "the gate serves", func() bool {
		raw, err := os.ReadFile(o.ready())
		return err == nil && json.Unmarshal(raw, &at) == nil
	})
	bearer, err := auth.Sign(jwtKey, auth.Caller{Subject: "tester", Admin: true}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(1)
	token, err := client.New(at.API, bearer).Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "docs", Key: "big", MaxUses: &n, Passcode: passcode})
	if err != nil {
		t.Fatal(err)
	}
	// A download that is under way, and a call of the API that follows something.
	for url, header := range map[string][2]string{
		at.Links + token.URL[strings.Index(token.URL, "/s3g_"):]: {"X-S3gate-Passcode", passcode},
		at.API + "/v1/events": {"Authorization", "Bearer " + bearer},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(header[0], header[1])
		r.Header.Set("Accept", "text/event-stream")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %s", header[0], resp.Status)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("SIGQUIT does not end it")
	}
	secrets{
		"token": tokenOf(token.URL), "passcode": passcode, "JWT": bearer, "key of JWTs": string(jwtKey), "key of S3": w.s3.Secret,
	}.nowhereIn(t, "what it has printed", bytesOf(t, o.Dir, "printed"), "s3gate/proxy.(*exchange).download")
}
