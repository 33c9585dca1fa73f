package gate_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// uppyPage uploads /file to where its application says, and shows the outcome.
// The plugin gets what the API has answered, unchanged.
const uppyPage = `
import Uppy from '@uppy/core'
import AwsS3 from '@uppy/aws-s3'
import Tus from '@uppy/tus'

const show = text => {
	const p = document.createElement('p')
	p.id = 'done'
	p.textContent = text
	document.body.append(p)
}
const minted = () => fetch('/mint', { method: 'POST' }).then(answer => answer.json())

const upload = async () => {
	const uppy = new Uppy().use(%s)
	const data = await (await fetch('/file')).blob()
	for (const name of %s) uppy.addFile({ name, type: 'image/png', data })
	const { successful, failed } = await uppy.upload()
	show('stored ' + successful.length + ' failed ' + failed.map(file => file.error))
}
upload().catch(err => show('broke: ' + err))
`

// application is a page on an origin of its own, which mints tokens with the
// body of its request to the API.
func application(t *testing.T, g *testGate, script, file []byte, mint string) (url string) {
	mux := http.NewServeMux()
	serve := func(path, contentType string, body []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Write(body)
		})
	}
	serve("/{$}", "text/html", []byte(`<!doctype html><link rel="icon" href="data:,"><title>upload</title><body><script src="/script.js"></script>`))
	serve("/script.js", "text/javascript", script)
	serve("/file", "application/octet-stream", file) // the browser does not know better than the token
	mux.HandleFunc("POST /mint", func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), "POST", g.APIURL()+"/v1/tokens", strings.NewReader(mint))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+g.bearer)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// keys are those of the objects below a prefix, at most a thousand.
func (w *world) keys(prefix string) []string {
	w.t.Helper()
	resp, err := w.bucket.Do(w.t.Context(), &s3client.Request{Method: "GET", Query: url.Values{"list-type": {"2"}, "prefix": {prefix}}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []struct{ Key string }
	}
	if err := xml.NewDecoder(resp.Body).Decode(&doc); err != nil {
		w.t.Fatal(resp.Status, err)
	}
	var keys []string
	for _, object := range doc.Contents {
		keys = append(keys, object.Key)
	}
	return keys
}

// A page of another origin uploads with Uppy, whose plugin for S3 takes the
// API's answer as it is, and that for tus the link.
func TestUppyUploads(t *testing.T) {
	for _, test := range []struct {
		name   string
		mint   string
		plugin string
		files  string
		below  string // where they are stored
		want   int
	}{
		{"to a key", `{"operation": "put", "bucket": "docs", "key": "in/one.png", "upload": {"content_types": ["image/png"], "max_bytes": 10000000}}`,
			`AwsS3, { shouldUseMultipart: false, getUploadParameters: minted }`, `['photo.png']`, "in/", 1},
		{"to a drop box", `{"operation": "put", "bucket": "docs", "max_uses": 2, "upload": {"key_template": "box/{uuid}/{filename}"}}`,
			`AwsS3, { shouldUseMultipart: false, getUploadParameters:
				(box => async file => ({ ...await box, url: (await box).url + encodeURIComponent(file.name) }))(minted()) }`,
			`['a photo.png', 'b.png']`, "box/", 2},
		{"by tus", `{"operation": "put", "bucket": "docs", "key": "in/one.png", "upload": {"content_types": ["image/png"], "max_bytes": 10000000}}`,
			`Tus, { endpoint: (await minted()).url }`, `['photo.png']`, "in/", 1},
		{"by tus in pieces, to a drop box", `{"operation": "put", "bucket": "docs", "max_uses": 2, "upload": {"key_template": "box/{uuid}/{filename}"}}`,
			`Tus, { endpoint: (await minted()).url, chunkSize: 1 << 20 }`, `['a photo.png', 'b.png']`, "box/", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := s3gatetest.Bundle(t, fmt.Sprintf(uppyPage, test.plugin, test.files))
			c, w := newChrome(t), newEmbedded(t)
			g := w.gate(nil)
			file := make([]byte, 3<<20)
			rand.Read(file)
			page := application(t, g, script, file, test.mint)
			c.run(chromedp.Navigate(page), chromedp.WaitVisible(chromedp.CSS("#done")))
			if got, want := strings.TrimSpace(c.text()), fmt.Sprintf("stored %d failed", test.want); got != want {
				t.Errorf("the page says %q, want %q", got, want)
			}
			keys := w.keys(test.below)
			for _, key := range keys {
				if stored := w.stored(key); sha256.Sum256(stored) != sha256.Sum256(file) {
					t.Errorf("%q has %d bytes, not those of the file", key, len(stored))
				}
			}
			if len(keys) != test.want {
				t.Errorf("stored %q, want %d files", keys, test.want)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, asked := range c.requests {
				if !strings.HasPrefix(asked, page+"/") && !strings.HasPrefix(asked, g.PublicURL()+"/s3g_") && !strings.HasPrefix(asked, "data:") {
					t.Errorf("the page asked for %s", asked)
				}
			}
		})
	}
}
