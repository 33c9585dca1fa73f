package events_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"s3gate/events"
	"s3gate/internal/s3gatetest"
)

func newTopic(service *s3gatetest.SNS, arn string, types ...events.Type) *events.Topic {
	return events.NewTopic("links", arn, types, sns.New(sns.Options{
		Region: service.Region, BaseEndpoint: aws.String(service.URL), RetryMaxAttempts: 1, HTTPClient: service.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(service.AccessKey, service.Secret, ""),
	}))
}

// published are the tokens of the events that were published.
func published(t *testing.T, service *s3gatetest.SNS) (all []string) {
	t.Helper()
	for _, m := range service.Messages() {
		all = append(all, subjects(t, []byte(m.Text+"\n"))...)
	}
	return all
}

// A batch goes in requests of ten, in order, with the type as an attribute.
func TestTopicPublishesEvents(t *testing.T) {
	service := s3gatetest.NewSNS(t)
	topic := newTopic(service, service.ARN, events.TransferCut)
	if topic.Wants(events.TokenMinted) || !topic.Wants(events.TransferCut) {
		t.Error("wants what it should not, or not what it should")
	}
	batch := records(23)
	write(t, topic, batch...)
	if got := published(t, service); !slices.Equal(got, numbered(23)) {
		t.Errorf("published %v", got)
	}
	if m := service.Messages()[7]; m.Type != "s3gate.transfer.cut.v1" || m.ID != batch[7].ID || m.Group != "" {
		t.Errorf("%+v", m)
	}
}

// A topic that keeps an order gets one per token, and nothing twice.
func TestTopicKeepsAnOrder(t *testing.T) {
	service := s3gatetest.NewSNS(t)
	batch := records(1)
	batch = append(batch, &events.Record{Event: events.New(events.RuleRevoked, "g", "", events.Rule{})})
	write(t, newTopic(service, service.ARN+".fifo"), batch...)
	got := service.Messages()
	if len(got) != 2 || got[0].Group != "0" || got[0].Dedup != batch[0].ID || got[1].Group != "s3gate" {
		t.Errorf("%+v", got)
	}
}

// Of a batch that failed in part only the rest is published again.
func TestTopicRepeatsTheRest(t *testing.T) {
	service := s3gatetest.NewSNS(t)
	var broken atomic.Bool
	broken.Store(true)
	service.Refuse = func(message string) (string, bool) {
		if broken.Load() && strings.Contains(message, "req_3") {
			return "InternalError", false
		}
		return "", false
	}
	topic, batch := newTopic(service, service.ARN), records(15)
	if err := topic.Write(t.Context(), batch); err == nil || !strings.Contains(err.Error(), "InternalError") || errors.Is(err, events.ErrRejected) {
		t.Fatalf("the first try: %v", err)
	}
	broken.Store(false)
	write(t, topic, batch...)
	got := published(t, service)
	slices.Sort(got)
	want := numbered(15)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("published %v", got)
	}
}

// What SNS will never take is given up, and the rest is published.
func TestTopicGivesUpWhatIsRejected(t *testing.T) {
	service := s3gatetest.NewSNS(t)
	service.Refuse = func(message string) (string, bool) {
		return map[bool]string{true: "TooLarge"}[strings.Contains(message, "req_3")], true
	}
	topic := newTopic(service, service.ARN)
	if err := topic.Write(t.Context(), records(15)); !errors.Is(err, events.ErrRejected) {
		t.Errorf("writing: %v", err)
	}
	if got := published(t, service); len(got) != 14 {
		t.Errorf("published %v", got)
	}
}

// A service that is down, hangs, or knows no such topic is an error.
func TestTopicFails(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"500":   func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(500); return true },
		"hangs": func(_ http.ResponseWriter, r *http.Request, _ int) bool { <-r.Context().Done(); return true },
		"dies":  func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) },
		"no":    nil,
	} {
		service := s3gatetest.NewSNS(t)
		service.Answer = answer
		arn := service.ARN
		if answer == nil {
			arn += "-other"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		topic := newTopic(service, arn)
		if topic.Write(ctx, records(1)) == nil {
			t.Errorf("%s: no error", name)
		}
		if err := topic.Tell(ctx, "", "the secret"); err == nil || strings.Contains(fmt.Sprint(err), "the secret") {
			t.Errorf("%s: telling: %v", name, err)
		}
		cancel()
	}
}

// A message is published as it is.
func TestTopicTells(t *testing.T) {
	service := s3gatetest.NewSNS(t)
	for _, arn := range []string{service.ARN, service.ARN + ".fifo"} {
		if err := newTopic(service, arn).Tell(t.Context(), "A file", "get it at https://x/é & more"); err != nil {
			t.Fatal(err)
		}
	}
	got := service.Messages()
	if len(got) != 2 || got[0] != (s3gatetest.Message{Subject: "A file", Text: "get it at https://x/é & more"}) || got[1].Group == "" {
		t.Errorf("%+v", got)
	}
}
