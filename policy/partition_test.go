package policy_test

import (
	"testing"

	"s3gate/policy"
)

func TestPartitionOf(t *testing.T) {
	for region, want := range map[string]string{
		"": "aws", "eu-central-1": "aws", "us-east-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "cn": "aws",
	} {
		if got := policy.PartitionOf(region); got != want {
			t.Errorf("%q is in %s, want %s", region, got, want)
		}
	}
}
