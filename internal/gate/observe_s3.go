package gate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"

	"s3gate/internal/traces"
	"s3gate/s3client"
)

// s3Metrics are those of requests for links to S3.
type s3Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newS3Metrics registers
//
//	s3gate_s3_requests_total{bucket,operation,result}  requests by class of status or kind of error
//	s3gate_s3_request_seconds{bucket,operation}        time from a request to the headers of its answer
func newS3Metrics(reg prometheus.Registerer) *s3Metrics {
	m := &s3Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_s3_requests_total", Help: "Requests to S3 for links, by what came of them."}, []string{"bucket", "operation", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "s3gate_s3_request_seconds", Help: "Time from a request to S3, with its body, to the headers of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"bucket", "operation"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

// upstream is a bucket; [s3client.Bucket] is one.
type upstream interface {
	Do(ctx context.Context, r *s3client.Request) (*http.Response, error)
}

// watchedBucket measures the requests to a bucket.
type watchedBucket struct {
	upstream
	alias    string
	requests *prometheus.CounterVec
	seconds  prometheus.ObserverVec
	traces   *traces.Traces
}

func (g *Gate) watchBucket(alias string, b upstream) *watchedBucket {
	labels := prometheus.Labels{"bucket": alias}
	return &watchedBucket{
		upstream: b, alias: alias, traces: g.observing.traces,
		requests: g.observing.s3.requests.MustCurryWith(labels), seconds: g.observing.s3.seconds.MustCurryWith(labels),
	}
}

// Do is the bucket's, measured.
func (b *watchedBucket) Do(ctx context.Context, r *s3client.Request) (*http.Response, error) {
	begin, operation := time.Now(), s3Operation(r)
	span := ctx
	var step *traces.Step
	if b.traces != nil {
		span, step = b.traces.Step(ctx, "s3 "+operation, attribute.String("rpc.system", "aws-api"),
			attribute.String("rpc.method", operation), attribute.String("s3gate.bucket", b.alias), attribute.Int64("s3gate.bytes", r.Size))
	}
	resp, err := b.upstream.Do(span, r)
	result := s3Result(ctx, resp, err)
	b.requests.WithLabelValues(operation, result).Inc()
	b.seconds.WithLabelValues(operation).Observe(time.Since(begin).Seconds())
	if step != nil {
		endS3(step, resp, result)
	}
	return resp, err
}

func endS3(step *traces.Step, resp *http.Response, result string) {
	if resp == nil {
		step.End(result)
		return
	}
	step.Say(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode >= http.StatusInternalServerError {
		step.End(result)
		return
	}
	step.End("")
}

// s3Result is the class of a status, or the kind of an error.
func s3Result(ctx context.Context, resp *http.Response, err error) string {
	classes := [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}
	switch {
	case err == nil && resp.StatusCode/100 >= 1 && resp.StatusCode/100 <= len(classes):
		return classes[resp.StatusCode/100-1]
	case err == nil:
		return "other"
	case errors.Is(err, s3client.ErrCredentials):
		return "credentials"
	case ctx.Err() != nil: // the client left, or the transfer was cut
		return "cancelled"
	}
	return "unreachable"
}

// s3Operation names a request as the API of S3 does.
func s3Operation(r *s3client.Request) string {
	has := func(name string) bool { _, ok := r.Query[name]; return ok }
	switch r.Method {
	case http.MethodGet:
		switch {
		case has("list-type"):
			return "ListObjectsV2"
		case has("uploadId"):
			return "ListParts"
		case has("uploads"):
			return "ListMultipartUploads"
		}
		return "GetObject"
	case http.MethodHead:
		return "HeadObject"
	case http.MethodPut:
		switch {
		case has("partNumber"):
			return "UploadPart"
		case r.Header.Get("X-Amz-Copy-Source") != "":
			return "CopyObject"
		}
		return "PutObject"
	case http.MethodPost:
		switch {
		case has("uploads"):
			return "CreateMultipartUpload"
		case has("uploadId"):
			return "CompleteMultipartUpload"
		}
		return "other"
	case http.MethodDelete:
		if has("uploadId") {
			return "AbortMultipartUpload"
		}
		return "DeleteObject"
	}
	return "other"
}
