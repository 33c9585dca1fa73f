package s3gatetest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// SNS is a service that speaks like Amazon SNS, as far as publishing goes, and
// takes only what is signed. It is safe for concurrent use.
type SNS struct {
	*httptest.Server
	// AccessKey, Secret, Region and ARN are what requests must be signed with, and
	// the one topic that there is.
	AccessKey, Secret, Region, ARN string
	// Answer may answer a request in place of the service, and says whether it has;
	// nil never does. It is set before the first request.
	Answer func(w http.ResponseWriter, r *http.Request, n int) bool
	// Refuse says with which code an entry of a batch fails, and whether that is the
	// sender's fault; nil takes all.
	Refuse func(message string) (code string, fault bool)

	mu       sync.Mutex
	messages []Message
	requests int
	wrong    []error
}

// Message is one that was published.
type Message struct{ ID, Subject, Text, Type, Group, Dedup string }

// NewSNS starts one, which the test's end stops. It fails the test if a request is
// not signed as it should be.
func NewSNS(t testing.TB) *SNS {
	t.Helper()
	s := &SNS{AccessKey: "AKIDSNS", Secret: "a secret for the tests of topics", Region: "eu-central-1", ARN: "arn:aws:sns:eu-central-1:123456789012:links"}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		for _, err := range s.wrong {
			t.Errorf("SNS: %v", err)
		}
	})
	return s
}

// Messages are those that were published so far.
func (s *SNS) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// ServeHTTP answers one request.
func (s *SNS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	err := VerifySigV4(r, body, "sns", s.Region, s.AccessKey, s.Secret)
	form, formErr := url.ParseQuery(string(body))
	s.mu.Lock()
	s.requests++
	n := s.requests
	for _, err := range []error{err, formErr} {
		if err != nil {
			s.wrong = append(s.wrong, err)
		}
	}
	s.mu.Unlock()
	if s.Answer != nil && s.Answer(w, r, n) {
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	switch {
	case err != nil || formErr != nil:
		s.fail(w, http.StatusForbidden, "SignatureDoesNotMatch")
	case form.Get("TopicArn") != s.ARN && form.Get("TopicArn") != s.ARN+".fifo":
		s.fail(w, http.StatusNotFound, "NotFound")
	case form.Get("Action") == "Publish":
		s.take(Message{Subject: form.Get("Subject"), Text: form.Get("Message"), Group: form.Get("MessageGroupId")})
		io.WriteString(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>`)
	case form.Get("Action") == "PublishBatch":
		s.batch(w, form)
	default:
		s.fail(w, http.StatusBadRequest, "InvalidAction")
	}
}

func (s *SNS) take(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

func (s *SNS) fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, code)
}

func (s *SNS) batch(w http.ResponseWriter, form url.Values) {
	taken, failed := "", ""
	for i := 1; ; i++ {
		at := fmt.Sprintf("PublishBatchRequestEntries.member.%d.", i)
		id := form.Get(at + "Id")
		if id == "" {
			break
		}
		if i > 10 {
			s.fail(w, http.StatusBadRequest, "TooManyEntriesInBatchRequest")
			return
		}
		m := Message{
			ID: id, Text: form.Get(at + "Message"), Group: form.Get(at + "MessageGroupId"), Dedup: form.Get(at + "MessageDeduplicationId"),
			Type: form.Get(at + "MessageAttributes.entry.1.Value.StringValue"),
		}
		if s.Refuse != nil {
			if code, fault := s.Refuse(m.Text); code != "" {
				failed += fmt.Sprintf("<member><Id>%s</Id><Code>%s</Code><SenderFault>%v</SenderFault></member>", id, code, fault)
				continue
			}
		}
		s.take(m)
		taken += fmt.Sprintf("<member><Id>%s</Id><MessageId>m</MessageId></member>", id)
	}
	fmt.Fprintf(w, `<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Successful>%s</Successful><Failed>%s</Failed></PublishBatchResult></PublishBatchResponse>`, taken, failed)
}
