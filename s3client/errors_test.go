package s3client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"s3gate/s3client"
)

// Whatever is sent as an error document, a code of the usual form comes out
// of it or nothing, and never a bucket, a key or a message (S4).
func TestReadErrorKeepsTheCodeAndNothingElse(t *testing.T) {
	const canary = "canary-bucket/canary-key"
	doc := func(inner string) string { return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + inner }
	tests := []struct {
		name string
		body string
		want string
	}{
		{"usual", doc(`<Error><Code>NoSuchKey</Code><Message>` + canary + `</Message><Key>` + canary + `</Key></Error>`), "NoSuchKey"},
		{"code at the end", doc(`<Error><Message>` + canary + `</Message><Code>NoSuchKey</Code></Error>`), "NoSuchKey"},
		{"with a namespace", doc(`<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>AccessDenied</Code></Error>`), "AccessDenied"},
		{"without a declaration", `<Error><Code>SlowDown</Code></Error>`, "SlowDown"},
		{"with a dot", `<Error><Code>InvalidArgument.X</Code></Error>`, "InvalidArgument.X"},
		{"empty", "", ""},
		{"no document", canary, ""},
		{"HTML", "<html><body>" + canary + "</body></html>", ""},
		{"JSON", `{"Code":"NoSuchKey"}`, ""},
		{"other root", `<Result><Code>NoSuchKey</Code></Result>`, ""},
		{"code further down", `<Error><Message><Code>NoSuchKey</Code></Message></Error>`, ""},
		{"no code", `<Error><Message>` + canary + `</Message></Error>`, ""},
		{"empty code", `<Error><Code></Code></Error>`, ""},
		{"canary as code", `<Error><Code>` + canary + `</Code></Error>`, ""},
		{"code with a line break", "<Error><Code>No\nSuchKey</Code></Error>", ""},
		{"code with markup", "<Error><Code>&lt;script&gt;</Code></Error>", ""},
		{"code with an escape", "<Error><Code>&#x1b;[31mred</Code></Error>", ""},
		{"code of 64", "<Error><Code>" + strings.Repeat("A", 64) + "</Code></Error>", strings.Repeat("A", 64)},
		{"code of 65", "<Error><Code>" + strings.Repeat("A", 65) + "</Code></Error>", ""},
		{"truncated", "<Error><Code>NoSuchKey</Code><Mess", ""},
		{"entities", `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Error><Code>&b;</Code></Error>`, ""},
		{"file", `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Error><Code>&f;</Code></Error>`, ""},
		{"other encoding", `<?xml version="1.0" encoding="UTF-16"?><Error><Code>NoSuchKey</Code></Error>`, ""},
		{"deep", strings.Repeat("<a>", 20_000), ""},
		{"code beyond the bound", "<Error><Message>" + strings.Repeat("x", 64<<10) + "</Message><Code>NoSuchKey</Code></Error>", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := newBody(strings.NewReader(tt.body))
			resp := &http.Response{StatusCode: 404, Header: http.Header{"X-Amz-Request-Id": {"4442587FB7D0A2F9"}}, Body: sent}
			e := s3client.ReadError(resp)
			if e.Status != 404 || e.Code != tt.want || e.RequestID != "4442587FB7D0A2F9" {
				t.Errorf("got %+v, want code %q", e, tt.want)
			}
			if strings.Contains(e.Error(), "canary") || strings.ContainsAny(e.Error(), "\n\x1b<") {
				t.Errorf("text %q", e.Error())
			}
			sent.wantClosed(t)
		})
	}
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		name string
		err  s3client.Error
		want string
	}{
		{"all", s3client.Error{Status: 404, Code: "NoSuchKey", RequestID: "ABC"}, "s3 answered 404 NoSuchKey (request ABC)"},
		{"status alone", s3client.Error{Status: 503}, "s3 answered 503 without a code (request unnamed)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A request ID is for support, and is not trusted to be one.
func TestRequestIDIsKeptIfItLooksLikeOne(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"amazon", "4442587FB7D0A2F9", "4442587FB7D0A2F9"},
		{"ceph", "tx000001-0067-default", "tx000001-0067-default"},
		{"base64", "eftixk72aD6Ap51T/x+=", "eftixk72aD6Ap51T/x+="},
		{"none", "", ""},
		{"text", "see canary-bucket for more", ""},
		{"long", strings.Repeat("A", 65), ""},
		{"not ASCII", "ä", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := &http.Response{Header: http.Header{"X-Amz-Request-Id": {tt.header}}, Body: http.NoBody}
			if got := s3client.ReadError(resp).RequestID; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// endless is an error document without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, strings.Repeat("x", len(p))), nil
}

func TestReadErrorIsBounded(t *testing.T) {
	e := &endless{}
	got := s3client.ReadError(&http.Response{StatusCode: 500, Body: io.NopCloser(e)})
	if got.Code != "" || e.read > 64<<10 {
		t.Errorf("read %d bytes, code %q", e.read, got.Code)
	}
}

func FuzzReadError(f *testing.F) {
	f.Add("<Error><Code>NoSuchKey</Code></Error>", "4442587FB7D0A2F9")
	f.Add(expiredDocument, "")
	f.Add("<Error><Code>a</Code><Code>b\n</Code></Error>", "x y")
	f.Fuzz(func(t *testing.T, document, id string) {
		e := s3client.ReadError(&http.Response{
			Header: http.Header{"X-Amz-Request-Id": {id}}, Body: io.NopCloser(strings.NewReader(document)),
		})
		for _, s := range []string{e.Code, e.RequestID} {
			if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '%' }) {
				t.Errorf("%q came through", s)
			}
		}
	})
}
