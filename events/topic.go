package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// Topic publishes to a topic of Amazon SNS. As a [Sink] it publishes events; Tell
// publishes a message. A topic whose ARN ends in .fifo gets the events of one token
// in their order.
type Topic struct {
	name  string
	arn   string
	types []Type
	api   *sns.Client
	taken map[string]bool // of the batch that is being written
}

// NewTopic returns a topic that takes events of these types, all if there are none.
func NewTopic(name, arn string, only []Type, api *sns.Client) *Topic {
	return &Topic{name: name, arn: arn, types: only, api: api, taken: map[string]bool{}}
}

// Name is "sns:" and the topic's name.
func (t *Topic) Name() string { return "sns:" + t.name }

// Wants takes the types of the topic.
func (t *Topic) Wants(k Type) bool { return len(t.types) == 0 || slices.Contains(t.types, k) }

// What SNS takes in one request (Amazon SNS API, "PublishBatch").
const (
	maxEntries = 10
	maxMessage = 256 << 10 // bytes, of all entries
	attributes = 4 << 10   // left for what goes with them
)

// Write publishes the batch. What SNS has taken of it is not published again when
// the rest of it comes again; what it says it will never take is given up
// ([ErrRejected]).
func (t *Topic) Write(ctx context.Context, batch []*Record) error {
	var rejected error
	for _, entries := range t.pack(batch) {
		switch err := t.publish(ctx, entries); {
		case errors.Is(err, ErrRejected):
			rejected = err
		case err != nil:
			return err
		}
	}
	clear(t.taken)
	return rejected
}

// pack divides what SNS has not taken yet into requests.
func (t *Topic) pack(batch []*Record) (requests [][]types.PublishBatchRequestEntry) {
	size := 0
	for _, r := range batch {
		raw, _ := r.JSON() // the bus has tried
		if t.taken[r.ID] {
			continue
		}
		n := len(requests) - 1
		if n < 0 || len(requests[n]) == maxEntries || size+len(raw) > maxMessage-attributes {
			requests, size = append(requests, nil), 0
			n++
		}
		requests[n], size = append(requests[n], t.entry(r, raw)), size+len(raw)
	}
	return requests
}

func (t *Topic) entry(r *Record, raw []byte) types.PublishBatchRequestEntry {
	e := types.PublishBatchRequestEntry{
		Id: aws.String(r.ID), Message: aws.String(string(raw)),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"type": {DataType: aws.String("String"), StringValue: aws.String(string(r.Type))},
		},
	}
	if strings.HasSuffix(t.arn, ".fifo") {
		group := r.Subject
		if group == "" {
			group = "s3gate"
		}
		e.MessageGroupId, e.MessageDeduplicationId = aws.String(group), aws.String(r.ID)
	}
	return e
}

func (t *Topic) publish(ctx context.Context, entries []types.PublishBatchRequestEntry) error {
	out, err := t.api.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &t.arn, PublishBatchRequestEntries: entries})
	if err != nil {
		return fmt.Errorf("publishing to SNS: %w", err)
	}
	for _, e := range out.Successful {
		t.taken[aws.ToString(e.Id)] = true
	}
	var rejected error
	for _, e := range out.Failed {
		failed := fmt.Errorf("publishing to SNS: event %s: %s", aws.ToString(e.Id), aws.ToString(e.Code))
		if !e.SenderFault {
			err = failed
			continue
		}
		t.taken[aws.ToString(e.Id)] = true // it would never be
		rejected = fmt.Errorf("%w: %w", ErrRejected, failed)
	}
	return cmp.Or(err, rejected)
}

// Close does nothing.
func (t *Topic) Close() error { return nil }

// Tell publishes a message that is no event and is kept nowhere here. It is safe
// for concurrent use. Its error does not hold the message.
func (t *Topic) Tell(ctx context.Context, subject, message string) error {
	in := &sns.PublishInput{TopicArn: &t.arn, Message: &message}
	if subject != "" {
		in.Subject = &subject
	}
	if strings.HasSuffix(t.arn, ".fifo") {
		in.MessageGroupId = aws.String("s3gate")
	}
	if _, err := t.api.Publish(ctx, in); err != nil {
		return fmt.Errorf("publishing to SNS: %w", err)
	}
	return nil
}
