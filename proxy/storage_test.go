package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

// keeps is the storage of the gate's bucket.
func keeps(how proxy.NoOverwrite) map[string]proxy.Storage {
	return map[string]proxy.Storage{"media": {NoOverwrite: how}}
}

// described are the requests that say what the object will be: the PUT, or
// the one that begins an upload in parts.
func (g *gate) described(size int, grant tokens.Grant, header ...string) http.Header {
	g.t.Helper()
	g.s3.clear()
	if a := g.put(g.mint(grant), noise(size), header...); a.StatusCode != 200 {
		g.t.Fatalf("%s %s", a.Status, a.body)
	}
	var found http.Header
	for _, r := range g.s3.log() {
		switch of := kind(r.method, r.target); of {
		case "PUT", create:
			found = r.header
		default:
			for name := range r.header {
				if strings.HasPrefix(name, "X-Amz-Meta-") || strings.HasPrefix(name, "X-Amz-Server-Side-") || name == "X-Amz-Storage-Class" {
					g.t.Errorf("%s has %s", of, name)
				}
			}
		}
	}
	return found
}

// Metadata is the grant's, and the client's only as far as the grant lets it;
// what says whose upload it is is the gate's.
func TestMetadata(t *testing.T) {
	client := []string{"X-Amz-Meta-Author", "ada", "X-Amz-Meta-Case", "0815", "X-Amz-Meta-S3gate-Use", "forged", "X_amz_meta_author", "eve", "X-Amz-Meta-", "x"}
	for _, test := range []struct {
		name   string
		upload tokens.Upload
		want   map[string]string // without the prefix
	}{
		{"none", tokens.Upload{}, nil},
		{"the grant's", tokens.Upload{Metadata: map[string]string{"case": "4711"}}, map[string]string{"Case": "4711"}},
		{"the client's", tokens.Upload{ClientMetadata: []string{"author"}}, map[string]string{"Author": "ada"}},
		{"everything of the client's", tokens.Upload{ClientMetadata: []string{"*"}}, map[string]string{"Author": "ada", "Case": "0815"}},
		{"both", tokens.Upload{Metadata: map[string]string{"case": "4711"}, ClientMetadata: []string{"*"}}, map[string]string{"Author": "ada", "Case": "4711"}},
	} {
		for _, size := range []int{1000, 3 * testPart} {
			sent := newPartsGate(t, http1).described(size, limited(test.upload), client...)
			n := 0
			for name := range sent {
				if name, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok && name != "S3gate-Use" {
					if n++; sent.Get("X-Amz-Meta-"+name) != test.want[name] {
						t.Errorf("%s: %s is %q, want %q", test.name, name, sent.Get("X-Amz-Meta-"+name), test.want[name])
					}
				}
			}
			if n != len(test.want) || len(sent.Get("X-Amz-Meta-S3gate-Use")) < 16 {
				t.Errorf("%s: s3 got %v", test.name, sent)
			}
		}
	}
}

// Objects are kept as the bucket's settings say; of the class the grant may
// have another opinion.
func TestStorage(t *testing.T) {
	for _, test := range []struct {
		name    string
		storage proxy.Storage
		class   string
		want    map[string]string
	}{
		{"the store's", proxy.Storage{}, "", map[string]string{}},
		{"the bucket's", proxy.Storage{Class: "STANDARD_IA", Encryption: "aws:kms", KMSKeyID: "key", BucketKey: true}, "", map[string]string{
			"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true",
		}},
		{"the grant's", proxy.Storage{Class: "STANDARD_IA", Encryption: "AES256"}, "GLACIER", map[string]string{
			"X-Amz-Storage-Class": "GLACIER", "X-Amz-Server-Side-Encryption": "AES256",
		}},
	} {
		for _, size := range []int{1000, 3 * testPart} {
			g := newPartsGate(t, http1)
			g.Storage = map[string]proxy.Storage{"media": test.storage}
			sent := g.described(size, limited(tokens.Upload{StorageClass: test.class}),
				"X-Amz-Storage-Class", "DEEP_ARCHIVE", "X-Amz-Server-Side-Encryption", canaryClient)
			for _, name := range []string{"X-Amz-Storage-Class", "X-Amz-Server-Side-Encryption",
				"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled"} {
				if got := sent.Get(name); got != test.want[name] {
					t.Errorf("%s, %d bytes: %s is %q, want %q", test.name, size, name, got, test.want[name])
				}
			}
		}
	}
}
