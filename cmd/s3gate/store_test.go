package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rogpeppe/go-internal/testscript"

	"s3gate/internal/devs3"
	"s3gate/s3client"
)

// storeUsers are those of a store of a script; each one's access key is the name
// in capitals, and the secret the name.
var storeUsers = []devs3.User{{Name: "admin", Admin: true}, {Name: "gate"}, {Name: "partner"}, {Name: "app"}}

const storeRegion = "eu-central-1"

// store starts an S3 over TLS with buckets in it and nothing else: no gate, no lock.
// The first bucket is the one that the commands below speak of.
func store(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: store BUCKET...")
	}
	users := map[string]devs3.User{}
	for _, u := range storeUsers {
		u.Secret = u.Name
		users[accessKeyOf(u.Name)] = u
	}
	s, err := devs3.Open(devs3.Config{Dir: ts.MkAbs(".store"), Region: storeRegion, Users: users})
	ts.Check(err)
	server := httptest.NewTLSServer(s)
	ts.Defer(func() { server.Close(); ts.Check(s.Close()) })
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(".store-ca.pem"), ca, 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs(".store-ca.pem"))
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
	ts.Setenv("AWS_REGION", storeRegion)
	as(ts, false, []string{"admin"})
	for _, name := range slices.Backward(args) {
		ts.Setenv("BUCKET", name)
		b := storeBucket(ts)
		ts.Check(b.Create(context.Background()))
		ts.Check(b.Close())
	}
}

func accessKeyOf(name string) string {
	return "AKIA" + string(bytes.ToUpper([]byte(name)))
}

// as makes the commands that follow sign as a user of the store.
func as(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: as USER")
	}
	ts.Setenv("AWS_ACCESS_KEY_ID", accessKeyOf(args[0]))
	ts.Setenv("AWS_SECRET_ACCESS_KEY", args[0])
}

// trusting is a transport that believes the script's store.
func trusting(ts *testscript.TestScript) *http.Transport {
	t := s3client.NewTransport(s3client.TransportConfig{})
	if file := ts.Getenv("SSL_CERT_FILE"); file != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile(file)))
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return t
}

// storeBucket opens the bucket of the store as whom "as" has named.
func storeBucket(ts *testscript.TestScript) *s3client.Bucket {
	b, err := s3client.Open(context.Background(), s3client.Config{
		Name: ts.Getenv("BUCKET"), Transport: trusting(ts), Region: storeRegion, Endpoint: ts.Getenv("AWS_ENDPOINT_URL"), PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	ts.Check(err)
	return b
}

// signed sends a request that is signed in its header.
func signed(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: signed METHOD KEY STATUS")
	}
	b := storeBucket(ts)
	defer b.Close()
	r := &s3client.Request{Method: args[0], Key: args[1]}
	if r.Method == http.MethodPut {
		text := "data of " + r.Key
		r.Body, r.Size = io.NopCloser(bytes.NewBufferString(text)), int64(len(text))
	}
	resp, err := b.Do(context.Background(), r)
	ts.Check(err)
	defer resp.Body.Close()
	if strconv.Itoa(resp.StatusCode) != args[2] {
		ts.Fatalf("%s answered %s, want %s", args[0], resp.Status, args[2])
	}
}

// presigns puts a presigned URL into a variable, as somebody would mail it.
func presigns(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: presigns GET|PUT KEY VARIABLE")
	}
	b := storeBucket(ts)
	defer b.Close()
	sign := b.PresignGet
	if args[0] == http.MethodPut {
		sign = b.PresignPut
	}
	p, err := sign(context.Background(), args[1], time.Hour)
	ts.Check(err)
	ts.Setenv(args[2], p.URL)
}

// posts uploads with a presigned form, as a browser would.
func posts(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: posts KEY STATUS")
	}
	b := storeBucket(ts)
	defer b.Close()
	p, err := b.PresignPost(context.Background(), args[0], nil, time.Hour)
	ts.Check(err)
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	for name, value := range p.Fields {
		ts.Check(m.WriteField(name, value))
	}
	file, err := m.CreateFormFile("file", "file")
	ts.Check(err)
	file.Write([]byte("data"))
	ts.Check(m.Close())
	transport := trusting(ts)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Post(p.URL, m.FormDataContentType(), &form)
	ts.Check(err)
	resp.Body.Close()
	if strconv.Itoa(resp.StatusCode) != args[1] {
		ts.Fatalf("the form was answered %s, want %s", resp.Status, args[1])
	}
}

// bucketPolicy writes the bucket's policy to a file, or sets it to what a file has.
func bucketPolicy(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 || args[0] != "read" && args[0] != "write" {
		ts.Fatalf("usage: policy read|write FILE")
	}
	b := storeBucket(ts)
	defer b.Close()
	if args[0] == "write" {
		ts.Check(b.PutPolicy(context.Background(), []byte(ts.ReadFile(args[1]))))
		return
	}
	text, err := b.Policy(context.Background())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}
