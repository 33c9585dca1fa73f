package guard_test

import (
	"context"
	"errors"
	"io"
	"net/http"
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
	}
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return answers[r.Method](r) })}
	if _, err := guard.Verify(t.Context(), s, client); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range s.deleted {
		key, query, _ := strings.Cut(d, "?")
		got = append(got, strings.TrimLeft(key[len(guard.CanaryPrefix):], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")+"?"+query)
	}
	// The store knows no versions and refuses: then the key is deleted.
	want := []string{"?versionId=v1", "?", "-anonymous?versionId=v2", "-anonymous?", "-put?versionId=v2", "-put?"}
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
