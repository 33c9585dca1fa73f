package guard_test

import (
	"strings"
	"testing"

	"s3gate/guard"
)

// What STS takes has at most 2,048 characters, also with the keys of KMS, and speaks
// of the partition that the bucket is in.
func TestSessionPolicy(t *testing.T) {
	longest := strings.Repeat("b", 63)
	for _, tt := range []struct {
		partition string
		kms       bool
		want, not string
	}{
		{"", false, `"arn:aws:s3:::` + longest + `/*"`, "kms:"},
		{"aws-cn", true, `"arn:aws-cn:s3:::` + longest + `/*"`, "arn:aws:"},
		{"aws-us-gov", true, `"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*","Condition":{"StringLike":{"kms:ViaService":"s3.*`, "arn:aws:"},
	} {
		text, err := guard.SessionPolicy(longest, tt.partition, tt.kms)
		if err != nil || len(text) > 2048 || !strings.Contains(string(text), tt.want) || strings.Contains(string(text), tt.not) {
			t.Errorf("%q, KMS %v: %d characters: %s, %v", tt.partition, tt.kms, len(text), text, err)
		}
	}
}
