package leakwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"s3gate/guard/accesslog"
)

// maxEvent is the largest event of CloudTrail that is read, in bytes. CloudTrail
// itself keeps them below 256 KiB (AWS CloudTrail User Guide, "Record contents").
const maxEvent = 1 << 20

// errEvent is what an event of CloudTrail is that cannot be read.
var errEvent = errors.New("malformed CloudTrail event")

// cloudTrail is an event of CloudTrail, as far as it matters here (AWS CloudTrail
// User Guide, "CloudTrail record contents"; S3 User Guide, "CloudTrail log file
// entries for Amazon S3").
type cloudTrail struct {
	EventTime       time.Time
	EventSource     string
	EventName       string
	EventID         string
	RequestID       string
	SourceIPAddress string
	UserAgent       string
	ErrorCode       string
	UserIdentity    struct {
		ARN         string
		AccessKeyID string
		AccountID   string
	}
	RequestParameters struct {
		BucketName string
		Key        string
	}
	AdditionalEventData struct {
		AuthenticationMethod string
	}
}

// methods are the names that CloudTrail has for requests of each method.
var methods = []struct{ prefix, method string }{
	{"Get", "GET"}, {"Head", "HEAD"}, {"List", "GET"}, {"Delete", "DELETE"}, {"Put", "PUT"}, {"Copy", "PUT"},
	{"UploadPart", "PUT"}, {"Create", "POST"}, {"Complete", "POST"}, {"Abort", "DELETE"}, {"Post", "POST"},
}

// access is what the event tells; nil if it is not of S3. What is not in header or
// URL, and was signed, came by a form: CloudTrail does not say how it calls that.
func (e *cloudTrail) access() *access {
	if e.EventSource != "s3.amazonaws.com" {
		return nil
	}
	a := &access{
		bucket: e.RequestParameters.BucketName, key: e.RequestParameters.Key, signer: e.UserIdentity.AccessKeyID, requester: e.UserIdentity.ARN,
		client: e.SourceIPAddress, agent: strings.Trim(e.UserAgent, "[]"), trace: e.RequestID, code: e.ErrorCode, at: e.EventTime.UTC(),
	}
	if a.trace == "" {
		a.trace = e.EventID
	}
	if account := e.UserIdentity.AccountID; a.requester == "" && !strings.HasPrefix(strings.ToUpper(account), "ANONYMOUS") {
		a.requester = account // of users of other accounts it has no more
	}
	for _, m := range methods {
		if strings.HasPrefix(e.EventName, m.prefix) {
			a.method = m.method
			break
		}
	}
	switch e.AdditionalEventData.AuthenticationMethod {
	case "QueryString":
		a.auth = accesslog.Query
	case "AuthHeader":
		a.auth = accesslog.Header
	case "":
		a.auth = accesslog.Anonymous
	default:
		a.auth = accesslog.Header
		if e.EventName == "PostObject" || e.EventName == "PutObject" {
			a.auth = accesslog.Post
			a.method = "POST"
		}
	}
	return a
}

// budget is a reader that gives so many bytes until it is filled again, so that no
// event takes more memory.
type budget struct {
	in   io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: longer than %d bytes", errEvent, maxEvent)
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// eachEvent calls f with every event of a file of CloudTrail, or of a single event
// as EventBridge passes it on, and counts those that cannot be read.
func eachEvent(in io.Reader, f func(*cloudTrail), malformed func(raw []byte, err error)) error {
	source := &budget{in, maxEvent}
	d := json.NewDecoder(source)
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("reading CloudTrail events: %w", err)
		}
		if name != "Records" {
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return fmt.Errorf("reading CloudTrail events: %w", err)
			}
			continue
		}
		if err := eachRecord(d, source, f, malformed); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

func eachRecord(d *json.Decoder, source *budget, f func(*cloudTrail), malformed func([]byte, error)) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		source.left = maxEvent
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("reading CloudTrail events: %w", err)
		}
		var e cloudTrail
		if err := json.Unmarshal(raw, &e); err != nil {
			malformed(raw, fmt.Errorf("%w: %w", errEvent, err))
			continue
		}
		f(&e)
	}
	return expect(d, json.Delim(']'))
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	switch {
	case err == io.EOF:
		return fmt.Errorf("reading CloudTrail events: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("reading CloudTrail events: %w", err)
	case got != want:
		return fmt.Errorf("%w: expected %s", errEvent, want)
	}
	return nil
}
