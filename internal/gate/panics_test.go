package gate_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/internal/gate"
)

// A mistake in a handler ends its request and nothing else. It is in the log, with where
// it was and without what the request held, and is counted.
func TestPanics(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(nil)
	var none []int
	for _, tt := range []struct {
		path  string
		value any // nil is what the runtime says
		said  string
	}{
		{"/runtime", nil, "index out of range [3] with length 0"},
		{"/error", errors.New("s3g_secret"), "*errors.errorString"},
		{"/value", struct{ token string }{"s3g_secret"}, "struct { token string }"},
		{"/text", "there is no such thing", "there is no such thing"},
	} {
		h := gate.Catching(g.Gate, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if tt.value == nil {
				_ = none[len(tt.said)-len("index out of range [3] with length 0")+3]
			}
			panic(tt.value)
		}))
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%s: net/http hears %v", tt.path, p)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", tt.path+"/s3g_secret", nil))
		}()
		if text := w.log.String(); !strings.Contains(text, tt.said) || !strings.Contains(text, "TestPanics") || strings.Contains(text, "s3g_secret") {
			t.Errorf("%s: the log has\n%s", tt.path, text)
		}
	}
	aborted := gate.Catching(g.Gate, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	func() {
		defer func() { _ = recover() }()
		aborted.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	if n := metric(t, g, "s3gate_panics_total"); n != 4 {
		t.Errorf("%d are counted, want 4", n)
	}
}

// What keeps a gate from accepting connections is an error, and what clients do wrong
// is not.
func TestLogOfServers(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	gate.LogOfServers(logger, "http: TLS handshake error from 192.0.2.1:1: EOF\n")
	if log.Len() > 0 {
		t.Errorf("said %s", log.String())
	}
	gate.LogOfServers(logger, "http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 5ms\n")
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "too many open files") {
		t.Errorf("said %s", text)
	}
}
