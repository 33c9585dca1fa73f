package leakwatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Queue is a queue of Amazon SQS that gets events of CloudTrail from EventBridge,
// or hears from CloudTrail or S3 that there is a new log. What could not be read
// stays in the queue, comes again, and goes where the queue's redrive policy says.
type Queue struct {
	// API and URL are the queue's. Required.
	API *sqs.Client
	URL string
	// Open returns the bucket that a message names, by its name. It is nil for
	// queues that have events only.
	Open func(name string) (Logs, error)
	// Wait is for how long one request waits for messages; 0 means 20 s, which is
	// the most that SQS takes. It is rounded up to whole seconds.
	Wait time.Duration
}

// Run reads messages until ctx is done.
func (q *Queue) Run(ctx context.Context, w *Watch) error {
	for ctx.Err() == nil {
		if _, err := q.Once(ctx, w); err != nil && ctx.Err() == nil {
			w.logger().Warn("reading a queue of log messages", "err", err)
			pause(ctx, 5*time.Second)
		}
	}
	return ctx.Err()
}

// pause waits, or returns when ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Once asks for messages once, and returns how many were dealt with.
func (q *Queue) Once(ctx context.Context, w *Watch) (int, error) {
	wait := q.Wait
	if wait == 0 {
		wait = 20 * time.Second
	}
	out, err := q.API.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.URL, MaxNumberOfMessages: 10, WaitTimeSeconds: int32((wait + time.Second - 1) / time.Second),
	})
	if err != nil {
		return 0, fmt.Errorf("receiving from SQS: %w", err)
	}
	var failed error
	n := 0
	for _, m := range out.Messages {
		if err := q.take(ctx, w, &m); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		n++
	}
	return n, failed
}

// take deals with a message and deletes it.
func (q *Queue) take(ctx context.Context, w *Watch, m *types.Message) error {
	id := aws.ToString(m.MessageId)
	said, err := readMessage([]byte(aws.ToString(m.Body)))
	if err != nil {
		return fmt.Errorf("message %s: %w", clip(id, 64), err)
	}
	r := &reading{w: w, ctx: ctx, log: "sqs:" + clip(id, 64), open: map[string]*Finding{}}
	for _, e := range said.events {
		r.summary.Lines++
		if a := e.access(); a != nil {
			if f := w.found(a, r.log); f != nil {
				r.add(f)
			}
			w.Metrics.behind(time.Since(a.at).Seconds())
		}
	}
	r.flush()
	w.Metrics.read(r.summary)
	if r.err != nil {
		return r.err
	}
	for _, o := range said.objects {
		if err := q.fetch(ctx, w, o); err != nil {
			return err
		}
	}
	if _, err := q.API.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.URL, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return fmt.Errorf("deleting message %s from SQS: %w", clip(id, 64), err)
	}
	return nil
}

func (q *Queue) fetch(ctx context.Context, w *Watch, o object) error {
	if q.Open == nil {
		return fmt.Errorf("a message names the bucket %q, and none is set for this queue", clip(o.bucket, 64))
	}
	logs, err := q.Open(o.bucket)
	if err != nil {
		return err
	}
	_, err = readObject(ctx, w, logs, o.bucket, o.key)
	return err
}
