package s3client_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"s3gate/s3client"
)

// BenchmarkSign signs a request as nearly all are, by the SDK's signer, and by the
// one for such requests.
func BenchmarkSign(b *testing.B) {
	sdk := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
	plain := s3client.NewPlainSigner("eu-central-1")
	role := temporary
	role.SessionToken = strings.Repeat("IQoJb3JpZ2luX2VjE/+=", 50) // as long as those of AWS
	for _, bb := range []struct {
		name  string
		creds aws.Credentials
		query string
	}{{"user", permanent, ""}, {"role", role, ""}, {"part", permanent, "?partNumber=7&uploadId=VXBsb2FkSWQuLi4tLi4u"}} {
		req := request("GET", "https://media.s3.eu-central-1.amazonaws.com/projects/2026/quarter%203/final/report-v12.pdf"+bb.query, 0,
			"User-Agent: s3gate/1.0 tok_6z5ymzxgxzuch4v4utwuykds5q", "If-Match: \"d41d8cd98f00b204e9800998ecf8427e\"")
		b.Run(bb.name+"/sdk", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
				if err := sdk.SignHTTP(b.Context(), bb.creds, req, "UNSIGNED-PAYLOAD", "s3", "eu-central-1", noon); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bb.name+"/plain", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s3client.SignPlain(plain, &bb.creds, req, noon) {
					b.Fatal("not plain")
				}
			}
		})
	}
}

// BenchmarkDo builds and signs a request in each form, and sends it nowhere.
func BenchmarkDo(b *testing.B) {
	for _, f := range []s3client.Signing{s3client.SignHeader, s3client.SignQuery} {
		b.Run(string(f), func(b *testing.B) { benchmarkDo(b, f) })
	}
}

func benchmarkDo(b *testing.B, f s3client.Signing) {
	ok := &http.Response{StatusCode: 200, Body: http.NoBody}
	bucket := open(b, s3client.Config{
		Name: "media", Region: "eu-central-1", Credentials: static, UserAgent: "s3gate/1.0", Signing: f,
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { return ok, nil }),
	})
	b.ReportAllocs()
	for b.Loop() {
		_, err := bucket.Do(b.Context(), &s3client.Request{
			Method: "GET", Key: "projects/2026/quarter 3/final/report-v12.pdf", Agent: "tok_6z5ymzxgxzuch4v4utwuykds5q",
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip gets 4 KiB from a server of this process that answers at once,
// by the transport of downloads and by net/http's. With -cpu 1 it is CPU time, the
// server's with it.
func BenchmarkRoundTrip(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nContent-Type: application/octet-stream\r\nEtag: \"x\"\r\n\r\n" + strings.Repeat("x", 4096))
	s := newWireServer(b, func(c net.Conn, _ int) bool { _, err := c.Write(answer); return err == nil })
	for _, way := range []struct {
		name   string
		change func(*http.Transport) http.RoundTripper
	}{{"direct", nil}, {"net-http", netHTTP}} {
		b.Run(way.name, func(b *testing.B) {
			bucket := bucketAt(b, s.url(), way.change)
			buf := make([]byte, 8<<10)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := bucket.Do(b.Context(), &s3client.Request{Method: "GET", Key: "a"})
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.ReadFull(resp.Body, buf[:4096]); err != nil || n != 4096 {
					b.Fatal(n, err)
				}
				_, _ = resp.Body.Read(buf)
				resp.Body.Close()
			}
		})
	}
}
