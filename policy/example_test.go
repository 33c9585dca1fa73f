package policy_test

import (
	"fmt"
	"log"

	"s3gate/policy"
)

// Lock a bucket that has a policy already, look at what that changes, ask what the new policy says of a
// presigned download, and undo it.
func Example() {
	existing := []byte(`{
  "Version": "2012-10-17",
  "Statement": {
    "Sid": "Readers",
    "Effect": "Allow",
    "Principal": {"AWS": "111122223333"},
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::media/*"
  }
}`)

	ours, err := policy.LockStatements(policy.LockOptions{
		Bucket:      "media",
		Actions:     []string{"s3:GetObject", "s3:PutObject"},
		ExemptUsers: []string{"legacy"},
	})
	if err != nil {
		log.Fatal(err)
	}
	locked, err := policy.Merge(existing, ours)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(policy.Diff(existing, locked))

	doc, err := policy.Parse(locked)
	if err != nil {
		log.Fatal(err)
	}
	request := policy.Request{
		Action:    "s3:GetObject",
		Resource:  "arn:aws:s3:::media/film.mp4",
		Principal: policy.Principal{ARN: "arn:aws:iam::111122223333:user/alice", UserName: "alice"},
		Context:   policy.Context{},
	}
	for _, authType := range []string{"REST-HEADER", "REST-QUERY-STRING"} {
		request.Context.Set("s3:authType", authType)
		decision := doc.Evaluate(request)
		fmt.Println(authType, decision.Effect, decision.Sid)
	}

	unlocked, err := policy.Remove(locked)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("restored:", string(unlocked) == string(existing))
	// Output:
	// --- old
	// +++ new
	// @@ -1,6 +1,27 @@
	//  {
	//    "Version": "2012-10-17",
	//    "Statement": [
	// +    {
	// +      "Sid": "S3GateDenyPresigned",
	// +      "Effect": "Deny",
	// +      "Principal": "*",
	// +      "Action": [
	// +        "s3:GetObject",
	// +        "s3:PutObject"
	// +      ],
	// +      "Resource": "arn:aws:s3:::media/*",
	// +      "Condition": {
	// +        "StringEquals": {
	// +          "s3:authType": [
	// +            "REST-QUERY-STRING",
	// +            "POST"
	// +          ]
	// +        },
	// +        "StringNotEquals": {
	// +          "aws:username": "legacy"
	// +        }
	// +      }
	// +    },
	//      {
	//        "Sid": "Readers",
	//        "Effect": "Allow",
	// REST-HEADER Allow Readers
	// REST-QUERY-STRING Deny S3GateDenyPresigned
	// restored: true
}

// Ask why a request is refused.
func ExampleDocument_Explain() {
	doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[
		{"Sid":"Readers","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:Get*","Resource":"arn:aws:s3:::media/*"},
		{"Sid":"TLS","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::media/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`))
	if err != nil {
		log.Fatal(err)
	}
	who, err := policy.ParsePrincipal("arn:aws:iam::111122223333:role/backup")
	if err != nil {
		log.Fatal(err)
	}
	request := policy.Request{Action: "s3:PutObject", Resource: "arn:aws:s3:::media/a", Principal: who, Context: policy.Context{}}
	request.Context.Set("aws:SecureTransport", "true")
	trace := doc.Explain(request)
	fmt.Println(trace.Effect)
	for _, s := range trace.Statements {
		for _, miss := range s.Misses {
			fmt.Println(s.Sid+":", miss)
		}
	}
	// Output:
	// None
	// Readers: Action "s3:Get*": the request has "s3:PutObject"
	// TLS: Condition Bool aws:SecureTransport "false": the request has "true"
}
