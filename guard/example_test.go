package guard_test

import (
	"context"
	"fmt"
	"log"

	"s3gate/guard"
	"s3gate/policy"
)

func ExampleLock() {
	bucket := &settings{} // in real life an *s3client.Bucket
	ctx := context.Background()
	plan, err := guard.Lock(ctx, bucket, policy.LockOptions{Bucket: "vault", Actions: []string{"s3:GetObject"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(plan.Diff()) // for somebody to agree to
	if err := plan.Apply(ctx, bucket); err != nil {
		log.Fatal(err)
	}
	// Output:
	// --- old
	// +++ new
	// @@ -0,0 +1,20 @@
	// +{
	// +  "Version": "2012-10-17",
	// +  "Statement": [
	// +    {
	// +      "Sid": "S3GateDenyPresigned",
	// +      "Effect": "Deny",
	// +      "Principal": "*",
	// +      "Action": "s3:GetObject",
	// +      "Resource": "arn:aws:s3:::vault/*",
	// +      "Condition": {
	// +        "StringEquals": {
	// +          "s3:authType": [
	// +            "REST-QUERY-STRING",
	// +            "POST"
	// +          ]
	// +        }
	// +      }
	// +    },
	// +  ],
	// +}
}
