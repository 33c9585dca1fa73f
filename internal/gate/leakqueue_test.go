package gate_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// A gate reads a queue with the credentials, and in the region, of its settings.
func TestAGateReadsAQueue(t *testing.T) {
	const region, key, secret = "eu-central-1", "AKIDSQS", "a secret for the tests of queues"
	message := map[string]any{"detail-type": "AWS API Call via CloudTrail", "detail": map[string]any{
		"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": time.Now().UTC().Format(time.RFC3339), "requestID": "3E57", "sourceIPAddress": "192.0.2.1",
		"userIdentity": map[string]string{"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "arn": "arn:aws:iam::111122223333:user/dev"}, "requestParameters": map[string]string{"bucketName": bucketName, "key": "a"},
		"additionalEventData": map[string]string{"AuthenticationMethod": "QueryString"},
	}}
	body, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var deleted atomic.Bool
	q := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		if err := s3gatetest.VerifySigV4(r, sent, "sqs", region, key, secret); err != nil {
			t.Errorf("SQS: %v", err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		switch {
		case r.Header.Get("X-Amz-Target") == "AmazonSQS.DeleteMessage":
			deleted.Store(true)
			_, _ = io.WriteString(w, "{}")
		case deleted.Load():
			<-r.Context().Done() // nothing comes any more
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"Messages": []map[string]string{{"MessageId": "m", "ReceiptHandle": "r", "Body": string(body)}}})
		}
	}))
	t.Cleanup(q.Close)
	g := newEmbedded(t).gate(func(c *config.Config) {
		c.Guard.Leaks.Sources = map[string]config.LeakSource{"trail": {Queue: q.URL + "/1/leaks", Region: region, AccessKeyID: key, SecretAccessKey: secret}}
	})
	f := g.leaks(1)[0]
	if f.Kind != "presigned" || f.Outcome != "allowed" || f.Bucket != "docs" || f.Key != "a" || f.Signer != "AKIAIOSFODNN7EXAMPLE" || f.Taken != nil {
		t.Errorf("%+v", f)
	}
	eventually(t, "the message is deleted", deleted.Load)
}
