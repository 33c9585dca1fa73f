package leakwatch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"s3gate/guard/leakwatch"
	"s3gate/internal/s3gatetest"
)

// trail is an event of CloudTrail.
func trail(name, auth, code, key string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":%q,"accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE"},
"eventTime":%q,"eventSource":"s3.amazonaws.com","eventName":%q,"sourceIPAddress":"192.0.2.3","userAgent":"[curl/8.5]","errorCode":%q,
"requestParameters":{"bucketName":"vault","key":%q,"Host":"vault.s3.amazonaws.com","x":[1,{"y":null}]},"responseElements":null,
"additionalEventData":{"SignatureVersion":"SigV4","AuthenticationMethod":%q,"bytesTransferredOut":0},"requestID":"3E57","eventID":"e1"}`,
		developer, day.Add(10*time.Hour+38*time.Second).Format(time.RFC3339), name, code, key, auth)
}

func TestCloudTrail(t *testing.T) {
	const key = " AKIAIOSFODNN7EXAMPLE"
	other := strings.Replace(trail("GetObject", "QueryString", "", "no"), "s3.amazonaws.com", "sqs.amazonaws.com", 1)
	file := `{"head":{"deep":[1,2]},"Records":[` + strings.Join([]string{
		trail("GetObject", "AuthHeader", "", "header"), trail("GetObject", "QueryString", "AccessDenied", "refused"), trail("GetObject", "QueryString", "", "allowed"),
		trail("HeadObject", "QueryString", "NoSuchKey", "gone"), trail("PutObject", "QueryString", "", "put"), trail("PostObject", "HtmlForm", "", "form"),
		strings.Replace(strings.Replace(trail("GetObject", "QueryString", "", "another account"), developer, "", 1), "AKIAIOSFODNN7EXAMPLE", "", 1),
		strings.NewReplacer(developer, "", "AKIAIOSFODNN7EXAMPLE", "", "111122223333", "ANONYMOUS_PRINCIPAL").Replace(trail("GetObject", "QueryString", "", "by nobody")),
		trail("ListObjects", "AuthHeader", "", ""), trail("GetObject", "", "", "nobody"), `{"eventTime": "yesterday"}`, `"no object"`, other,
	}, ",\n") + `],"tail":true}`
	want := []string{
		"form allowed vault/form ×1" + key, "presigned allowed vault/allowed ×1" + key, "presigned allowed vault/gone ×1" + key,
		"presigned allowed vault/another account ×1", "presigned allowed vault/put ×1" + key, "presigned refused vault/by nobody ×1",
		"presigned refused vault/refused ×1" + key,
	}
	slices.Sort(want)
	for name, in := range map[string][]byte{"plain": []byte(file), "gzipped": gzipped([]byte(file))} {
		store := memory(t)
		s := read(t, &leakwatch.Watch{Store: store}, "log", bytes.NewReader(in))
		if got := brief(findings(t, store)); !slices.Equal(got, want) || s.Lines != 13 || s.Malformed != 2 || s.Found != 7 {
			t.Errorf("%s: %+v\ngot  %q\nwant %q", name, s, got, want)
		}
		for _, f := range findings(t, store) {
			if f.Key == "put" && (f.Method != "PUT" || f.UserAgent != "curl/8.5" || f.Requester != developer || f.Request != "3E57") {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

func TestACloudTrailEventThatIsTooLongEndsItsFile(t *testing.T) {
	store := memory(t)
	in := io.MultiReader(strings.NewReader(`{"Records":[`+trail("GetObject", "QueryString", "", "a")+`,{"eventName":"`), io.LimitReader(endless{}, 10<<20), strings.NewReader(`"}]}`))
	s := read(t, &leakwatch.Watch{Store: store}, "log", in)
	if s.Malformed != 1 || s.Found != 1 || s.Bytes > 4<<20 {
		t.Errorf("%+v", s)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzCloudTrail(f *testing.F) {
	f.Add([]byte(`{"Records":[` + trail("GetObject", "QueryString", "", "a") + `]}`))
	f.Add([]byte(`{"Records":[{}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, in []byte) {
		store := memory(t)
		s, _ := (&leakwatch.Watch{Store: store}).Read(t.Context(), "log", bytes.NewReader(in))
		if int64(len(findings(t, store))) > s.Found || s.Found > s.Lines {
			t.Errorf("%+v", s)
		}
	})
}

