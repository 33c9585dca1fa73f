package gate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"s3gate/client"
	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/devs3"
	"s3gate/internal/s3gatetest"
	"s3gate/policy"
	"s3gate/s3client"
)

// narrow is a world whose gate signs as a user who has a policy and nothing more.
type narrow struct {
	*world
	*testGate
	prefix string
	as     *s3client.Bucket // the gate's user, past the gate

	mu      sync.Mutex
	refused []string // requests that the user may not make
	lose    bool     // the answer to the next multipart upload that begins
}

func newNarrow(t *testing.T, statements []policy.Statement, prefix string) *narrow {
	t.Helper()
	n := &narrow{prefix: prefix}
	e := &s3gatetest.Endpoint{
		Region: "us-east-1", AccessKey: "DEVS3ADMIN0000000001", Secret: "devs3-admin-secret",
		Gate: s3gatetest.Identity{AccessKey: "DEVS3GATE00000000001", Secret: "devs3-gate-secret", Name: "s3gate"},
	}
	users := e.DevUsers()
	users[e.Gate.AccessKey] = devs3.User{Secret: e.Gate.Secret, Name: e.Gate.Name, Policy: asIdentity(t, statements)}
	inner, err := devs3.Open(devs3.Config{Dir: t.TempDir(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(n.watch(inner))
	t.Cleanup(func() { server.Close(); inner.Close() })
	e.URL = server.URL
	n.world = newWorld(t, e, miniredis.RunT(t).Addr())
	n.as, err = s3client.Open(t.Context(), s3client.Config{
		Name: bucketName, Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.Gate.AccessKey, e.Gate.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.as.Close() })
	n.testGate = n.gate(func(c *config.Config) {
		b := c.Buckets["docs"]
		b.AccessKeyID, b.SecretAccessKey = e.Gate.AccessKey, e.Gate.Secret
		c.Buckets["docs"] = b
		c.Upload.PartSize, c.Upload.SweepAfter = 5<<20, time.Second
	})
	return n
}

// asIdentity makes statements of an identity policy a document.
func asIdentity(t *testing.T, statements []policy.Statement) *policy.Document {
	t.Helper()
	list := slices.Clone(statements)
	for i := range list {
		list[i].Principal = policy.Principals{Everyone: true}
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// watch notes what was refused, and loses an answer where that is wanted.
func (n *narrow) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		lost := n.lose && r.Method == http.MethodPost && r.URL.Query().Has("uploads")
		n.lose = n.lose && !lost
		n.mu.Unlock()
		if lost {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		s := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(s, r)
		// Verify tries what is to be refused without this header, and can do without
		// the policy.
		if s.status == http.StatusForbidden && r.Header.Get("Authorization") != "" && !r.URL.Query().Has("policy") {
			n.mu.Lock()
			n.refused = append(n.refused, r.Method+" "+r.URL.RequestURI())
			n.mu.Unlock()
		}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (n *narrow) denials() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.refused)
}

// wait waits for what happens by itself, or never because it was refused.
func (n *narrow) wait(what string, holds func() bool) error {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return nil
		}
		if denied := n.denials(); denied != nil {
			return fmt.Errorf("%s: not, and refused were %q", what, denied)
		}
	}
	return fmt.Errorf("%s: never", what)
}

// status sends a request and compares the status.
func (n *narrow) status(want int, method, url string, body []byte, header ...string) error {
	a, err := try(n.world.t.Context(), http.DefaultTransport, method, url, body, header...)
	if err != nil {
		return err
	}
	if a.status != want {
		return fmt.Errorf("%s: %d, want %d", method, a.status, want)
	}
	return a.err
}

// The operations of a gate, each with what its user needs for it.

func (n *narrow) download() error {
	n.store(n.prefix+"o", "text/plain", []byte("hello"))
	if err := n.status(200, "GET", n.mint("get", n.prefix+"o", nil).URL, nil); err != nil {
		return err
	}
	resp, err := n.bucket.Do(n.world.t.Context(), &s3client.Request{Method: http.MethodHead, Key: n.prefix + "o"})
	if err != nil {
		return err
	}
	resp.Body.Close()
	version := resp.Header.Get("X-Amz-Version-Id")
	if version == "" {
		return errors.New("there are no versions")
	}
	return n.status(200, "GET", n.mint("get", n.prefix+"o", func(r *client.MintRequest) { r.VersionID = version }).URL, nil)
}

func (n *narrow) folder() error {
	n.store(n.prefix+"f/o", "text/plain", []byte("hello"))
	return n.status(200, "GET", n.below(n.prefix+"f/", listed).URL+"/", nil, "Accept: text/html")
}

func (n *narrow) upload() error {
	return n.status(200, "PUT", n.mint("put", n.prefix+"in/small", nil).URL, []byte("hello"))
}

func (n *narrow) parts() error {
	data, err := io.ReadAll(stream(6 << 20))
	if err != nil {
		return err
	}
	return n.status(200, "PUT", n.mint("put", n.prefix+"in/parts", nil).URL, data)
}

// cut is an upload in parts that breaks off.
func (n *narrow) cut() error {
	link := n.mint("put", n.prefix+"in/cut", nil)
	r, err := http.NewRequestWithContext(n.world.t.Context(), "PUT", link.URL, io.MultiReader(stream(6<<20), broken{}))
	if err != nil {
		return err
	}
	if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
		resp.Body.Close()
	}
	return n.wait("the parts go", func() bool { return n.uploads() == nil })
}

// resumed is a resumable upload in two pieces, the first of which is no whole
// number of parts.
func (n *narrow) resumed() error {
	t := n.world.t
	data := bytes.Repeat([]byte("0123456789abcdef"), 12<<20/16)
	link := n.mint("put", n.prefix+"in/resumed", nil)
	begun, err := try(t.Context(), http.DefaultTransport, "POST", link.URL, nil, "Tus-Resumable: 1.0.0", fmt.Sprintf("Upload-Length: %d", len(data)))
	if err != nil || begun.status != 201 {
		return fmt.Errorf("beginning: %d, %w", begun.status, err)
	}
	at := n.LinksURL() + begun.header.Get("Location")
	if status := sendTus(t, at, 0, bytes.NewReader(data[:7<<20])); status != 204 {
		return fmt.Errorf("a piece: %d", status)
	}
	if status := sendTus(t, at, 7<<20, bytes.NewReader(data[7<<20:])); status != 204 {
		return fmt.Errorf("the rest: %d", status)
	}
	if len(n.stored(n.prefix+"in/resumed")) != len(data) {
		return errors.New("it was not stored whole")
	}
	return n.wait("temporary objects go", func() bool {
		return n.versionsBelow(".s3gate/", "Version") == n.versionsBelow(".s3gate/", "DeleteMarker")
	})
}

// lost is an upload of which nobody hears the name.
func (n *narrow) lost() error {
	n.mu.Lock()
	n.lose = true
	n.mu.Unlock()
	link := n.mint("put", n.prefix+"in/lost", nil)
	r, err := http.NewRequestWithContext(n.world.t.Context(), "PUT", link.URL, io.MultiReader(stream(6<<20)))
	if err != nil {
		return err
	}
	if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
		resp.Body.Close()
	}
	return n.wait("the lost upload goes", func() bool { return n.uploads() == nil })
}

