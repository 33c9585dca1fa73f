# s3gate on AWS: bucket, role, Redis, gates on Fargate behind a balancer that only
# CloudFront and your applications reach.
#
# This was parsed and checked for names, and never applied: read the plan with care.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}
