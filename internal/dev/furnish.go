package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"s3gate/guard"
	"s3gate/policy"
	"s3gate/s3client"
)

// The keys of the sample objects.
const (
	SampleText   = "hello.txt"
	SampleImage  = "picture.png"
	SampleTable  = "report.csv"
	SampleBinary = "sample-64MiB.bin"
)

const binarySize = 64 << 20

// furnish makes the bucket, puts the samples in, and locks it.
func furnish(ctx context.Context, b *s3client.Bucket) error {
	if err := b.Create(ctx); err != nil {
		return err
	}
	samples := []struct {
		key, contentType string
		size             int64
		body             func() io.Reader
	}{
		{SampleText, "text/plain; charset=utf-8", int64(len(text)), func() io.Reader { return strings.NewReader(text) }},
		{SampleImage, "image/png", int64(len(picture())), func() io.Reader { return bytes.NewReader(picture()) }},
		{SampleTable, "text/csv", int64(len(table())), func() io.Reader { return strings.NewReader(table()) }},
		{SampleBinary, "application/octet-stream", binarySize, func() io.Reader {
			return io.LimitReader(rand.NewChaCha8([32]byte{'s', '3', 'g'}), binarySize)
		}},
	}
	for _, s := range samples {
		if err := putOnce(ctx, b, s.key, s.contentType, s.size, s.body); err != nil {
			return fmt.Errorf("storing the sample %s: %w", s.key, err)
		}
	}
	return lock(ctx, b)
}

// putOnce stores an object unless it is there from an earlier run.
func putOnce(ctx context.Context, b *s3client.Bucket, key, contentType string, size int64, body func() io.Reader) error {
	resp, err := b.Do(ctx, &s3client.Request{
		Method: http.MethodPut, Key: key, Body: io.NopCloser(body()), Size: size,
		Header: http.Header{
			"Content-Type": {contentType}, "If-None-Match": {"*"},
			"Expect": {"100-continue"}, // what is there already is not sent
		},
	})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPreconditionFailed {
		return s3client.ReadError(resp)
	}
	return resp.Body.Close()
}

// lock applies the policy, and believes in it only when it has seen it work.
func lock(ctx context.Context, b *s3client.Bucket) error {
	plan, err := guard.Lock(ctx, b, policy.LockOptions{Bucket: b.Name(), DenyOldSignatures: true})
	if err != nil {
		return err
	}
	if err := plan.Apply(ctx, b); err != nil {
		return err
	}
	report, err := guard.Verify(ctx, b, nil)
	if err != nil {
		return err
	}
	if !report.Locked {
		return errors.New("the embedded S3 does not honour the lock")
	}
	return nil
}

const text = `Hello from s3gate.

You fetched this through a link whose token maps to one object in a bucket.
The gate signed the request to S3 for you, in its Authorization header; a
presigned URL for the same object is refused by the bucket's policy.
`

// table is a small CSV file.
func table() string {
	var b strings.Builder
	b.WriteString("day,downloads,uploads,refused\n")
	r := rand.New(rand.NewPCG(3, 5))
	for day := 1; day <= 30; day++ {
		fmt.Fprintf(&b, "2026-09-%02d,%d,%d,%d\n", day, 400+r.IntN(300), 20+r.IntN(40), r.IntN(9))
	}
	return b.String()
}

// picture is a PNG of a gradient.
func picture() []byte {
	const w, h = 480, 270
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, color.NRGBA{uint8(40 + 160*x/w), uint8(90 + 120*y/h), uint8(200 - 90*x/w), 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // to memory: cannot fail
	return b.Bytes()
}
