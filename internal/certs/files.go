package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Files is something that is made of files, and made again when they change. It
// looks at what is in them and not at their dates, so that it does not matter
// how they were changed: by writing them, by renaming others over them, or by
// turning a symbolic link on the way to them, as Kubernetes and certbot do. It is
// safe for concurrent use.
type Files[T any] struct {
	parse func(contents [][]byte) (T, error)
	paths []string
	value atomic.Pointer[T]

	mu   sync.Mutex // one look at a time
	used sum        // what value was made of
	bad  sum        // what was seen last of which nothing could be made
	told sum        // what Look has returned an error for
}

type sum [sha256.Size]byte

// open reads files for the first time.
func open[T any](parse func(contents [][]byte) (T, error), paths ...string) (*Files[T], error) {
	contents, s, err := contentsOf(paths)
	if err != nil {
		return nil, err
	}
	value, err := parse(contents)
	if err != nil {
		return nil, err
	}
	f := &Files[T]{parse: parse, paths: paths, used: s}
	f.value.Store(&value)
	return f, nil
}

// Value is what counts at the moment.
func (f *Files[T]) Value() T { return *f.value.Load() }

// Look reads the files again, and reports whether something else counts now. If
// nothing can be made of them, what counted still does. That is an error once
// for what is in them, and only when it is still so at the next look: somebody
// may have been about to write them.
func (f *Files[T]) Look() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	contents, s, err := contentsOf(f.paths)
	if err == nil && s == f.used {
		f.bad, f.told = sum{}, sum{}
		return false, nil
	}
	var value T
	if err == nil {
		value, err = f.parse(contents)
	}
	if err != nil {
		return false, f.refuse(s, err)
	}
	f.used, f.bad, f.told = s, sum{}, sum{}
	f.value.Store(&value)
	return true, nil
}

// refuse returns the error if this is the look at which it is to be told.
func (f *Files[T]) refuse(s sum, err error) error {
	if f.bad != s || f.told == s {
		f.bad = s
		return nil
	}
	f.told = s
	return err
}

// maxFile is the size of the largest file that is read, in bytes. A bundle with
// all public authorities has a fifth of it.
const maxFile = 1 << 20

// contentsOf reads files. Where one cannot be read the sum is that of the error.
func contentsOf(paths []string) (contents [][]byte, s sum, err error) {
	h := sha256.New()
	for _, path := range paths {
		raw, err := contentOf(path)
		if err != nil {
			return nil, sha256.Sum256([]byte(err.Error())), err
		}
		fmt.Fprintf(h, "%d:", len(raw))
		h.Write(raw)
		contents = append(contents, raw)
	}
	return contents, sum(h.Sum(nil)), nil
}

func contentOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return raw, err
}

// Pair is a certificate with its chain, and its key, in two PEM files. It is a
// [Source].
type Pair struct{ *Files[*tls.Certificate] }

// OpenPair reads a certificate and its key.
func OpenPair(cert, key string) (Pair, error) {
	f, err := open(parsePair, cert, key)
	return Pair{f}, err
}

func parsePair(contents [][]byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(contents[0], contents[1])
	return &c, err
}

// GetCertificate is for [tls.Config]: the same certificate for every name, so
// that a client that asks for another one sees whose it is.
func (p Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Value(), nil }

// NotAfter is when the certificate ends.
func (p Pair) NotAfter() time.Time { return p.Value().Leaf.NotAfter }

// Authorities are the certificates in a PEM file that others are verified with.
type Authorities struct{ *Files[*x509.CertPool] }

// OpenAuthorities reads a file of authorities.
func OpenAuthorities(path string) (Authorities, error) {
	f, err := open(parseAuthorities, path)
	return Authorities{f}, err
}

// parseAuthorities takes every certificate or none: one that was left out would
// be missed by those whom it has signed, long after.
func parseAuthorities(contents [][]byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(contents[0]); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file: %w", n+1, err)
		}
		pool.AddCert(c)
		n++
	}
	if n == 0 {
		return nil, errors.New("there is no PEM block of a certificate in the file")
	}
	return pool, nil
}
