# A bucket has one policy, and this resource replaces the whole of it: statements that are there already have to be in it too.
# Name those documents in source_policy_documents.
data "aws_iam_policy_document" "s3gate_lock" {
  version = "2012-10-17"

  statement {
    sid    = "S3GateDenyPresigned"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    actions   = ["s3:*"]
    resources = ["arn:aws:s3:::media/*"]

    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::111122223333:role/s3gate"]
    }

    condition {
      test     = "NotIpAddress"
      variable = "aws:SourceIp"
      values   = ["192.0.2.0/24"]
    }

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["REST-QUERY-STRING", "POST"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:username"
      values   = ["legacy"]
    }
  }

  statement {
    sid    = "S3GateDenyPresignedListing"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    actions   = ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"]
    resources = ["arn:aws:s3:::media"]

    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::111122223333:role/s3gate"]
    }

    condition {
      test     = "NotIpAddress"
      variable = "aws:SourceIp"
      values   = ["192.0.2.0/24"]
    }

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["REST-QUERY-STRING", "POST"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:username"
      values   = ["legacy"]
    }
  }

  statement {
    sid    = "S3GateDenyStaleURL"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    not_actions = ["s3:*BucketPolicy"]
    resources   = ["arn:aws:s3:::media", "arn:aws:s3:::media/*"]

    condition {
      test     = "NumericGreaterThan"
      variable = "s3:signatureAge"
      values   = ["3600000"]
    }

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["REST-QUERY-STRING"]
    }
  }

  statement {
    sid    = "S3GateDenyGateForm"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    not_actions = ["s3:*BucketPolicy"]
    resources   = ["arn:aws:s3:::media", "arn:aws:s3:::media/*"]

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::111122223333:role/s3gate"]
    }

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["POST"]
    }
  }

  statement {
    sid    = "S3GateDenyGateStaleURL"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    not_actions = ["s3:*BucketPolicy"]
    resources   = ["arn:aws:s3:::media", "arn:aws:s3:::media/*"]

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::111122223333:role/s3gate"]
    }

    condition {
      test     = "NumericGreaterThan"
      variable = "s3:signatureAge"
      values   = ["60000"]
    }

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["REST-QUERY-STRING"]
    }
  }

  statement {
    sid    = "S3GateDenyInsecureTransport"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    not_actions = ["s3:*BucketPolicy"]
    resources   = ["arn:aws:s3:::media", "arn:aws:s3:::media/*"]

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid    = "S3GateDenyOldSignature"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    not_actions = ["s3:*BucketPolicy"]
    resources   = ["arn:aws:s3:::media", "arn:aws:s3:::media/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:signatureversion"
      values   = ["AWS"]
    }
  }

  statement {
    sid    = "S3GateDenyOutsider"
    effect = "Deny"

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    not_actions = ["s3:*BucketPolicy"]
    resources   = ["arn:aws:s3:::media", "arn:aws:s3:::media/*"]

    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::111122223333:role/s3gate", "arn:aws:iam::111122223333:role/admin"]
    }

    condition {
      test     = "BoolIfExists"
      variable = "aws:PrincipalIsAWSService"
      values   = ["false"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:SourceVpce"
      values   = ["vpce-1a2b3c4d"]
    }
  }
}

resource "aws_s3_bucket_policy" "s3gate_lock" {
  bucket = "media"
  policy = data.aws_iam_policy_document.s3gate_lock.json
}
