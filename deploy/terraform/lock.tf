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
    resources = ["${aws_s3_bucket.files.arn}/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["REST-QUERY-STRING", "POST"]
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
    resources = [aws_s3_bucket.files.arn]

    condition {
      test     = "StringEquals"
      variable = "s3:authType"
      values   = ["REST-QUERY-STRING", "POST"]
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
    resources   = [aws_s3_bucket.files.arn, "${aws_s3_bucket.files.arn}/*"]

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
    resources   = [aws_s3_bucket.files.arn, "${aws_s3_bucket.files.arn}/*"]

    condition {
      test     = "StringEquals"
      variable = "s3:signatureversion"
      values   = ["AWS"]
    }
  }
}

resource "aws_s3_bucket_policy" "s3gate_lock" {
  bucket = aws_s3_bucket.files.id
  policy = data.aws_iam_policy_document.s3gate_lock.json
}
