package leakwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// errMessage is what a message of a queue is that is none of those below.
var errMessage = errors.New("message of no known form")

// object names a log in a bucket.
type object struct{ bucket, key string }

// message is what a queue has to say: where logs are, or an event itself.
type message struct {
	objects []object
	events  []*cloudTrail
}

// readMessage reads what AWS puts into a queue: an event of CloudTrail that
// EventBridge has passed on, CloudTrail's word that it has delivered files, and
// S3's that objects were created; the latter two may come through a topic of SNS.
func readMessage(body []byte) (message, error) {
	var m struct {
		// SNS
		Type, Message string
		// EventBridge
		DetailType string          `json:"detail-type"`
		Detail     json.RawMessage `json:"detail"`
		// CloudTrail
		S3Bucket    string
		S3ObjectKey []string
		// S3
		Records []struct {
			S3 struct {
				Bucket struct{ Name string }
				Object struct{ Key string }
			}
		}
		Event string // s3:TestEvent
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return message{}, fmt.Errorf("%w: %w", errMessage, err)
	}
	var out message
	switch {
	case m.Type == "Notification" && m.Message != "":
		return readMessage([]byte(m.Message))
	case m.Event == "s3:TestEvent":
	case m.DetailType != "":
		var e cloudTrail
		if err := json.Unmarshal(m.Detail, &e); err != nil {
			return message{}, fmt.Errorf("%w: %w", errMessage, err)
		}
		out.events = append(out.events, &e)
	case m.S3Bucket != "":
		for _, key := range m.S3ObjectKey {
			out.objects = append(out.objects, object{m.S3Bucket, key})
		}
	case len(m.Records) > 0:
		for _, r := range m.Records {
			key, err := url.QueryUnescape(r.S3.Object.Key)
			if err != nil || r.S3.Bucket.Name == "" {
				return message{}, fmt.Errorf("%w: a record without an object", errMessage)
			}
			out.objects = append(out.objects, object{r.S3.Bucket.Name, key})
		}
	default:
		return message{}, errMessage
	}
	return out, nil
}
