variable "name" {
  description = "What everything is called."
  type        = string
  default     = "s3gate"
}

variable "region" {
  description = "The region of the bucket and of the gates."
  type        = string
}

variable "bucket" {
  description = "The name of the bucket. Callers of the API know it as docs."
  type        = string
}

variable "noncurrent_days" {
  description = "After how many days replaced versions are deleted."
  type        = number
  default     = 30
}

variable "domain" {
  description = "What links begin with, such as files.example.com. Its DNS leads to the distribution."
  type        = string
}

variable "certificate_arn" {
  description = "The certificate for the domain, in us-east-1, where CloudFront looks for it."
  type        = string
}

variable "api_certificate_arn" {
  description = "The certificate of the API's listener, in the region."
  type        = string
}

variable "api_clients" {
  description = "The security groups of the applications that may call the API."
  type        = set(string)
  default     = []
}

variable "metrics_clients" {
  description = "The security groups that may read metrics and profiles of the gates, at port 8091: Prometheus'. Nobody else can."
  type        = set(string)
  default     = []
}

variable "vpc_id" {
  description = "The VPC. It has an internet gateway, as CloudFront asks of the VPC of an origin, though nothing here is public."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in at least two zones, from which the gates reach S3, Secrets Manager and the image."
  type        = list(string)
}

variable "image" {
  description = "The image, with its digest."
  type        = string
}

variable "gates" {
  description = "How many gates run at least."
  type        = number
  default     = 2
}

variable "max_gates" {
  description = "How many gates run at most."
  type        = number
  default     = 8
}

variable "jwt_key_secret_arn" {
  description = "The secret in Secrets Manager with the key of the API's JWTs, at least 32 bytes of text."
  type        = string
}

variable "mint_secret_arn" {
  description = "The secret that tokens of requests with an Idempotency-Key are derived from, at least 32 bytes of text. Without it such requests are refused."
  type        = string
  default     = null
}

variable "environment" {
  description = "More variables of the gates, such as OTEL_EXPORTER_OTLP_ENDPOINT or GOMEMLIMIT. Those that are set here stay as they are. The gates reach other machines at port 443 only."
  type        = map(string)
  default     = {}
}

variable "redis_password_secret_arn" {
  description = "The secret with Redis' password, 16 to 128 characters. Terraform keeps it in its state."
  type        = string
}

variable "origin_secret_arn" {
  description = "The secret with what CloudFront sends to the gates, 16 to 1024 printable characters. Terraform keeps it in its state."
  type        = string
}

variable "origin_other_secret_arn" {
  description = "The secret with another text that the gates take too, while it is rotated; see docs/fronts.md."
  type        = string
  default     = null
}

variable "redis_node_type" {
  description = "What Redis runs on."
  type        = string
  default     = "cache.t4g.small"
}

variable "redis_replicas" {
  description = "How many replicas Redis has. All of them must acknowledge what must not be lost; see docs/durability.md."
  type        = number
  default     = 1
}
