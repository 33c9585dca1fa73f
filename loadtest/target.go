package loadtest

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Target is a gate, and who asks it.
type Target struct {
	// LinksURL is where links are, without a path: https://dl.example.com.
	LinksURL string
	// APIURL is where tokens are minted.
	APIURL string
	// Bearer is the JWT for that. It must permit to mint for both operations below
	// Prefix, and for the storm to revoke. It is never printed.
	Bearer string
	// TLS is how the API is spoken to over https; nil is the default.
	TLS *tls.Config
	// Bucket is the alias of a bucket.
	Bucket string
	// Prefix begins the keys of all objects that a run makes, and stays when it has
	// ended; "" means [DefaultPrefix]. What is there is replaced.
	Prefix string
}

// DefaultPrefix is where objects are made.
const DefaultPrefix = "s3gate-loadtest/"

func (t *Target) check() error {
	if t.Prefix == "" {
		t.Prefix = DefaultPrefix
	}
	for _, f := range []struct{ name, value string }{{"links URL", t.LinksURL}, {"API URL", t.APIURL}} {
		u, err := url.Parse(f.value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%w: %s: must be http://… or https://…, is %q", ErrConfig, f.name, f.value)
		}
	}
	switch {
	case t.Bearer == "":
		return fmt.Errorf("%w: bearer: is required", ErrConfig)
	case t.Bucket == "":
		return fmt.Errorf("%w: bucket: is required", ErrConfig)
	}
	return nil
}

// String names the target without what it is opened with.
func (t Target) String() string { return t.LinksURL + " (bucket " + t.Bucket + ")" }

// ReadReadyFile reads the target out of the file that "s3gate dev" or "s3gate serve"
// writes with --ready-file. What it does not say stays "".
func ReadReadyFile(path string) (Target, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Target{}, fmt.Errorf("reading the ready file: %w", err)
	}
	var ready struct {
		PublicURL string `json:"public_url"`
		LinksURL  string `json:"links_url"`
		APIURL    string `json:"api_url"`
		APIToken  string `json:"api_token"`
		Bucket    string `json:"bucket"`
	}
	if err := json.Unmarshal(raw, &ready); err != nil {
		// The text of the error may hold some of the file's.
		return Target{}, errors.New("reading the ready file: it is not JSON")
	}
	t := Target{LinksURL: ready.PublicURL, APIURL: ready.APIURL, Bearer: ready.APIToken, Bucket: ready.Bucket}
	if ready.LinksURL != "" {
		t.LinksURL = ready.LinksURL
	}
	t.LinksURL = strings.TrimSuffix(t.LinksURL, "/")
	return t, nil
}
