package certs_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/internal/certs"
	"s3gate/internal/s3gatetest"
)

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// shows reports whether a pair shows the certificate of a PEM text.
func shows(t *testing.T, p certs.Pair, cert []byte) bool {
	t.Helper()
	c, err := p.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(cert)
	return string(c.Certificate[0]) == string(block.Bytes)
}

// However files are replaced, the next look finds what is in them.
func TestPairFollowsItsFiles(t *testing.T) {
	authority := s3gatetest.NewAuthority(t, "authority")
	oldCert, oldKey := authority.Issue(nil)
	newCert, newKey := authority.Issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(3 * time.Hour).Truncate(time.Second) })
	tests := []struct {
		name  string
		setUp func(dir string) // makes cert and key there
		turn  func(dir string)
	}{
		{"written in place", func(dir string) {
			write(t, dir+"/cert", oldCert)
			write(t, dir+"/key", oldKey)
		}, func(dir string) {
			write(t, dir+"/cert", newCert)
			write(t, dir+"/key", newKey)
		}},
		{"renamed over", func(dir string) {
			write(t, dir+"/cert", oldCert)
			write(t, dir+"/key", oldKey)
		}, func(dir string) {
			write(t, dir+"/cert.new", newCert)
			write(t, dir+"/key.new", newKey)
			rename(t, dir+"/cert.new", dir+"/cert")
			rename(t, dir+"/key.new", dir+"/key")
		}},
		{"a link to the directory turned, as by Kubernetes", func(dir string) {
			for name, pair := range map[string][2][]byte{"..1": {oldCert, oldKey}, "..2": {newCert, newKey}} {
				if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, name, "cert"), pair[0])
				write(t, filepath.Join(dir, name, "key"), pair[1])
			}
			link(t, "..1", dir+"/..data")
			link(t, "..data/cert", dir+"/cert")
			link(t, "..data/key", dir+"/key")
		}, func(dir string) {
			link(t, "..2", dir+"/..data_tmp")
			rename(t, dir+"/..data_tmp", dir+"/..data")
		}},
		{"links to the files turned, as by certbot", func(dir string) {
			write(t, dir+"/cert1", oldCert)
			write(t, dir+"/key1", oldKey)
			link(t, "cert1", dir+"/cert")
			link(t, "key1", dir+"/key")
		}, func(dir string) {
			write(t, dir+"/cert2", newCert)
			write(t, dir+"/key2", newKey)
			for _, name := range []string{"cert", "key"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				link(t, name+"2", filepath.Join(dir, name))
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.setUp(dir)
			p, err := certs.OpenPair(dir+"/cert", dir+"/key")
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := p.Look(); changed || err != nil || !shows(t, p, oldCert) {
				t.Fatalf("before: %v, %v", changed, err)
			}
			tt.turn(dir)
			if changed, err := p.Look(); !changed || err != nil || !shows(t, p, newCert) {
				t.Fatalf("after: %v, %v", changed, err)
			}
			if got := time.Until(p.NotAfter()); got < 2*time.Hour {
				t.Errorf("it ends in %s", got)
			}
			if changed, err := p.Look(); changed || err != nil {
				t.Errorf("nothing has happened: %v, %v", changed, err)
			}
		})
	}
}

// What cannot be used is told once, at the second look that finds it so, and what
// was there before is shown meanwhile.
func TestPairKeepsWhatItHas(t *testing.T) {
	authority := s3gatetest.NewAuthority(t, "authority")
	cert, key := authority.Issue(nil)
	otherCert, otherKey := authority.Issue(nil)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	write(t, certFile, cert)
	write(t, keyFile, key)
	p, err := certs.OpenPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func()
		want   string
	}{
		{"half of the certificate", func() { write(t, certFile, otherCert[:len(otherCert)/2]) }, "certificate"},
		{"the certificate of another key", func() { write(t, certFile, otherCert) }, "does not match"},
		{"nothing", func() { write(t, certFile, nil) }, "certificate"},
		{"too much", func() { write(t, certFile, append(cert, make([]byte, 1<<20)...)) }, "more than 1048576 bytes"},
		{"no file", func() { rename(t, certFile, certFile+".gone") }, "no such file"},
		{"a key that is none", func() { write(t, certFile, cert); write(t, keyFile, []byte("key")) }, "key"},
	}
	for _, tt := range tests {
		tt.change()
		if changed, err := p.Look(); changed || err != nil {
			t.Errorf("%s, first look: %v, %v", tt.name, changed, err)
		}
		changed, err := p.Look()
		if changed || err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s, second look: %v, %v, want %q", tt.name, changed, err, tt.want)
		}
		if changed, err := p.Look(); changed || err != nil {
			t.Errorf("%s, third look: %v, %v", tt.name, changed, err)
		}
		if !shows(t, p, cert) {
			t.Errorf("%s: another certificate is shown", tt.name)
		}
	}
	write(t, keyFile, otherKey)
	write(t, certFile, otherCert)
	if changed, err := p.Look(); !changed || err != nil || !shows(t, p, otherCert) {
		t.Errorf("at last: %v, %v", changed, err)
	}
	// The same trouble again is another one.
	write(t, keyFile, []byte("key"))
	if _, err := p.Look(); err != nil {
		t.Error(err)
	}
	if _, err := p.Look(); err == nil {
		t.Error("trouble that has come back is not told")
	}
}

func TestAuthorities(t *testing.T) {
	a, b := s3gatetest.NewAuthority(t, "a"), s3gatetest.NewAuthority(t, "b")
	path := filepath.Join(t.TempDir(), "ca")
	write(t, path, append(a.PEM(), b.PEM()...))
	got, err := certs.OpenAuthorities(path)
	if err != nil {
		t.Fatal(err)
	}
	both := a.Pool()
	both.AppendCertsFromPEM(b.PEM())
	if !got.Value().Equal(both) {
		t.Error("not both are there")
	}
	write(t, path, b.PEM())
	if changed, err := got.Look(); !changed || err != nil || !got.Value().Equal(b.Pool()) {
		t.Errorf("one is gone: %v, %v", changed, err)
	}
	_, key := a.Issue(nil)
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	for name, content := range map[string][]byte{"empty": nil, "a key": key, "text": []byte("hello"), "one that is broken": append(a.PEM(), broken...)} {
		write(t, path, content)
		if _, err := certs.OpenAuthorities(path); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