// queue is a service that speaks like Amazon SQS, as far as reading goes, and takes
// only what is signed.
type queue struct {
	*httptest.Server
	mu       sync.Mutex
	messages map[string]string
}

const queueRegion, queueKey, queueSecret = "eu-central-1", "AKIDSQS", "a secret for the tests of queues"

func newQueue(t *testing.T, messages ...string) *queue {
	t.Helper()
	q := &queue{messages: map[string]string{}}
	for i, m := range messages {
		q.messages[fmt.Sprint("m", i)] = m
	}
	q.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := s3gatetest.VerifySigV4(r, body, "sqs", queueRegion, queueKey, queueSecret); err != nil {
			t.Errorf("SQS: %v", err)
		}
		q.answer(w, r.Header.Get("X-Amz-Target"), body)
	}))
	t.Cleanup(q.Close)
	return q
}

func (q *queue) answer(w http.ResponseWriter, target string, body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	var in struct{ ReceiptHandle string }
	_ = json.Unmarshal(body, &in)
	out := map[string]any{}
	switch target {
	case "AmazonSQS.ReceiveMessage":
		var all []map[string]string
		for id, text := range q.messages {
			all = append(all, map[string]string{"MessageId": id, "ReceiptHandle": "r-" + id, "Body": text})
		}
		out["Messages"] = all
	case "AmazonSQS.DeleteMessage":
		delete(q.messages, strings.TrimPrefix(in.ReceiptHandle, "r-"))
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (q *queue) client() *sqs.Client {
	return sqs.New(sqs.Options{
		Region: queueRegion, BaseEndpoint: aws.String(q.URL), RetryMaxAttempts: 1, HTTPClient: q.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(queueKey, queueSecret, ""),
	})
}

func text(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func TestQueues(t *testing.T) {
	b := logBucket(t)
	deliver(t, b, "AWSLogs/a b.json.gz", gzipped([]byte(`{"Records":[`+trail("GetObject", "QueryString", "", "file")+`]}`)))
	deliver(t, b, "access", attempt("line"))
	created := `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"logs"},"object":{"key":"AWSLogs/a+b.json.gz"}}}]}`
	delivered := `{"s3Bucket":"logs","s3ObjectKey":["access","gone"]}`
	bridged := `{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","detail":` + trail("PutObject", "QueryString", "AccessDenied", "event") + `}`
	q := newQueue(t, text(map[string]string{"Type": "Notification", "Message": created}), delivered, bridged, `{"Service":"Amazon S3","Event":"s3:TestEvent"}`,
		"garbage", `{"Records":[{"s3":{"bucket":{"name":"unknown"},"object":{"key":"x"}}}]}`)
	source := &leakwatch.Queue{API: q.client(), URL: q.URL + "/111122223333/logs", Wait: 1, Open: func(name string) (leakwatch.Logs, error) {
		if name != "logs" {
			return nil, fmt.Errorf("no bucket %q", name)
		}
		return b, nil
	}}
	store := memory(t)
	for i, want := range []int{4, 0} {
		n, err := source.Once(t.Context(), &leakwatch.Watch{Store: store})
		if n != want || err == nil || !strings.Contains(err.Error(), "m4") || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("%d: %d, %v", i, n, err)
		}
	}
	if got := keysFound(t, store); !slices.Equal(got, []string{"event1", "file1", "line1"}) {
		t.Errorf("%q", got)
	}
	if len(q.messages) != 2 {
		t.Errorf("%d messages are left", len(q.messages))
	}
}
