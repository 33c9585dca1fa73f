package proxy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
)

func TestMetrics(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get()))
	g.get(token)
	g.get(token)
	g.do(g.request("HEAD", token, nil))
	g.do(g.request("BREW", token, nil))
	g.put(g.mint(limited(tokens.Upload{Overwrite: true})), "1234567")
	g.Multipart.SingleMax, g.Multipart.PartSize = 10, 10
	g.put(g.mint(limited(tokens.Upload{Overwrite: true})), content)
	g.get(tokens.Generate(), "Accept", "text/html")
	leaveBeforeTheAnswer(g, token)
	// A client may see the end of its answer before it is counted.
	var text, missing string
	counted := func() bool {
		text, missing = g.metricsText(), ""
		for _, want := range []string{
			"s3gate_link_requests_total bucket=media code=2xx method=GET 2",
			"s3gate_link_requests_total bucket=media code=2xx method=HEAD 1",
			"s3gate_link_requests_total bucket=media code=2xx method=PUT 2",
			"s3gate_uploads_total bucket=media how=one 1",
			"s3gate_uploads_total bucket=media how=parts 1",
			"s3gate_link_requests_total bucket=media code=gone method=GET 1",
			"s3gate_link_requests_total bucket=none code=4xx method=GET 1",
			"s3gate_link_requests_total bucket=none code=4xx method=other 1",
			"s3gate_link_bytes_total bucket=media direction=in 32",
			"s3gate_link_bytes_total bucket=media direction=out 50",
		} {
			if !strings.Contains(text, want+"\n") {
				missing = want
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(soon); !counted(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s in\n%s", missing, text)
		}
	}
	if strings.Contains(text, "BREW") {
		t.Errorf("a client names a method:\n%s", text)
	}
}

// There is one line for each request, which names the token by its ID.
func TestLog(t *testing.T) {
	g := newGate(t, http1)
	token := g.mint(unlimited(get()))
	a := g.get(token)
	eventually(t, "the line", func() bool { return strings.HasSuffix(g.log.String(), "\n") })
	var line struct {
		Msg, Level, Request, Method, Token, Bucket, Err string
		Status                                          int
		BytesOut                                        int64 `json:"bytes_out"`
	}
	if err := json.Unmarshal([]byte(g.log.String()), &line); err != nil {
		t.Fatalf("%v in\n%s", err, g.log)
	}
	if line.Msg != "link request" || line.Level != "INFO" || line.Request != a.Header.Get("X-Request-Id") || line.Method != "GET" ||
		line.Token != string(token.ID()) || line.Bucket != "media" || line.Status != 200 || line.BytesOut != 25 || line.Err != "" {
		t.Errorf("logged %+v", line)
	}
}

// Neither a logger nor metrics are required.
func TestHandlerWithoutObservers(t *testing.T) {
	g := newGate(t, http1)
	g.Logger, g.Metrics = nil, nil
	if a := g.get(g.mint(get())); a.body != content {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if a := g.get(tokens.Generate()); a.StatusCode != 404 {
		t.Errorf("%s %s", a.Status, a.body)
	}
}
