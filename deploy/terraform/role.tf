# Who the gate is in S3, and who starts it.

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

resource "aws_iam_role" "gate" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

# What "s3gate bucket iam" prints, and nothing else.
resource "aws_iam_role_policy" "gate" {
  name   = "bucket"
  role   = aws_iam_role.gate.id
  policy = templatefile("${path.module}/role-policy.json.tftpl", { bucket = aws_s3_bucket.files.arn })
}

# ECS itself: it fetches the image, reads the secrets and writes the log.
resource "aws_iam_role" "start" {
  name               = "${var.name}-start"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy_attachment" "start" {
  role       = aws_iam_role.start.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "secrets" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = values(local.secrets)
  }
}

resource "aws_iam_role_policy" "secrets" {
  name   = "secrets"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.secrets.json
}
