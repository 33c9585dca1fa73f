package gate

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/policy"
)

// noRole is the role that MinIO is asked for, which does not look at it.
const noRole = "arn:aws:iam::000000000000:role/s3gate"

// sessionLife is how long a session lasts unless the settings say otherwise.
const sessionLife = time.Hour

// assumeRole exchanges credentials for those of a session (AWS STS API,
// "AssumeRole"). Nobody is asked before the first request needs them, and
// s3client asks again ahead of their end.
func assumeRole(b config.Bucket, region string, creds aws.CredentialsProvider, transport http.RoundTripper) (aws.CredentialsProvider, error) {
	document, err := sessionPolicy(b)
	if err != nil {
		return nil, fmt.Errorf("assume_role.session_policy: %w", err)
	}
	client := sts.New(sts.Options{
		Region: cmp.Or(region, "us-east-1"), Credentials: creds, AppID: "s3gate",
		HTTPClient: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, func(o *sts.Options) {
		if b.AssumeRole.Endpoint != "" {
			o.BaseEndpoint = &b.AssumeRole.Endpoint
		}
	})
	return stscreds.NewAssumeRoleProvider(client, cmp.Or(b.AssumeRole.RoleARN, noRole), func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "s3gate"
		o.Duration = b.AssumeRole.Duration
		if o.Duration == 0 {
			o.Duration = sessionLife
		}
		if id := b.AssumeRole.ExternalID; id != "" {
			o.ExternalID = &id
		}
		if document != "" {
			o.Policy = &document
		}
	}), nil
}

// sessionPolicy is that of the bucket's settings.
func sessionPolicy(b config.Bucket) (string, error) {
	if b.AssumeRole.SessionPolicy != config.LockPolicy {
		return b.AssumeRole.SessionPolicy, nil
	}
	// Where STS is Amazon's the store is too, and may encrypt with KMS.
	document, err := guard.SessionPolicy(b.Name, policy.PartitionOf(b.Region), b.AssumeRole.Endpoint == "")
	return string(document), err
}
