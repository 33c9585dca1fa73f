package guard_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"s3gate/guard"
	"s3gate/s3client"
)

// The canaries go whatever happens in between.
func TestCanariesAreRemovedWhenVerifyIsCutShort(t *testing.T) {
	for _, after := range []string{http.MethodPut, http.MethodGet} {
		admin, _ := newBucket(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		s := &through{Bucket: admin, do: func(r *s3client.Request, _ *http.Response) {
			if r.Method == after {
				cancel()
			}
		}}
		report, err := guard.Verify(ctx, s, nil)
		if err == nil || report.Locked {
			t.Errorf("after %s: locked %v, %v", after, report.Locked, err)
		}
		if left := keys(t, admin); len(left) > 0 || len(s.deleted) == 0 || report.Left != nil {
			t.Errorf("after %s: left behind %q", after, left)
		}
	}
}

// An answer that is lost may be that of a write.
func TestCanariesAreRemovedWhenAnswersAreLost(t *testing.T) {
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		admin, _ := newBucket(t, "")
		inner := s3client.NewTransport(s3client.TransportConfig{})
		defer inner.CloseIdleConnections()
		stored := false
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			if err == nil && r.Method == method {
				resp.Body.Close()
				stored = len(keys(t, admin)) > 1
				return nil, errors.New("answer lost")
			}
			return resp, err
		})}
		if _, err := guard.Verify(t.Context(), admin, client); err == nil || !stored {
			t.Errorf("%s: stored %v, %v", method, stored, err)
		}
		if left := keys(t, admin); len(left) > 0 {
			t.Errorf("%s: left behind %q", method, left)
		}
	}
}

func TestCanariesThatCannotBeRemovedAreNamed(t *testing.T) {
	admin, gate := newBucket(t, deny("s3:DeleteObject", ""))
	report, err := guard.Verify(t.Context(), gate, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := keys(t, admin)
	if len(left) != 3 || !slices.Equal(report.Left, left) {
		t.Errorf("reported %q, left behind %q", report.Left, left)
	}
	for _, key := range left {
		if !strings.HasPrefix(key, guard.CanaryPrefix) {
			t.Errorf("%s does not begin with %s", key, guard.CanaryPrefix)
		}
	}
}

// Where the bucket keeps versions, those of the canaries go, and no deletion
// marker is made for what was refused.
func TestCanariesAreRemovedByVersion(t *testing.T) {
	admin, _ := newBucket(t, "")
	s := &through{Bucket: admin, do: func(r *s3client.Request, resp *http.Response) {
		if r.Method == http.MethodPut {
			resp.Header.Set("X-Amz-Version-Id", "v1")
		}
	}}
	answers := map[string]roundTrip{
		http.MethodGet:  reply(200, nil, ""),
		http.MethodHead: reply(200, nil, ""),
		http.MethodPut:  reply(200, http.Header{"X-Amz-Version-Id": {"v2"}}, ""),
		http.MethodPost: reply(403, nil, "<Error><Code>AccessDenied</Code></Error>"),
		// The mark of a deleted object.
		http.MethodDelete: reply(204, http.Header{"X-Amz-Version-Id": {"v3"}}, ""),
	}
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return answers[r.Method](r) })}
	report, err := guard.Verify(t.Context(), s, client)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Left) != 4 { // none of the versions went
		t.Errorf("left are %q", report.Left)
	}
	var got []string
	for _, d := range s.deleted {
		key, query, _ := strings.Cut(d, "?")
		got = append(got, strings.TrimLeft(key[len(guard.CanaryPrefix):], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")+"?"+query)
	}
	// The store knows no versions and refuses: then the key is deleted.
	want := []string{"?versionId=v1", "?", "-anonymous?versionId=v2", "-anonymous?", "-delete?versionId=v3", "-delete?", "-put?versionId=v2", "-put?"}
	if !slices.Equal(got, want) {
		t.Errorf("deleted %q, want %q", got, want)
	}
}

func TestACanaryThatComesBackChangedIsAnError(t *testing.T) {
	admin, _ := newBucket(t, lockedText(t))
	s := &through{Bucket: admin, do: func(r *s3client.Request, resp *http.Response) {
		if r.Method == http.MethodGet {
			resp.Body.Close()
			resp.Body = io.NopCloser(strings.NewReader("canary"))
		}
	}}
	if report, err := guard.Verify(t.Context(), s, nil); err == nil || report.Locked {
		t.Errorf("locked %v, %v", report.Locked, err)
	}
	if left := keys(t, admin); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
}

// A bucket may refuse what does not say how to encrypt it. Then every request that
// stores something says so: what is refused for want of it proves no lock.
func TestCanariesSayHowToEncryptThem(t *testing.T) {
	const want = `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::vault/*","Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}}`
	header := http.Header{"X-Amz-Server-Side-Encryption": {"AES256"}}
	_, gate := newBucket(t, `{"Version":"2012-10-17","Statement":[`+want+`,`+lockedStatements(t)+`]}`)
	if r, err := guard.VerifyWith(t.Context(), gate, guard.VerifyOptions{Header: header}); err != nil || !r.Locked {
		t.Errorf("locked %v, %v: %+v", r.Locked, err, r.Checks)
	}
	_, gate = newBucket(t, `{"Version":"2012-10-17","Statement":[`+want+`]}`)
	r, err := guard.VerifyWith(t.Context(), gate, guard.VerifyOptions{Header: header})
	if got := wrong(r); err != nil || !slices.Equal(got, presignedChecks) {
		t.Errorf("got through: %q, %v: %+v", got, err, r.Checks)
	}
}

// What a presigned request has begun is aborted, and named if that fails.
func TestUploadsThatWereBegunAreAborted(t *testing.T) {
	for _, document := range []string{"", deny("s3:AbortMultipartUpload", "")} {
		admin, gate := newBucket(t, document)
		r, err := guard.Verify(t.Context(), gate, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := admin.Do(t.Context(), &s3client.Request{Method: http.MethodGet, Query: url.Values{"uploads": {""}}})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		begun := strings.Contains(string(text), "<UploadId>")
		if begun != (document != "") || begun != (len(r.Left) == 1) {
			t.Errorf("begun %v, left %q: %s", begun, r.Left, text)
		}
	}
}
