package s3client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// newSettingsClient returns the SDK's client for settings of the bucket. It
// shares credentials and transport with the fast path.
func newSettingsClient(cfg Config, creds aws.CredentialsProvider, transport http.RoundTripper) *s3.Client {
	opts := s3.Options{
		Region:                     cfg.Region,
		UsePathStyle:               cfg.PathStyle,
		Credentials:                creds,
		AppID:                      "s3gate",
		HTTPClient:                 &http.Client{Transport: transport, CheckRedirect: noRedirect},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if cfg.Endpoint != "" {
		opts.BaseEndpoint = &cfg.Endpoint
	}
	return s3.New(opts)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Ping asks whether the bucket is there and may be used.
func (b *Bucket) Ping(ctx context.Context) error {
	_, err := b.settings.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.cfg.Name})
	return settingsError("checking the bucket", err)
}

// Create makes the bucket; it is no error if the caller owns it already.
func (b *Bucket) Create(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &b.cfg.Name}
	if b.cfg.Region != "us-east-1" {
		// Amazon S3 takes this for no constraint there, and needs it elsewhere.
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(b.cfg.Region),
		}
	}
	_, err := b.settings.CreateBucket(ctx, in)
	switch errorCodeOf(err) {
	case "BucketAlreadyOwnedByYou":
		return nil
	case "BucketAlreadyExists": // somebody's: the caller's own with some stores
		return b.Ping(ctx)
	}
	return settingsError("creating the bucket", err)
}

// Policy returns the bucket's policy document; nil means that it has none.
func (b *Bucket) Policy(ctx context.Context) ([]byte, error) {
	out, err := b.settings.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &b.cfg.Name})
	if errorCodeOf(err) == "NoSuchBucketPolicy" {
		return nil, nil
	}
	if err != nil {
		return nil, settingsError("reading the bucket policy", err)
	}
	return []byte(aws.ToString(out.Policy)), nil
}

// PutPolicy replaces the bucket's policy document. Errors wrap [ErrPolicy] where the
// document is why: MinIO answers InternalError to what it has no word for.
func (b *Bucket) PutPolicy(ctx context.Context, document []byte) error {
	_, err := b.settings.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{
		Bucket: &b.cfg.Name, Policy: aws.String(string(document)),
	})
	switch errorCodeOf(err) {
	case "MalformedPolicy", "InternalError", "NotImplemented":
		err = &refusal{ErrPolicy, err}
	}
	return settingsError("writing the bucket policy", err)
}

// DeletePolicy removes the bucket's policy; it is no error if there is none.
func (b *Bucket) DeletePolicy(ctx context.Context) error {
	_, err := b.settings.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &b.cfg.Name})
	return settingsError("deleting the bucket policy", err)
}

func errorCodeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func settingsError(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, refused(err))
}
