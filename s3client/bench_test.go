package s3client_test

import (
	"net/http"
	"testing"

	"s3gate/s3client"
)

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
