package policy

import "strings"

// PartitionOf returns the ARN partition of a region, such as "aws-cn" of "cn-north-1"; "aws" where nothing
// else is known ("Amazon Resource Names", IAM User Guide).
func PartitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