// verified tries real requests as the gate does.
func (n *narrow) verified() error {
	report, err := guard.VerifyPrefix(n.world.t.Context(), n.as, n.prefix, nil)
	if err != nil {
		return err
	}
	for _, c := range report.Checks {
		if c.Want == "allowed" && !c.OK {
			return fmt.Errorf("%s: %s", c.Name, c.Got)
		}
	}
	if left := n.versionsBelow(n.prefix+guard.CanaryPrefix, "Version"); left > 0 || report.Left != nil {
		return fmt.Errorf("%d canaries are left, %q were told", left, report.Left)
	}
	return nil
}

// versionsBelow counts versions, or delete markers.
func (n *narrow) versionsBelow(prefix, element string) int {
	t := n.world.t
	t.Helper()
	resp, err := n.bucket.Do(t.Context(), &s3client.Request{Method: http.MethodGet, Query: url.Values{"versions": {""}, "prefix": {prefix}}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return bytes.Count(text, []byte("<"+element+">"))
}

// all does everything that a gate does with a bucket.
func (n *narrow) all() error {
	for _, o := range []struct {
		name string
		do   func() error
	}{
		{"verify", n.verified},
		{"turning versions on", func() error { n.enableVersioning(); return nil }},
		{"verify with versions", n.verified},
		{"download", n.download}, {"folder", n.folder}, {"upload", n.upload},
		{"upload in parts", n.parts}, {"cut upload", n.cut}, {"resumed upload", n.resumed},
		{"lost upload", n.lost}, // which takes longest
	} {
		if err := o.do(); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	if denied := n.denials(); denied != nil {
		return fmt.Errorf("refused were %q", denied)
	}
	return nil
}

// With the policy that is printed for it a gate can do everything, and without any
// one action of it something breaks: the policy is enough, and the least.
func TestTheGateNeedsItsPolicyAndNoMore(t *testing.T) {
	for _, prefix := range []string{"", "team/"} {
		statements, err := guard.GatePolicy([]guard.Access{{
			Bucket: bucketName, Prefix: prefix, VerifyPrefix: prefix, TempPrefix: ".s3gate/", Read: true, Write: true, Verify: true,
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("prefix %q", prefix), func(t *testing.T) {
			t.Run("whole", func(t *testing.T) {
				t.Parallel()
				if err := newNarrow(t, statements, prefix).all(); err != nil {
					t.Error(err)
				}
			})
			for i, s := range statements {
				for j, action := range s.Action {
					t.Run("without "+action+" of "+s.Sid, func(t *testing.T) {
						t.Parallel()
						less := slices.Clone(statements)
						less[i].Action = slices.Delete(slices.Clone(s.Action), j, j+1)
						if len(less[i].Action) == 0 {
							less = slices.Delete(less, i, i+1)
						}
						err := newNarrow(t, less, prefix).all()
						if err == nil {
							t.Error("nothing breaks")
						}
						t.Log(err)
					})
				}
			}
		})
	}
}
